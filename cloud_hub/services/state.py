"""StateService at the hub's own door.

Writes are decided before they are answered, so their outcome is in the answer.
Reads are of the present state or, on request, as of a revision.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc

from cloud_hub.change_log import LogRow
from cloud_hub.fanout import Fanout
from cloud_hub.ingest import Ingest
from cloud_hub.reads import Fate, Found, Reads
from cloud_hub.services.sessions import Sessions, all_origins, seconds_left
from cloud_hub.submissions import AuthorContext, Receipt, Requested
from cloud_hub.timeline import Step
from cloud_hub.watching import Changed, Event, Events
from holdfast.host.door import Refusal
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from sync import names
from sync.codec import requests as convert
from sync.codec import version_to
from sync.commit import Version
from sync.filters import Filter
from sync.levels import Level
from sync.position import Position, parse_number
from sync.room import Room, check_room
from sync.session import SessionToken

Context = grpc.aio.ServicerContext[Any, Any]

MAX_NAMES = 1_000
MAX_PAGE = 1_000
DEFAULT_PAGE = 100
MAX_SCAN = 10_000
DEFAULT_SCAN = 1_000

IDLE_BOOKMARK_SECONDS = 10.0
"""How often a watch that has nothing to tell says that nothing was missed."""

_RESUME = b"h1:"


class StateService:
    """Serves holdfast.v1.StateService. `new_id` makes ids of commits whose clients chose none."""

    def __init__(
        self, ingest: Ingest, fanout: Fanout, reads: Reads, events: Events,
        new_id: Callable[[], bytes],
    ) -> None:  # fmt: skip
        self._ingest, self._fanout, self._reads, self._events = ingest, fanout, reads, events
        self._new_id = new_id
        self._sessions = Sessions(reads, fanout)

    async def Commit(self, request: pb.CommitRequest, context: Context) -> pb.CommitResponse:
        """Decides a commit."""
        return await self.commit(convert.commit_from(request), context)

    async def commit(
        self, wanted: convert.CommitRequest, context: Context, *, system: bool = False
    ) -> pb.CommitResponse:
        """Decides a commit that another door of the hub asks for; `system` may write the system's
        own records."""
        seen = wanted.context
        token = await self._sessions.ready(
            wanted.space, wanted.session_token, context, seen.seen if seen else ()
        )
        submission = Requested(
            space=wanted.space,
            requests=wanted.requests,
            actor=wanted.actor,
            commit_id=wanted.commit_id or self._new_id(),
            preconditions=wanted.preconditions,
            context=AuthorContext(seen.base, seen.seen) if seen else None,
            correlation_id=wanted.correlation_id,
            causation_id=wanted.causation_id,
            retryable=bool(wanted.commit_id),
            level=wanted.level,
            system=system,
        )
        receipt = await self._ingest.submit(submission)
        assert isinstance(receipt, Receipt), receipt
        return pb.CommitResponse(
            answer=_answer(receipt.position, token, receipt.level),
            op_id=convert.op_id_to(wanted.space, receipt.op_id),
            outcome=convert.outcome_to(
                wanted.space, receipt.op_id, receipt.outcome, receipt.position
            ),
            applied_locally=True,
        )

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Reads one record."""
        space, key = names.check_space(request.space), _key(request.collection, request.key)
        level = convert.read_level_from(request).level or Level.STRONG
        token = await self._sessions.ready(space, request.session_token, context)
        position, found = await self._reads.get(space, [key], request.as_of_revision)
        answer = _answer(position, token, level)
        if not found:
            path = f"{space}/{request.collection}/{request.key} does not exist"
            raise Refusal("RECORD_NOT_FOUND", path, metadata=convert.absence(answer))
        return pb.GetResponse(record=record_to(position.epoch, found[0]), answer=answer)

    async def BatchGet(self, request: pb.BatchGetRequest, context: Context) -> pb.BatchGetResponse:
        """Reads records at one position."""
        space = names.check_space(request.space)
        level = convert.read_level_from(request).level or Level.STRONG
        _check_count("names", len(request.names), MAX_NAMES)
        keys = [_key(name.collection, name.key) for name in request.names]
        token = await self._sessions.ready(space, request.session_token, context)
        position, found = await self._reads.get(space, keys)
        check_room(len(each.value) for each in found)
        return pb.BatchGetResponse(
            records=[record_to(position.epoch, each) for each in found],
            answer=_answer(position, token, level),
        )

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Reads a page of a collection."""
        space = names.check_space(request.space)
        collection = names.check_collection(request.collection)
        level = convert.read_level_from(request).level or Level.STRONG
        size = page_size(request.page_size)
        scan = request.scan_limit or max(DEFAULT_SCAN, size)
        _check_count("scan_limit", scan, MAX_SCAN)
        token = await self._sessions.ready(space, request.session_token, context)
        page = await self._reads.page(
            space, collection, request.key_prefix, request.page_token, size, scan,
            Filter(request.filter), descending=request.descending,
        )  # fmt: skip
        return pb.ListResponse(
            records=[record_to(page.position.epoch, each) for each in page.records],
            next_page_token=page.next_key,
            scanned=page.scanned,
            answer=_answer(page.position, token, level),
        )

    def page_token(self, key: str) -> str:
        """Where a list goes on after a key."""
        return key

    def named(self, actor: record.Actor) -> None:
        """Here everybody says who he is."""

    async def History(self, request: pb.HistoryRequest, context: Context) -> pb.HistoryResponse:
        """Reads the commits that made a record what it is."""
        del context
        space, key = names.check_space(request.space), _key(request.collection, request.key)
        before = _number(request.page_token)
        steps, left = await self._reads.history(space, *key, before, page_size(request.page_size))
        position = await self._reads.position(space)
        return pb.HistoryResponse(
            entries=[_entry(position, step) for step in steps],
            next_page_token=str(left) if left else "",
            complete=True,
        )

    async def pending(self, space: str, collection: str, key: str) -> list[pb.HistoryEntry]:
        """What was done to a record here and is not decided: nothing ever is."""
        del space, collection, key
        return []

    async def GetOutcome(
        self, request: pb.GetOutcomeRequest, context: Context
    ) -> pb.GetOutcomeResponse:
        """Tells what became of commits."""
        del context
        space = names.check_space(request.space)
        _check_count("op_ids", len(request.op_ids), MAX_NAMES)
        op_ids = [convert.op_id_from(op_id) for op_id in request.op_ids]
        fates = await self._reads.fates(space, op_ids)
        return pb.GetOutcomeResponse(outcomes=[_fate(space, fate) for fate in fates])

    async def Wait(self, request: pb.WaitRequest, context: Context) -> pb.WaitResponse:
        """Waits until something has happened."""
        space, seconds = names.check_space(request.space), seconds_left(context)
        which = request.WhichOneof("until")
        fates: list[Fate] = []
        if which == "position":
            wanted = Position(request.position.epoch, space, request.position.revision)
            done = await self._sessions.reached(wanted, seconds)
        elif which == "ops":
            _check_count("op_ids", len(request.ops.op_ids), MAX_NAMES)
            op_ids = [convert.op_id_from(op_id) for op_id in request.ops.op_ids]
            newest = all_origins([(o.origin, o.seq) for o in op_ids if o.origin])
            done = await self._sessions.decided(space, newest, seconds)
            fates = await self._reads.fates(space, op_ids)
        elif which == "synced":
            done = True  # nothing is ever pending here
        else:
            raise Refusal("MALFORMED_REQUEST", "until: position, ops or synced")
        if not done:
            raise Refusal("DEADLINE_PASSED", "what was waited for has not happened yet")
        return pb.WaitResponse(
            answer=_answer(await self._reads.position(space), SessionToken()),
            outcomes=[_fate(space, fate) for fate in fates],
        )

    async def _events_of(self, space: str, row: LogRow) -> Sequence[Event]:
        """The commits of a row. What would take too long to work out is told as the log's end:
        read the state, and watch from there."""
        try:
            return await self._events.of(space, row)
        except Refusal as refusal:
            if refusal.reason != "HISTORY_TOO_LONG":
                raise
            raise Refusal("COMPACTED", refusal.message) from refusal

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Streams commits in order."""
        del context
        space = names.check_space(request.space)
        wanted = _Wanted(request)
        wake = asyncio.Event()
        self._fanout.listen(space, wake)
        try:
            start = await self._start(space, request.resume_token)
            yield _bookmark(start)
            revision, now_s = start.revision, asyncio.get_running_loop().time
            epoch = start.epoch
            told_s = now_s()
            while True:
                wake.clear()
                epoch = await self._still(Position(epoch, space, revision))
                rows = await self._rows_after(space, revision)
                for row in rows:
                    for event in await self._events_of(space, row):
                        if event.revision <= revision:
                            continue
                        revision = event.revision
                        message = wanted.message(Position(row.epoch, space, revision), event)
                        if message is not None:
                            yield message
                            told_s = now_s()
                if not rows and self._fanout.closed:
                    raise Refusal("SHUTTING_DOWN")
                left_s = told_s + IDLE_BOOKMARK_SECONDS - now_s()
                if left_s <= 0:
                    yield _bookmark(Position(epoch, space, revision))
                    told_s = now_s()
                elif not rows:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(left_s):
                            await wake.wait()
        finally:
            self._fanout.forget(space, wake)

    async def _rows_after(self, space: str, revision: int) -> Sequence[LogRow]:
        """The next rows of a watch. Raises Refusal COMPACTED if what follows is no longer kept."""
        rows = await self._fanout.rows_after(space, revision)
        if rows and rows[0].first_revision > revision + 1:
            raise Refusal("COMPACTED", f"what followed revision {revision} is no longer kept")
        return rows

    async def _start(self, space: str, resume: bytes) -> Position:
        """Where a watch begins. Raises Refusal TOKEN_INVALID, FUTURE_REVISION, EPOCH_CHANGED."""
        now = await self._reads.position(space)
        if not resume:
            return now
        try:
            if not resume.startswith(_RESUME):
                raise ValueError
            epoch, revision = map(parse_number, resume[len(_RESUME) :].decode("ascii").split(":"))
        except ValueError:
            raise Refusal("TOKEN_INVALID", "a resume token that is not of a hub's watch") from None
        if epoch != now.epoch:
            now = await self._sessions.reached_by(Position(epoch, space, revision))
        if revision > now.revision:
            raise Refusal("FUTURE_REVISION", f"{space} is at revision {now.revision}")
        return Position(now.epoch, space, revision)

    async def _still(self, place: Position) -> int:
        """The epoch in which a watch goes on. Raises Refusal EPOCH_CHANGED if its place is gone."""
        head = self._fanout.head(place.space)
        if head is None or head.epoch <= place.epoch:
            return place.epoch
        return (await self._sessions.reached_by(place)).epoch


