"""The streams that are open at this process, and what their edges last said.

One stream for each origin: a newer one ends the older, and is welcomed only
when nothing of the older waits to be decided, so that what the welcome says of
the origin stays true.

What edges report is kept in memory and written now and then in one go: it is
for people and for later compaction, and no promise hangs on its last seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from cloud_hub.fence import Fence
from cloud_hub.meter import Meter
from holdfast.host.clock import Clock
from sync import messages as m


class OpenStream(Protocol):
    """What the registry asks of a stream."""

    def close(self, reason: str, message: str, retry_after_ms: int = 0) -> None:
        """Says goodbye."""

    async def drained(self) -> None:
        """Waits until nothing of it waits to be decided."""

    @property
    def behind(self) -> int:
        """Revisions that it has still to be sent, in the space where they are most."""
        ...


@dataclass(slots=True)
class EdgeState:
    """What is known of an edge. `skew_ms` is its wall clock less the hub's."""

    edge: str
    origin: bytes
    software: str = ""
    last_seen_ms: int = 0
    pending: int = 0
    outbox_bytes: int = 0
    skew_ms: int = 0
    alarms: tuple[str, ...] = ()
    counters: m.EdgeCounters | None = None
    """Of the process that was heard of last; not saved."""
    cursors: dict[str, m.SpaceCursor] = field(default_factory=dict)
    connected: bool = False
    unsaved: bool = True


class Streams:
    """The registry. `save` writes edges to the database."""

    def __init__(
        self, clock: Clock, save: Callable[[list[EdgeState]], Awaitable[None]], fence: Fence,
        meter: Meter | None = None,
    ) -> None:  # fmt: skip
        self._clock, self._save, self._fence = clock, save, fence
        self.meter = meter or Meter()
        self._open: dict[bytes, OpenStream] = {}
        self._taken: dict[bytes, bytes] = {}
        """By origin the id under which its stream here was written down."""
        self._edges: dict[str, EdgeState] = {}

    @property
    def count(self) -> int:
        return len(self._open)

    @property
    def furthest_behind(self) -> int:
        """Revisions that the stream which is furthest behind has still to be sent."""
        return max((stream.behind for stream in self._open.values()), default=0)

    def edges(self) -> dict[str, EdgeState]:
        """What is known of edges that connected since this process started, by name."""
        return self._edges

    async def enter(self, stream: OpenStream, hello: m.Hello) -> None:
        """Registers a stream; ends and drains an older one of the same origin."""
        older = self._open.get(hello.origin)
        self._open[hello.origin] = stream
        self.meter.stream_opened()
        if older is not None and older is not stream:
            older.close("SUPERSEDED", "a newer stream of this edge has come")
            await older.drained()
        taken = await self._fence.take(hello.origin)
        if self._open.get(hello.origin) is not stream:
            return  # it has gone meanwhile, or a newer one has come
        self._taken[hello.origin] = taken
        state = self._edges.setdefault(hello.edge, EdgeState(hello.edge, hello.origin))
        state.origin, state.software, state.connected = hello.origin, hello.software, True
        self._seen(state)

    async def leave(self, stream: OpenStream) -> None:
        """The stream has ended."""
        for origin in [origin for origin, held in self._open.items() if held is stream]:
            del self._open[origin]
            self._taken.pop(origin, None)
            for state in self._edges.values():
                if state.origin == origin:
                    state.connected, state.unsaved = False, True

    async def end_older(self, origins: Iterable[bytes] | None = None) -> None:
        """Ends streams whose edge has a newer one at another process; looks at all, or at those of
        these origins. Raises StorageError."""
        held = dict(self._taken)
        for origin in await self._fence.older(held, held if origins is None else origins):
            stream = self._open.get(origin)
            if stream is not None and self._taken.get(origin) == held[origin]:
                stream.close("SUPERSEDED", "a newer stream of this edge is at another process")

    def note_cursors(self, edge: str, report: m.CursorReport) -> None:
        state = self._edges.get(edge)
        if state is not None:
            state.cursors.update((cursor.space, cursor) for cursor in report.spaces)
            self._seen(state)

    def note_heartbeat(self, edge: str, beat: m.EdgeHeartbeat) -> None:
        state = self._edges.get(edge)
        if state is not None:
            state.pending, state.outbox_bytes = beat.pending, beat.outbox_bytes
            state.alarms = beat.alarms
            if beat.counters is not None:
                state.counters = beat.counters
                self.meter.heard_of(edge, beat.counters)
            state.skew_ms = beat.wall_ms - self._clock.wall_ms()
            self._seen(state)

    async def save(self) -> None:
        """Writes what has changed since the last time."""
        changed = [state for state in self._edges.values() if state.unsaved]
        for state in changed:
            state.unsaved = False
        if changed:
            await self._save(changed)

    def dismiss(self, reason: str, message: str, retry_after_ms: int = 0) -> list[OpenStream]:
        """Says goodbye on all streams."""
        streams = list(self._open.values())
        for stream in streams:
            stream.close(reason, message, retry_after_ms)
        return streams

    async def close(self, reason: str, message: str, retry_after_ms: int) -> None:
        """Says goodbye on all streams and waits until all is decided."""
        streams = self.dismiss(reason, message, retry_after_ms)
        await asyncio.gather(*(stream.drained() for stream in streams))

    def _seen(self, state: EdgeState) -> None:
        state.last_seen_ms, state.unsaved = self._clock.wall_ms(), True
