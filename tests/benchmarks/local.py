"""Rows of the local door: durable writes and reads over the Unix socket, without a hub.

The baseline stores the same requests durably in one table, and answers a read without looking.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from holdfast import AsyncClient
from tests.benchmarks import calls, processes, workload
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, percentile

NOBODY = "127.0.0.1:9"
"""A hub that is not there."""

CALLERS = 64
OPS = 100


async def writes(bench: Bench) -> list[Figure]:
    """Durable writes: alone, with 64 callers, and 100 in a commit."""
    theirs, ours = await bench.turns(
        lambda: _write(bench, "bare"), lambda: _write(bench, "product")
    )

    def of(name: str, unit: str, column: str) -> Figure:
        mine = [run[column] for run in ours]
        return Figure.of(name, unit, mine, [run[column] for run in theirs])

    return [
        of("local durable write, 1 caller, p50", "ms", "p50"),
        of("local durable write, 1 caller, p99", "ms", "p99"),
        of("local durable write, 1 caller", "writes/s", "alone"),
        of("local durable write, 64 callers", "writes/s", "many"),
        of("local commits of 100 operations", "ops/s", "batched"),
        Figure.of("the same through the public client, 1 caller, p50", "ms",
                  [run["client p50"] for run in ours]),
        Figure.of("the same through the public client, 64 callers", "writes/s",
                  [run["client many"] for run in ours]),
    ]  # fmt: skip


async def reads(bench: Bench) -> list[Figure]:
    """Reads: 1 caller, and 16."""
    theirs, ours = await bench.turns(lambda: _read(bench, "bare"), lambda: _read(bench, "product"))
    return [
        Figure.of(f"local read, {name}", "reads/s", [run[name] for run in ours],
                  [run[name] for run in theirs])
        for name in ("1 caller", "16 callers")
    ]  # fmt: skip


@contextlib.asynccontextmanager
async def _edge(side: str, root: Path) -> AsyncIterator[str]:
    data, path = root / "edge", root / "agent.sock"
    data.mkdir()
    if side == "bare":
        starting = processes.started("bare_edge", NOBODY, data, path)
    else:
        starting = processes.started("product", "edge", "edge", NOBODY, data, path)
    async with starting:
        yield str(path)


async def _write(bench: Bench, side: str) -> dict[str, float]:
    count = bench.size.calls
    with bench.place() as root:
        async with _edge(side, root) as path, calls.stub(path) as stub:
            await calls.timed(stub.Commit, calls.commits(count // 10), 1)
            spent, each = await calls.timed(stub.Commit, calls.commits(count), 1)
            busy, _ = await calls.timed(stub.Commit, calls.commits(4 * count), CALLERS)
            batches = list(calls.commits(max(1, count // 20), OPS))
            batched, _ = await calls.timed(stub.Commit, iter(batches), 1)
            found: dict[str, float] = {
                "p50": round(percentile(each, 50) * 1e3, 3),
                "p99": round(percentile(each, 99) * 1e3, 3),
                "alone": round(count / spent),
                "many": round(4 * count / busy),
                "batched": round(len(batches) * OPS / batched),
            }
            if side == "product":
                found |= await _through_client(path, count)
    return found


async def _through_client(path: str, count: int) -> dict[str, float]:
    changes = [
        (f"{workload.SPACE}/{workload.COLLECTION}/{name}", json.loads(value))
        for name, value in workload.drawn(count, 4)
    ]
    async with AsyncClient(f"unix:{path}", workload.ACTOR) as client:

        async def put(change: Any) -> None:
            await client.put(*change)

        _, each = await calls.timed(put, iter(changes), 1)
        spent, _ = await calls.timed(put, iter(changes), CALLERS)
    return {
        "client p50": round(percentile(each, 50) * 1e3, 3),
        "client many": round(count / spent),
    }


async def _read(bench: Bench, side: str) -> dict[str, float]:
    count = 2 * bench.size.calls
    with bench.place() as root:
        async with _edge(side, root) as path, calls.stub(path) as stub:
            changes = list(workload.every_record())
            for start in range(0, len(changes), OPS):
                await stub.Commit(calls.commit(changes[start : start + OPS]))
            found: dict[str, float] = {}
            for callers, name in ((1, "1 caller"), (16, "16 callers")):
                began = time.perf_counter()
                await calls.timed(stub.Get, calls.gets(count), callers)
                found[name] = round(count / (time.perf_counter() - began))
    return found