class _Wanted:
    """What a watch asks for."""

    def __init__(self, request: pb.WatchRequest) -> None:
        self._collection = request.collection and names.check_collection(request.collection)
        self._prefix, self._filter = request.key_prefix, Filter(request.filter)

    def message(self, position: Position, event: Event) -> pb.WatchResponse | None:
        """The commit as far as it is wanted; None if nothing of it is."""
        changes = [change for change in event.changes if self._wants(change)]
        if not changes:
            return None
        outcome = convert.outcome_to(position.space, event.op_id, event.outcome, position)
        room = Room()
        commit = pb.CommitEvent(
            changes=[_change(position, event, change, room) for change in changes],
            outcome=outcome,
            actor=convert.actor_to(event.actor),
            correlation_id=event.extra.correlation_id,
            causation_id=event.extra.causation_id,
        )
        return pb.WatchResponse(commit=commit, resume_token=_resume(position))

    def _wants(self, change: Changed) -> bool:
        if self._collection and change.collection != self._collection:
            return False
        if not change.key.startswith(self._prefix):
            return False
        return self._filter.matches(change.key, change.value)


def page_size(asked: int) -> int:
    """The size of a page. Raises Refusal."""
    _check_count("page_size", asked or DEFAULT_PAGE, MAX_PAGE)
    return asked or DEFAULT_PAGE


