"""StateService at the edge's sockets: from the local files, never from the network.

Writes are answered when they are durable here; reads are of the view, which is
the hub's history at the cursor with this edge's pending commits on top. Only
what a request's level asks for waits for the hub, and a strong read of what is
not replicated here is handed on to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from edge_agent import requests as ask
from edge_agent import retrospect
from edge_agent.database import EdgeFiles
from edge_agent.events import Interest, Progress
from edge_agent.level_reads import Ask, LevelReads, Served
from edge_agent.level_writes import LevelWrites
from edge_agent.reads import Demand, ListQuery, Reads, page_token
from edge_agent.retrospect import Decision
from edge_agent.services.hub_door import HubDoor
from edge_agent.services.telling import decision_to, entry_to, event_to, record_to
from edge_agent.sessions import Sessions
from edge_agent.waiting import Waiting
from edge_agent.watchers import Resume, Watchers
from holdfast.host.refusal import Refusal
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from sync import names
from sync.codec import requests as convert
from sync.commit import Actor, OpId
from sync.consistency import ReadLevel
from sync.filters import Filter
from sync.levels import Level
from sync.position import ID_BYTES, Position, parse_number
from sync.room import check_room
from sync.session import SessionToken

Context = grpc.aio.ServicerContext[Any, Any]

MAX_NAMES = 1_000
LONGEST_WAIT_SECONDS = 60.0
"""For calls without a deadline."""

_RESUME = b"e1:"


class StateService:
    """Serves holdfast.v1.StateService at one socket; with an `actor`, only that one writes."""

    def __init__(
        self, files: EdgeFiles, writes: LevelWrites, reads: Reads, watchers: Watchers,
        waiting: Waiting, sessions: Sessions, levels: LevelReads, hub: HubDoor,
        actor: Actor | None = None,
    ) -> None:  # fmt: skip
        self._files, self._writes, self._reads = files, writes, reads
        self._watchers, self._waiting = watchers, waiting
        self._sessions, self._levels, self._hub = sessions, levels, hub
        self._actor = actor

    async def Commit(self, request: pb.CommitRequest, context: Context) -> pb.CommitResponse:
        """Stores a commit durably."""
        self.named(request.actor)
        wanted = convert.commit_from(request)
        if wanted.level is Level.STRONG and not self._reads.keeps(wanted.space):
            self._check(wanted.actor)
            return await self._commit_elsewhere(request, context)
        return await self.commit(wanted, context)

    def named(self, actor: record.Actor) -> None:
        """Names the socket's own actor where a request names none."""
        if self._actor is not None and not actor.id:
            actor.CopyFrom(convert.actor_to(self._actor))

    def _check(self, actor: Actor) -> None:
        if self._actor is not None and actor != self._actor:
            raise Refusal("NOT_ALLOWED", f"this socket is {self._actor.id}'s")

    async def _commit_elsewhere(
        self, request: pb.CommitRequest, context: Context
    ) -> pb.CommitResponse:
        """Has a strong commit decided at the hub, of a space of which nothing is kept here."""
        self._levels.require_hub()
        request.commit_id = request.commit_id or self._files.new_id()
        found: pb.CommitResponse = await self._hub.commit(request, _seconds_left(context), context)
        found.applied_locally = False
        return found

    async def commit(
        self, wanted: convert.CommitRequest, context: Context, *, system: bool = False
    ) -> pb.CommitResponse:
        """Stores a commit that another service of this socket asks for; `system` may write the
        system's own records."""
        self._check(wanted.actor)
        seen = wanted.context
        token = await self._sessions.ready(
            wanted.space, wanted.session_token, _seconds_left(context), seen.seen if seen else ()
        )
        written = await self._writes.commit(
            ask.Write(
                space=wanted.space,
                requests=wanted.requests,
                actor=wanted.actor,
                preconditions=wanted.preconditions,
                commit_id=wanted.commit_id or None,
                context=ask.Context(seen.base.epoch, seen.base.revision, seen.seen)
                if seen
                else None,
                correlation_id=wanted.correlation_id,
                causation_id=wanted.causation_id,
                level=wanted.level,
                bound=wanted.bound,
                system=system,
            ),
            _seconds_left(context),
        )
        receipt = written.receipt
        pending = bool(receipt.context.seen)
        answer = _answer(receipt.position, receipt.context, token, pending, receipt.level)
        # Its author's context may leave it out; the session has seen it all the same.
        own = {receipt.op_id.origin: receipt.op_id.seq}
        answer.session_token = token.saw(
            receipt.position, {**dict(receipt.context.seen), **own}
        ).encode()
        return pb.CommitResponse(
            answer=answer,
            op_id=convert.op_id_to(wanted.space, receipt.op_id),
            outcome=decision_to(wanted.space, written.decision),
            applied_locally=receipt.applied_locally,
        )

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Reads one record."""
        space = names.check_space(request.space)
        name = (names.check_collection(request.collection), names.check_key(request.key))
        if request.as_of_revision:
            raise Refusal("NOT_IMPLEMENTED", "reads as of a revision are answered by the hub")
        wanted = self._wanted(request, {name[0]})
        if self._is_elsewhere(space, {name[0]}, wanted):
            found: pb.GetResponse = await self._hand_on("Get", request, context)
            return found
        served, token = await self._read(
            request, wanted, lambda d: self._reads.batch_get(space, [name], d), context
        )
        answer = _read_answer(served, token)
        if not served.read.records:
            path = f"{space}/{name[0]}/{name[1]} does not exist"
            raise Refusal("RECORD_NOT_FOUND", path, metadata=convert.absence(answer))
        return pb.GetResponse(record=record_to(served.read.records[0]), answer=answer)

    async def BatchGet(self, request: pb.BatchGetRequest, context: Context) -> pb.BatchGetResponse:
        """Reads records at one position."""
        space = names.check_space(request.space)
        asked = [
            (names.check_collection(name.collection), names.check_key(name.key))
            for name in request.names
        ]
        collections = {collection for collection, _ in asked}
        wanted = self._wanted(request, collections)
        if self._is_elsewhere(space, collections, wanted):
            found: pb.BatchGetResponse = await self._hand_on("BatchGet", request, context)
            return found
        served, token = await self._read(
            request, wanted, lambda d: self._reads.batch_get(space, asked, d), context
        )
        check_room(len(each.value) for each in served.read.records)
        return pb.BatchGetResponse(
            records=map(record_to, served.read.records), answer=_read_answer(served, token)
        )

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Reads a page of a collection."""
        query = ListQuery(
            space=names.check_space(request.space),
            collection=names.check_collection(request.collection),
            prefix=request.key_prefix,
            filter=Filter(request.filter) if request.filter else None,
            page_size=request.page_size,
            page_token=request.page_token,
            scan_limit=request.scan_limit,
            descending=request.descending,
        )
        wanted = self._wanted(request, {query.collection})
        if self._is_elsewhere(query.space, {query.collection}, wanted):
            found: pb.ListResponse = await self._hand_on("List", request, context)
            return found
        served, token = await self._read(
            request, wanted, lambda d: self._reads.list(query, d), context
        )
        return pb.ListResponse(
            records=map(record_to, served.read.records),
            next_page_token=served.read.next_page,
            scanned=served.read.scanned,
            answer=_read_answer(served, token),
        )

    async def _read(
        self, request: convert.ReadRequest, wanted: ReadLevel, ask: Ask, context: Context
    ) -> tuple[Served, SessionToken]:
        """What was asked for, at the level wanted, with all that the session has seen."""
        space, began = request.space, asyncio.get_running_loop().time()
        seconds = _seconds_left(context)
        token = await self._sessions.ready(space, request.session_token, seconds)
        left = seconds - (asyncio.get_running_loop().time() - began)
        demand = Demand(token.positions.get(space))
        return await self._levels.read(space, wanted, demand, left, ask), token

    def _wanted(self, request: convert.ReadRequest, collections: set[str]) -> ReadLevel:
        """The level that a read is served at. Raises BadRequest, NotPermitted, UnboundedRead."""
        asked = convert.read_level_from(request)
        return self._levels.permitted(request.space, collections, asked)

    def _is_elsewhere(self, space: str, collections: set[str], wanted: ReadLevel) -> bool:
        """Whether a read is for the hub to answer. Raises Refusal OUT_OF_SCOPE, HUB_UNREACHABLE."""
        try:
            self._reads.check(space, collections)
        except Refusal:
            if wanted.level is not Level.STRONG:
                raise
            self._levels.require_hub()
            return True
        return False

    async def _hand_on(self, name: str, request: convert.ReadRequest, context: Context) -> Any:
        return await self._hub.call(name, request, _seconds_left(context), context)

    def page_token(self, key: str) -> str:
        """Where a list goes on after a key."""
        return page_token(key)

    async def History(self, request: pb.HistoryRequest, context: Context) -> pb.HistoryResponse:
        """Reads the commits that made a record what it is, as far as this edge has them."""
        del context
        space = names.check_space(request.space)
        collection, key = names.check_collection(request.collection), names.check_key(request.key)
        self._reads.check(space, {collection})
        before = _revision(request.page_token)
        page = await retrospect.history(
            self._files, space, collection, key, request.page_size, before
        )
        return pb.HistoryResponse(
            entries=[entry_to(space, entry) for entry in page.entries],
            next_page_token=str(page.next_revision) if page.next_revision else "",
            complete=page.complete,
        )

    async def pending(self, space: str, collection: str, key: str) -> list[pb.HistoryEntry]:
        """What was done to a record here and is not decided, newest first."""
        found = await retrospect.pending(self._files, space, (collection, key))
        return [entry_to(space, entry) for entry in found]

    async def GetOutcome(
        self, request: pb.GetOutcomeRequest, context: Context
    ) -> pb.GetOutcomeResponse:
        """Tells what became of commits, as far as this edge knows."""
        del context
        space = names.check_space(request.space)
        found = await retrospect.outcomes(self._files, space, _op_ids(request.op_ids))
        return pb.GetOutcomeResponse(outcomes=[decision_to(space, each) for each in found])

    async def Wait(self, request: pb.WaitRequest, context: Context) -> pb.WaitResponse:
        """Waits until something has happened."""
        space, seconds = names.check_space(request.space), _seconds_left(context)
        found: tuple[Decision, ...] = ()
        match request.WhichOneof("until"):
            case "position":
                at = request.position
                wanted = Position(at.epoch, space, at.revision)
                done = await self._waiting.position(wanted, seconds)
            case "ops":
                op_ids = _op_ids(request.ops.op_ids)
                done = await self._waiting.decided(space, op_ids, seconds)
                found = await retrospect.outcomes(self._files, space, op_ids)
            case "synced":
                done = await self._waiting.synced(space, seconds)
            case _:
                raise Refusal("MALFORMED_REQUEST", "until: position, ops or synced")
        if not done:
            raise Refusal("DEADLINE_PASSED", "what was waited for has not happened yet")
        standing = await self._reads.standing(space)
        cursor = standing.cursor
        seen = ask.Context(cursor.epoch, cursor.revision, standing.seen)
        position = Position(cursor.epoch, space, cursor.revision)
        return pb.WaitResponse(
            answer=_answer(position, seen, SessionToken(), bool(standing.seen)),
            outcomes=[decision_to(space, each) for each in found],
        )

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Streams commits in order."""
        del context
        self._reads.check(names.check_space(request.space), {request.collection})
        async with aclosing(self.watch(request)) as messages:
            async for message in messages:
                yield message

    async def watch(self, request: pb.WatchRequest) -> AsyncGenerator[pb.WatchResponse, None]:
        """Commits in order, as far as they are within the scope."""
        space = names.check_space(request.space)
        interest = Interest(
            space,
            request.collection and names.check_collection(request.collection),
            request.key_prefix,
            Filter(request.filter) if request.filter else None,
            request.include_pending,
        )
        resume = _resume_from(request.resume_token)
        place = resume or await self._now(space)
        if resume is None:
            yield _bookmark(space, place)
        async for event in self._watchers.watch(interest, place):
            if isinstance(event, Progress):
                place = Resume(
                    event.position.epoch, event.position.revision, place.origin, place.seq
                )
                yield _bookmark(space, place)
                continue
            if event.pending:
                at = event.op_id
                place = Resume(place.epoch, place.revision, at.origin, at.seq)
            else:
                at_revision = event.position
                place = Resume(at_revision.epoch, at_revision.revision, place.origin, place.seq)
            yield pb.WatchResponse(commit=event_to(space, event), resume_token=_resume_to(place))

    async def _now(self, space: str) -> Resume:
        """The present: the cursor, and the newest own commit in the view."""
        standing = await self._reads.standing(space)
        newest = max(standing.own.items(), default=None)
        origin, seq = (newest[1].origin, newest[1].overlay_seq) if newest else (b"", 0)
        return Resume(standing.cursor.epoch, standing.cursor.revision, origin, seq)


def _seconds_left(context: Context) -> float:
    left: float | None = context.time_remaining()  # None without a deadline, whatever its types say
    return LONGEST_WAIT_SECONDS if left is None else min(LONGEST_WAIT_SECONDS, left * 0.9)


def _op_ids(found: Any) -> list[OpId]:
    if not 1 <= len(found) <= MAX_NAMES:
        raise Refusal("TOO_MANY_OPS", f"op_ids: 1 to {MAX_NAMES}")
    return [convert.op_id_from(each) for each in found]


def _revision(token: str) -> int:
    try:
        return parse_number(token or "0")
    except ValueError:
        raise Refusal("PAGE_TOKEN_INVALID") from None


def _answer(
    position: Position, seen: ask.Context, token: SessionToken, pending: bool,
    level: Level = Level.EVENTUAL, staleness_ms: int | None = None,
) -> pb.Answer:  # fmt: skip
    newest: dict[bytes, int] = dict(seen.seen)
    return pb.Answer(
        level=int(level),  # type: ignore[arg-type]
        staleness_ms=staleness_ms,
        new_session=token.is_new,
        position=convert.position_to(position),
        session_token=token.saw(position, newest).encode(),
        includes_pending=pending,
        context=convert.context_to(seen.epoch, seen.base, seen.seen),
    )


def _read_answer(served: Served, token: SessionToken) -> pb.Answer:
    read = served.read
    return _answer(
        read.position, read.context, token, read.includes_pending, served.level,
        served.staleness_ms,
    )  # fmt: skip


def _resume_to(place: Resume) -> bytes:
    return _RESUME + f"{place.epoch}:{place.revision}:{place.origin.hex()}:{place.seq}".encode()


def _resume_from(data: bytes) -> Resume | None:
    if not data:
        return None
    try:
        if not data.startswith(_RESUME):
            raise ValueError("not a token of this watch")
        epoch, revision, origin, seq = data[len(_RESUME) :].decode("ascii").split(":")
        place = Resume(
            parse_number(epoch), parse_number(revision), bytes.fromhex(origin), parse_number(seq)
        )
    except ValueError:
        raise Refusal("TOKEN_INVALID", "a resume token that is not of an edge's watch") from None
    if len(place.origin) not in (0, ID_BYTES):
        raise Refusal("TOKEN_INVALID", "a resume token that is not of an edge's watch")
    return place


def _bookmark(space: str, place: Resume) -> pb.WatchResponse:
    position = Position(place.epoch, space, place.revision)
    return pb.WatchResponse(
        bookmark=pb.WatchBookmark(position=convert.position_to(position)),
        resume_token=_resume_to(place),
    )
