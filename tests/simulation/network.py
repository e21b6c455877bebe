"""The network between edges and the hub: what gRPC's streams promise, and all that breaks them.

Messages of one stream arrive whole and in order or not at all; they pass as the bytes of their
protobuf. A link has a delay; it may be down (dialling fails or hangs), stalled one way (nothing
arrives, nobody is told), or break (what is under way is lost, either end learns of it, now or
later). A stalled link is noticed by gRPC's keepalive after a while, or not at all.

Invariant: nothing is delivered to a process that is dead, nor taken from one.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc

from holdfast.v1 import replication_service_pb2 as pb
from tests.simulation.processes import CURRENT, Process
from tests.simulation.unary import asked

KEEPALIVE_S = 15.0
"""After which gRPC gives a silent connection up, as the daemons set it."""

CONNECT_TIMEOUT_S = 20.0
"""How long dialling into nothing takes."""

SYN_AGAIN_S = 3.0
"""A dial that hangs goes through this soon after the link is back."""


class Served(Protocol):
    """A hub process that takes streams."""

    process: Process | None

    @property
    def up(self) -> bool: ...

    @property
    def service(self) -> Any: ...

    def replicate(self, requests: AsyncIterator[Any], context: ServerContext) -> Any: ...


@dataclass
class Link:
    """What lies between one edge and the hub."""

    loop: asyncio.AbstractEventLoop
    luck: random.Random
    delay_s: float = 0.01
    jitter_s: float = 0.01
    capacity: int = 64
    reading_s: float = 0.0
    """How long the edge takes over each message: a slow reader."""
    down: bool = False
    hangs: bool = False
    stalled: set[str] = field(default_factory=set)
    streams: list[Connection] = field(default_factory=list)
    messages: int = 0

    def latency_s(self) -> float:
        return self.delay_s + self.luck.expovariate(1.0) * self.jitter_s

    def stall(self, directions: set[str]) -> None:
        """From now on nothing arrives that goes one way, or either."""
        self.stalled |= directions
        for stream in list(self.streams):
            stream.stalled()

    def heal(self) -> None:
        """All is well again; what waited goes on."""
        self.down = self.hangs = False
        self.stalled.clear()
        self.reading_s = 0.0
        for stream in list(self.streams):
            stream.healed()

    def cut(self) -> None:
        """Every stream breaks in the middle."""
        for stream in list(self.streams):
            stream.break_both()


class Pipe:
    """One direction of a stream. `capacity` bounds what is under way or not taken yet."""

    def __init__(self, link: Link, direction: str, to: Callable[[], Process | None]) -> None:
        self._link, self._direction, self._to = link, direction, to
        self._flight: deque[tuple[float, object]] = deque()
        self._arrived: deque[object] = deque()
        self._room, self._news = asyncio.Event(), asyncio.Event()
        self._armed = False
        self._last = 0.0
        self.broken: BaseException | None = None
        self._severed = False

    async def put(self, item: object) -> None:
        while len(self._flight) + len(self._arrived) >= self._link.capacity:
            self._room.clear()
            self.check()
            await self._room.wait()
        self.check()
        self.send(item)

    def check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def send(self, item: object) -> None:
        """Puts it on its way without waiting for room."""
        if self._severed:
            return
        now = self._link.loop.time()
        self._last = max(self._last, now + self._link.latency_s())
        self._flight.append((self._last, item))
        self._link.messages += 1
        self.arm()

    def arm(self) -> None:
        if self._flight and not self._armed and self._direction not in self._link.stalled:
            self._armed = True
            self._link.loop.call_at(max(self._flight[0][0], self._link.loop.time()), self._deliver)

    def _deliver(self) -> None:
        self._armed = False
        if self._direction in self._link.stalled or not self._flight:
            return
        self._arrived.append(self._flight.popleft()[1])
        self._news.set()
        self.arm()

    async def get(self) -> object:
        while not self._arrived:
            if self.broken is not None:
                raise self.broken
            self._news.clear()
            await self._news.wait()
        item = self._arrived.popleft()
        self._room.set()
        return item

    def sever(self) -> None:
        """What is under way is lost, and whatever is sent after it; nobody is told yet."""
        self._severed = True
        self._flight.clear()

    def break_off(self, error: BaseException) -> None:
        """What is under way is lost; both who waits to read and who waits to write is told."""
        if self.broken is None:
            self.broken = error
        self._flight.clear()
        self._arrived.clear()
        self._news.set()
        self._room.set()


class _End:
    """The hub has ended the stream, with OK."""


END = _End()


def unavailable(why: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details=why
    )


class Connection:
    """One stream, from dialling to its end."""

    def __init__(self, link: Link, edge: Process, hub: Callable[[], Served | None]) -> None:
        self._link, self._edge, self._hub = link, edge, hub
        self.up = Pipe(link, "up", self._hub_process)
        self.down = Pipe(link, "down", lambda: edge)
        self.established = False
        self.handler: asyncio.Task[Any] | None = None
        self.ended = False
        link.streams.append(self)
        edge.at_death.append(self._edge_died)
        link.loop.call_later(link.latency_s(), self._dialled)

    # -- dialling ------------------------------------------------------------

    def _dialled(self) -> None:
        if self.established or self.ended or not self._edge.alive:
            return
        hub, link = self._hub(), self._link
        if link.hangs or link.stalled:
            link.loop.call_later(CONNECT_TIMEOUT_S, self._gave_up)
        elif link.down or hub is None or hub.process is None or not hub.process.alive:
            self.break_edge("connection refused")
        else:
            self._accept(hub, hub.process)

    def _gave_up(self) -> None:
        if not self.established:
            self.break_edge("dialling timed out")

    def _accept(self, hub: Served, process: Process) -> None:
        self.established = True
        self._served = process
        process.at_death.append(self._hub_died)
        context = ServerContext(self, process)
        self.handler = process.spawn(self._serve(hub, context), "replicate")

    async def _serve(self, hub: Served, context: ServerContext) -> None:
        try:
            await hub.replicate(self._requests(), context)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.down.send(unavailable(f"{type(error).__name__}: {error}"))
            raise
        if self._served.alive:
            self.down.send(END)

    async def _requests(self) -> AsyncIterator[Any]:
        while True:
            item = await self.up.get()
            if item is END:
                return
            assert isinstance(item, bytes)
            yield pb.ReplicateRequest.FromString(item)

    def _hub_process(self) -> Process | None:
        return self._served if self.established else None

    # -- how it ends ---------------------------------------------------------

    def break_edge(self, why: str) -> None:
        """The edge learns that the stream is lost."""
        self.down.break_off(unavailable(why))
        self.up.break_off(unavailable(why))
        self._over()

    def break_hub(self) -> None:
        """The hub learns that the stream is lost: its handler is cancelled."""
        if self.handler is not None and not self.handler.done():
            self.handler.cancel()

    def break_both(self) -> None:
        """What is under way is lost now; each end learns of it a little later."""
        self.ended = True
        error = unavailable("connection reset")
        luck, loop = self._link.luck, self._link.loop
        if luck.random() < 0.5:
            self.up.sever()
            self.down.sever()
        loop.call_later(luck.uniform(0, 0.2), self.break_edge, str(error.details()))
        loop.call_later(luck.uniform(0, 0.2), self.break_hub)

    def cancelled_by_edge(self) -> None:
        """The edge has let go; the hub hears of it, unless the link is stalled."""
        self.down.break_off(asyncio.CancelledError())
        self.up.break_off(unavailable("cancelled"))
        self._over()
        if "up" not in self._link.stalled:
            self._link.loop.call_later(self._link.latency_s(), self.break_hub)
        else:
            self._link.loop.call_later(KEEPALIVE_S, self.break_hub)

    def _edge_died(self) -> None:
        if self.ended:
            return
        self._over()
        silent = self._link.luck.random() < 0.3
        self._link.loop.call_later(
            KEEPALIVE_S if silent else self._link.latency_s(), self.break_hub
        )

    def _hub_died(self) -> None:
        silent = self._link.luck.random() < 0.3
        delay = KEEPALIVE_S if silent else self._link.latency_s()
        self._link.loop.call_later(delay, self.break_edge, "connection reset")

    def _over(self) -> None:
        self.ended = True
        if self in self._link.streams:
            self._link.streams.remove(self)

    # -- stalls --------------------------------------------------------------

    def stalled(self) -> None:
        if self._link.luck.random() < 0.7:
            delay = KEEPALIVE_S + self._link.luck.uniform(0, 1)
            self._link.loop.call_later(delay, self._keepalive, self.break_edge, "keepalive")
            self._link.loop.call_later(delay, self._keepalive, self.break_hub)

    def _keepalive(self, then: Callable[..., None], *args: object) -> None:
        if self._link.stalled:
            then(*args)

    def healed(self) -> None:
        self.up.arm()
        self.down.arm()
        if not self.established:
            delay = self._link.luck.uniform(0, SYN_AGAIN_S)
            self._link.loop.call_later(delay, self._dialled)


class ServerContext:
    """What a servicer is handed, as far as a stream uses it."""

    def __init__(self, connection: Connection, process: Process) -> None:
        self._connection, self._process = connection, process

    def auth_context(self) -> dict[str, list[bytes]]:
        """Nobody has a certificate here."""
        return {}

    async def write(self, message: pb.ReplicateResponse) -> None:
        if self._process.alive:
            await self._connection.down.put(message.SerializeToString())


class Call:
    """The edge's end of a stream, as grpc.aio's."""

    def __init__(self, connection: Connection, link: Link, serialize: Any, parse: Any) -> None:
        self._connection, self._link = connection, link
        self._serialize, self._parse = serialize, parse
        self._done = False

    async def write(self, message: Any) -> None:
        if self._done:
            raise asyncio.InvalidStateError("the stream is over")
        process = CURRENT.get()
        if process is not None and not process.alive:
            return
        await self._connection.up.put(self._serialize(message))

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> Any:
        item = await self._connection.down.get()
        if self._link.reading_s:
            await asyncio.sleep(self._link.reading_s)
        if item is END:
            self._done = True
            raise StopAsyncIteration
        if isinstance(item, grpc.aio.AioRpcError):
            raise item
        return self._parse(item)

    def cancel(self) -> bool:
        if not self._done:
            self._done = True
            self._connection.cancelled_by_edge()
        return True


class Channel:
    """What an edge's stub is made on."""

    def __init__(self, link: Link, edge: Process, hub: Callable[[], Served | None]) -> None:
        self._link, self._edge, self._hub = link, edge, hub

    def stream_stream(
        self, _path: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Callable[[], Call]:
        def dial() -> Call:
            connection = Connection(self._link, self._edge, self._hub)
            return Call(connection, self._link, request_serializer, response_deserializer)

        return dial

    def unary_unary(
        self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Callable[..., Any]:
        method = path.rpartition("/")[2]

        async def ask(request: Any, *, timeout: float) -> Any:
            data = request_serializer(request)
            read = type(request).FromString
            return response_deserializer(
                await asked(self._link, self._hub, method, data, timeout, read)
            )

        return ask

    def unary_stream(self, path: str, *_: Any, **_more: Any) -> Callable[..., Any]:
        def watch(*_: Any, **_more: Any) -> Any:
            raise AssertionError(f"{path} is not handed on by edges")

        return watch

    async def close(self, _seconds: float | None = None) -> None:
        """A simulated channel holds nothing."""