def _check_count(name: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise Refusal(_LIMIT_REASONS.get(name, "TOO_MANY_OPS"), f"{name}: 1 to {most}")


_LIMIT_REASONS = {"page_size": "PAGE_SIZE_INVALID", "scan_limit": "SCAN_LIMIT_INVALID"}


def _key(collection: str, key: str) -> tuple[str, str]:
    return names.check_collection(collection), names.check_key(key)


def _number(token: str) -> int:
    try:
        return parse_number(token or "0")
    except ValueError:
        raise Refusal("PAGE_TOKEN_INVALID", "the page token is not one of this service") from None


def _answer(position: Position, token: SessionToken, level: Level = Level.EVENTUAL) -> pb.Answer:
    """Whatever level was asked for is kept here: a read is of the database, by a statement that
    began after the request, so nothing that was acknowledged is missing in it."""
    return pb.Answer(
        level=int(level),  # type: ignore[arg-type]
        position=convert.position_to(position),
        session_token=token.saw(position, {}).encode(),
        staleness_ms=0,
        includes_pending=False,
        new_session=token.is_new,
        context=convert.context_to(position.epoch, position.revision, ()),
    )


def record_to(epoch: int, found: Found) -> record.Record:
    """A record as it travels."""
    return record.Record(
        collection=found.collection,
        key=found.key,
        json=found.value.decode(),
        version=version_to(Version(epoch, found.revision, found.origin, found.seq)),
        actor=convert.actor_to(found.actor),
        deleted=found.deleted,
        stamp=found.stamp,
    )


def _change(position: Position, event: Event, change: Changed, room: Room) -> pb.Change:
    value = change.value
    fits = room.takes(len(value))
    found = Found(
        change.collection, change.key, value if fits else b"", change.deleted,
        event.revision, event.op_id.origin, event.op_id.seq, event.stamp, event.actor,
    )  # fmt: skip
    return pb.Change(
        record=record_to(position.epoch, found), previous_revision=change.previous,
        omitted=not fits,
    )  # fmt: skip


def _entry(position: Position, step: Step) -> pb.HistoryEntry:
    at = Position(position.epoch, position.space, step.revision)
    return pb.HistoryEntry(
        outcome=convert.outcome_to(position.space, step.op_id, step.outcome, at),
        actor=convert.actor_to(step.actor),
        stamp=step.stamp,
        claimed=step.claimed,
        ops=convert.ops_to(step.ops),
        previous_revision=step.previous,
        correlation_id=step.extra.correlation_id,
        causation_id=step.extra.causation_id,
    )


def _fate(space: str, fate: Fate) -> record.Outcome:
    if fate.position is None:
        return record.Outcome(op_id=convert.op_id_to(space, fate.op_id), reason=fate.outcome.reason)
    return convert.outcome_to(space, fate.op_id, fate.outcome, fate.position)


def _resume(position: Position) -> bytes:
    return _RESUME + f"{position.epoch}:{position.revision}".encode()


def _bookmark(position: Position) -> pb.WatchResponse:
    return pb.WatchResponse(
        bookmark=pb.WatchBookmark(position=convert.position_to(position)),
        resume_token=_resume(position),
    )
