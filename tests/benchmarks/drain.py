"""Rows of the drain: a backlog, from the hub's welcome to its last acknowledgement.

Also what that costs in CPU, and what a patched record carries beside its value.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import postgres
from tests.benchmarks import backlog as backlogs
from tests.benchmarks.backlog import Backlog
from tests.benchmarks.bench import Bench, house
from tests.benchmarks.figures import Figure


@dataclass(frozen=True, slots=True)
class Drained:
    """One run."""

    changes: int
    seconds: float
    hub_us: float
    edge_us: float

    @property
    def rate(self) -> float:
        return self.changes / self.seconds

    def __str__(self) -> str:
        spent = f"hub {self.hub_us:.1f}, edge {self.edge_us:.1f} us"
        return f"{self.rate:,.0f}/s (CPU per change: {spent})"


async def put_one(bench: Bench) -> list[Figure]:
    """1 edge -> hub on SQLite, put."""
    return await _sqlite(bench, "put", 1)


async def patch_one(bench: Bench) -> list[Figure]:
    """1 edge -> hub on SQLite, patch; with the bytes of field stamps of a record."""
    return await _sqlite(bench, "patch", 1)


async def put_four(bench: Bench) -> list[Figure]:
    """4 edges -> hub on SQLite, put."""
    return await _sqlite(bench, "put", 4)


async def patch_four(bench: Bench) -> list[Figure]:
    """4 edges -> hub on SQLite, patch."""
    return await _sqlite(bench, "patch", 4)


async def put_postgres(bench: Bench) -> list[Figure]:
    """1 edge -> hub on PostgreSQL, put."""
    try:
        with bench.place() as root, postgres.serve() as server:
            template = server.template("bench", _nothing)
            backlog = await backlogs.made(
                root, "put", 1, bench.size.changes, server.address(template)
            )

            async def run(side: str) -> Drained:
                name = template if side == "product" else "template1"
                with server.database(name) as dsn:
                    return await drained(backlog, side, dsn)

            theirs, ours = await bench.turns(lambda: run("bare"), lambda: run("product"))
    except postgres.Unavailable as error:
        bench.note(f"drain of a hub on PostgreSQL: not measured, {error}")
        return []
    bench.note(f"PostgreSQL is of the {server.source}; where there is room its files are in memory")
    return _figures("drain, 1 edge, PostgreSQL, put", ours, theirs)


async def _nothing(_dsn: str) -> None:
    return


async def _sqlite(bench: Bench, kind: str, edges: int) -> list[Figure]:
    count = bench.size.changes // edges
    with bench.place() as root:
        backlog = await backlogs.made(root, kind, edges, count)
        theirs, ours = await bench.turns(
            lambda: drained(backlog, "bare"), lambda: drained(backlog, "product")
        )
        found = _figures(f"drain, {edges} edge{'s' * (edges > 1)}, {kind}", ours, theirs)
        if edges == 1:
            bench.cpu_us[f"hub {kind}"] = min(run.hub_us for run in ours)
            bench.cpu_us[f"edge {kind}"] = min(run.edge_us for run in ours)
        if kind == "patch" and edges == 1:
            found.append(_metadata(root / "run" / "hub" / "hub.db"))
    return found


async def drained(backlog: Backlog, side: str, database: str = "", through: int = 0) -> Drained:
    """Drains a copy of a backlog."""
    run = backlog.copy(side)
    async with house(side, run, backlog.edges, database, through) as daemons:
        before = await daemons.hub.ask("usage")
        answers = await asyncio.gather(*[edge.ask("drain") for edge in daemons.edges])
        after = await daemons.hub.ask("usage")
    began, ended = min(a["began_ns"] for a in answers), max(a["ended_ns"] for a in answers)
    edge_s = sum(answer["cpu_s"] for answer in answers)
    return Drained(
        backlog.changes, (ended - began) / 1e9,
        (after["cpu_s"] - before["cpu_s"]) / backlog.changes * 1e6, edge_s / backlog.changes * 1e6,
    )  # fmt: skip


def _figures(name: str, ours: Sequence[Drained], theirs: Sequence[Drained]) -> list[Figure]:
    def of(what: str, unit: str, column: str) -> Figure:
        mine = [getattr(run, column) for run in ours]
        return Figure.of(what, unit, mine, [getattr(run, column) for run in theirs])

    return [
        of(name, "changes/s", "rate"),
        of(f"{name}: CPU of the hub", "us/change", "hub_us"),
        of(f"{name}: CPU of the edge", "us/change", "edge_us"),
    ]


def _metadata(path: Path) -> Figure:
    """Bytes of field stamps per record at the hub; the baseline keeps none."""
    copy = path.with_name("read.db")
    shutil.copy(path, copy)
    connection = sqlite3.connect(copy)
    (stamps,) = connection.execute(
        "SELECT avg(coalesce(length(parts), 0) + coalesce(length(gone), 0)) FROM records"
        " WHERE space = 'site'"
    ).fetchone()
    connection.close()
    return Figure.of("field stamps of a record at the hub, after patches", "bytes", [stamps])
