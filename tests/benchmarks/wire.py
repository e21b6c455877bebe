"""Rows of the wire: bytes per change between an edge and its hub, counted where they pass.

A proxy on loopback counts what TCP carries: HTTP/2 and gRPC framing, heartbeats and all; not the
headers of IP and TCP. Up is what the edge sends, down what it is sent, which with the product is
its own commits as decided.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import backlog as backlogs
from tests.benchmarks import calls
from tests.benchmarks.backlog import Backlog
from tests.benchmarks.bench import Bench, house
from tests.benchmarks.figures import Figure

CHUNK_BYTES = 1 << 16
SINGLES_PER_SECOND = 50
"""Far enough apart that each goes alone."""

REST_SECONDS = 0.7


@dataclass(slots=True)
class Proxy:
    """Carries connections to a port that is known later, and counts."""

    port: int = 0
    target: int = 0
    up: int = 0
    down: int = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(
            self._pump(reader, there_writer, up=True), self._pump(there_reader, writer, up=False)
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                if up:
                    self.up += len(data)
                else:
                    self.down += len(data)
                writer.write(data)
                await writer.drain()
        writer.close()


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes per change."""

    up: float
    down: float


@contextlib.asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy that listens."""
    made = Proxy()
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def rows(bench: Bench) -> list[Figure]:
    """Bytes per change: in batches, and alone."""
    with bench.place() as root:
        backlog = await backlogs.made(root, "put", 1, min(bench.size.changes, 20_000))
        theirs, ours = [await _batched(backlog, side) for side in ("bare", "product")]
    found = list(_figures("in batches", ours, theirs))
    theirs, ours = [await _singly(bench, side) for side in ("bare", "product")]
    return found + list(_figures("singly", ours, theirs))


def _figures(how: str, ours: Passed, theirs: Passed) -> Iterator[Figure]:
    for way in ("up", "down"):
        mine, bare = getattr(ours, way), getattr(theirs, way)
        yield Figure.of(f"bytes on the wire per change, {how}, {way}", "bytes", [mine], [bare])


async def _batched(backlog: Backlog, side: str) -> Passed:
    run = backlog.copy(side)
    return await _counted(side, run, backlog.changes)


async def _counted(side: str, run: Path, changes: int, *, singly: bool = False) -> Passed:
    async with proxy() as counting, house(side, run, 1, through=counting.port) as daemons:
        counting.target = daemons.hub.ready["port"]
        (edge,) = daemons.edges
        await edge.ask("drain")
        await asyncio.sleep(REST_SECONDS)
        if singly:
            counting.up = counting.down = 0
            async with calls.stub(edge.ready["socket"]) as stub:
                await calls.paced(stub.Commit, calls.commits(changes), SINGLES_PER_SECOND)
            await asyncio.sleep(REST_SECONDS)
        return Passed(counting.up / changes, counting.down / changes)


async def _singly(bench: Bench, side: str) -> Passed:
    with bench.place() as root:
        return await _counted(side, root, int(SINGLES_PER_SECOND * bench.size.seconds), singly=True)
