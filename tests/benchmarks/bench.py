"""What a row is given: how much to do, where, and how to take turns.

Invariant: whatever a row makes lies under its own directory, which is removed after it.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.benchmarks import processes
from tests.benchmarks.figures import Figure
from tests.benchmarks.processes import Process

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done. `changes` are those of a drain, `seconds` those of a paced row, `texts` how
    long the texts are that people type into."""

    runs: int
    changes: int
    calls: int
    seconds: float
    records: int
    texts: tuple[int, ...] = (10_000, 200_000)


FULL = Size(runs=5, changes=100_000, calls=3_000, seconds=10.0, records=100_000)
QUICK = Size(runs=3, changes=20_000, calls=1_000, seconds=4.0, records=100_000)
TINY = Size(runs=1, changes=500, calls=20, seconds=0.5, records=500, texts=(1_000,))
"""For the test that all of this runs."""


@dataclass(slots=True)
class Bench:
    """One call of the bench. `cpu_us` is what one drained change costs the hub and the edge, as
    rows find out that others relate to."""

    size: Size
    notes: list[str] = field(default_factory=list)
    cpu_us: dict[str, float] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """For the end of the table."""
        self.notes.append(text)

    def say(self, text: str) -> None:
        """That it goes on."""
        sys.stderr.write(f"  {text}\n")

    @contextlib.contextmanager
    def place(self) -> Iterator[Path]:
        """A directory with a short name: a socket's path has 107 bytes."""
        with tempfile.TemporaryDirectory(prefix="hb-", ignore_cleanup_errors=True) as root:
            yield Path(root)

    async def turns(
        self, bare: Callable[[], Awaitable[T]], product: Callable[[], Awaitable[T]]
    ) -> tuple[list[T], list[T]]:
        """Baseline and product in turn; the results of both."""
        theirs, ours = [], []
        for run in range(self.size.runs):
            theirs.append(await bare())
            ours.append(await product())
            self.say(f"run {run + 1} of {self.size.runs}: {ours[-1]} beside {theirs[-1]}")
        return theirs, ours


Row = Callable[[Bench], Awaitable[list[Figure]]]


@dataclass(frozen=True, slots=True)
class House:
    """A hub and edges, as processes. The edges are told to go to the hub by "drain"."""

    hub: Process
    edges: list[Process]


@contextlib.asynccontextmanager
async def house(
    side: str, root: Path, edges: int, database: str = "", through: int = 0
) -> AsyncIterator[House]:
    """The "product" or the "bare" daemons on the directories `hub` and `edge-N`, made if absent.
    Edges dial the port `through` if one is given."""
    for name in ("hub", *(f"edge-{n}" for n in range(edges))):
        (root / name).mkdir(exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        where = database or root / "hub"
        if side == "bare":
            starting = processes.started("bare_hub", "127.0.0.1:0", where)
        else:
            starting = processes.started("product", "hub", "127.0.0.1:0", where)
        hub = await stack.enter_async_context(starting)
        address = f"127.0.0.1:{through or hub.ready['port']}"
        started = [
            await stack.enter_async_context(_edge(side, root, n, address)) for n in range(edges)
        ]
        yield House(hub, started)


def _edge(
    side: str, root: Path, number: int, address: str
) -> contextlib.AbstractAsyncContextManager[Process]:
    data = root / f"edge-{number}"
    path = root / f"{number}.sock"
    if side == "bare":
        return processes.started("bare_edge", address, data, path)
    return processes.started("product", "edge", data.name, address, data, path)
