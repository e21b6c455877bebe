"""EdgeService: what a person or a program on the device asks of the edge agent itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import grpc

import holdfast
from edge_agent.database import EdgeFiles
from edge_agent.intake import Intake
from edge_agent.local_store import LocalStore
from edge_agent.outbox_rows import DamagedRow, Limits
from edge_agent.reads import Reads
from edge_agent.uplink import LinkState, Uplink
from holdfast.host.refusal import Refusal
from holdfast.v1 import edge_service_pb2 as pb
from holdfast.v1 import replication_service_pb2 as replication
from sync import names
from sync.batch import MAX_PAYLOAD_BYTES, Batch
from sync.codec import requests as convert
from sync.commit import Commit, OpId
from sync.messages import Scope, VoidRange
from sync.position import Position, parse_number
from sync.room import Room

Context = grpc.aio.ServicerContext[Any, Any]

MAX_PAGE = 1_000
DEFAULT_PAGE = 100

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATES = {
    LinkState.CONNECTING: pb.LINK_STATE_CONNECTING,
    LinkState.GREETING: pb.LINK_STATE_GREETING,
    LinkState.STREAMING: pb.LINK_STATE_STREAMING,
    LinkState.PAUSED: pb.LINK_STATE_PAUSED,
    LinkState.NEEDS_AUTH: pb.LINK_STATE_NEEDS_AUTH,
}


class EdgeService:
    """Serves holdfast.v1.EdgeService."""

    def __init__(
        self, files: EdgeFiles, store: LocalStore, reads: Reads, intake: Intake, uplink: Uplink,
        scopes: Mapping[str, Scope],
    ) -> None:  # fmt: skip
        self._files, self._store, self._reads = files, store, reads
        self._intake, self._uplink, self._scopes = intake, uplink, scopes
        self._started_ns = files.clock.boot_ns()

    async def GetEdgeStatus(
        self, request: pb.GetEdgeStatusRequest, context: Context
    ) -> pb.GetEdgeStatusResponse:
        """The edge's state in numbers."""
        del request, context
        files = self._files
        spaces = [await self._space(name) for name in sorted({*self._scopes, *files.outbox.spaces})]
        return pb.GetEdgeStatusResponse(
            edge=files.outbox.edge,
            version=holdfast.__version__,
            origin=files.outbox.origin.id,
            hub=self._uplink.address.text,
            link=_STATES[self._uplink.state],
            link_reason=self._uplink.reason,
            spaces=spaces,
            pending=sum(space.pending for space in spaces),
            outbox_bytes=files.outbox.size_bytes,
            outbox_limit_bytes=files.outbox.limit_bytes,
            alarms=files.alarms.names,
            uptime_ms=(files.clock.boot_ns() - self._started_ns) // 1_000_000,
            memory_bytes=_resident_bytes(),
            rebuilds=files.rebuilds,
            commits=self._store.commits,
            applied=self._intake.applied,
            clock_skew_ms=self._skew_ms(),
        )

    def _skew_ms(self) -> int | None:
        offset, clock = self._uplink.clock_offset_ms, self._files.clock
        if offset is None:
            return None
        return clock.wall_ms() - (clock.boot_ns() // 1_000_000 + offset)

    async def ListOutbox(
        self, request: pb.ListOutboxRequest, context: Context
    ) -> pb.ListOutboxResponse:
        """Commits not decided by the hub, oldest first."""
        del context
        if not 0 <= request.page_size <= MAX_PAGE:
            raise Refusal("PAGE_SIZE_INVALID")
        size = request.page_size or DEFAULT_PAGE
        space, ordinal, seq = _place(request.page_token)
        spaces = [names.check_space(request.space)] if request.space else self._files.outbox.spaces
        entries: list[pb.OutboxEntry] = []
        token, room = "", Room()
        for name in spaces:
            if name < space:
                continue
            start = (ordinal, seq) if name == space else (0, 0)
            found, token = await self._pending(name, start, size - len(entries), room)
            entries += found
            if token:
                break
        return pb.ListOutboxResponse(entries=entries, next_page_token=token)

    async def ListScopes(
        self, request: pb.ListScopesRequest, context: Context
    ) -> pb.ListScopesResponse:
        """What is replicated."""
        del request, context
        scopes = [
            pb.Scope(space=space, collection=collection)
            for space, scope in sorted(self._scopes.items())
            for collection in ([""] if scope.whole else sorted(scope.collections))
        ]
        return pb.ListScopesResponse(scopes=scopes)

    async def Pause(self, request: pb.PauseRequest, context: Context) -> pb.PauseResponse:
        """Stops talking to the hub."""
        del request, context
        await self._uplink.pause()
        return pb.PauseResponse()

    async def Resume(self, request: pb.ResumeRequest, context: Context) -> pb.ResumeResponse:
        """Talks to the hub again."""
        del request, context
        await self._uplink.resume()
        return pb.ResumeResponse()

    async def _space(self, space: str) -> pb.EdgeSpaceStatus:
        outbox = self._files.outbox
        standing = await self._reads.standing(space)
        cursor, head = standing.cursor, self._uplink.heads.get(space)
        pending = newest = decided = 0
        for ordinal in outbox.streams(space):
            own = standing.own.get(ordinal)
            newest = outbox.counter(space, ordinal).last_seq
            decided = own.decided_seq if own else 0
            pending += max(0, newest - decided)
        position, now = Position(cursor.epoch, space, cursor.revision), self._uplink.now
        self._uplink.freshness.look(now)
        return pb.EdgeSpaceStatus(
            space=space,
            position=convert.position_to(position),
            staleness_ms=self._uplink.freshness.proof(position, now).staleness_ms,
            head=max(cursor.revision, head.revision if head else 0),
            pending=pending,
            newest_seq=newest,
            decided_seq=decided,
            digests=[
                replication.CollectionDigest(
                    collection=d.collection, digest=d.digest, records=d.records
                )
                for d in await self._reads.digests(space)
            ],
            verified=self._intake.verified.get(space, False),
        )

    async def _pending(
        self, space: str, start: tuple[int, int], size: int, room: Room
    ) -> tuple[list[pb.OutboxEntry], str]:
        """The next entries, and where to go on (empty: these were all of the space)."""
        outbox = self._files.outbox
        standing = await self._reads.standing(space)
        entries: list[pb.OutboxEntry] = []
        for ordinal in outbox.streams(space):
            if ordinal < start[0]:
                continue
            own = standing.own.get(ordinal)
            after = max(own.decided_seq if own else 0, start[1] if ordinal == start[0] else 0)
            while len(entries) < size:
                batch = await self._read(space, ordinal, after, size - len(entries))
                if batch is None:
                    break
                if not room.takes(sum(map(len, batch.payloads))):
                    return entries, f"{space}/{ordinal}/{after}"
                offered = outbox.offered.get((space, ordinal), 0)
                entries += [
                    _entry(space, batch.origin, batch.commit(i), offered) for i in range(len(batch))
                ]
                after = batch.last_seq
            if len(entries) >= size:
                return entries, f"{space}/{ordinal}/{after}"
        return entries, ""

    async def _read(self, space: str, ordinal: int, after: int, size: int) -> Batch | None:
        """The next commits that are still to come; void ones are passed over."""
        outbox = self._files.outbox
        limits = Limits(commits=size, payload_bytes=MAX_PAYLOAD_BYTES)
        origin = outbox.id_of(ordinal)
        while True:
            try:
                found = await self._files.in_outbox(
                    lambda c, a=after: outbox.read(c, space, origin, a, limits)  # type: ignore[misc]
                )
            except DamagedRow:
                return None
            if not isinstance(found, VoidRange):
                return found
            after = found.first_seq + found.count - 1


def _entry(space: str, origin: bytes, commit: Commit, offered: int) -> pb.OutboxEntry:
    return pb.OutboxEntry(
        op_id=convert.op_id_to(space, OpId(origin, commit.seq, commit.id)),
        actor=convert.actor_to(commit.actor),
        ops=convert.ops_to(commit.ops),
        claimed=commit.claimed,
        offered=commit.seq <= offered,
        coalesced_by=commit.extra.coalesced_by,
    )


def _place(token: str) -> tuple[str, int, int]:
    if not token:
        return "", 0, 0
    try:
        space, ordinal, seq = token.split("/")
        return space, parse_number(ordinal), parse_number(seq)
    except ValueError:
        raise Refusal("PAGE_TOKEN_INVALID") from None


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * _PAGE_BYTES
