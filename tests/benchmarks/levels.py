"""Rows of a write at each level, at an edge with its hub: from the agent's call to its answer.

Eventual and bounded end with the edge's disk, and so does the baseline's call. A strong one ends
when the hub has decided it and the replica has it; beside it stands the time until the bare hub has
acknowledged what the bare edge has stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as state
from tests.benchmarks import calls
from tests.benchmarks.bench import Bench, house
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.latency import REST_SECONDS, delays

CALLERS = 16
LEVELS = {
    "eventual": record.LEVEL_EVENTUAL,
    "bounded": record.LEVEL_BOUNDED,
    "strong": record.LEVEL_STRONG,
}
BOUND = state.WriteBound(max_pending=1_000_000, max_age_ms=3_600_000)


async def writes(bench: Bench) -> list[Figure]:
    """p50 and p99 of one caller at each level, and how many strong writes 16 callers get."""
    theirs, ours = await bench.turns(lambda: _bare(bench), lambda: _product(bench))
    rows = [
        Figure.of(
            f"{level} write at an edge, 1 caller, {name}", "ms",
            [run[f"{level} {name}"] for run in ours], [run[f"{level} {name}"] for run in theirs],
        )
        for level in LEVELS
        for name in ("p50", "p99")
    ]  # fmt: skip
    many = [run["strong many"] for run in ours]
    return [*rows, Figure.of(f"strong writes at an edge, {CALLERS} callers", "writes/s", many)]


def _requests(count: int, level: str, seed: int) -> Iterator[state.CommitRequest]:
    for request in calls.commits(count, seed=seed):
        request.level = LEVELS[level]
        if level == "bounded":
            request.bound.CopyFrom(BOUND)
        yield request


async def _product(bench: Bench) -> dict[str, float]:
    count = max(10, bench.size.calls // 3)
    found: dict[str, float] = {}
    with bench.place() as root:
        async with house("product", root, 1) as daemons:
            (edge,) = daemons.edges
            await edge.ask("drain")
            await asyncio.sleep(REST_SECONDS)
            async with calls.stub(edge.ready["socket"]) as stub:
                await calls.timed(stub.Commit, _requests(count // 10, "strong", 1), 1)
                for seed, level in enumerate(LEVELS, start=2):
                    _, each = await calls.timed(stub.Commit, _requests(count, level, seed), 1)
                    found |= _figures(level, [one * 1e3 for one in each])
                spent, _ = await calls.timed(stub.Commit, _requests(count, "strong", 9), CALLERS)
                found["strong many"] = round(count / spent)
    return found


async def _bare(bench: Bench) -> dict[str, float]:
    count = max(10, bench.size.calls // 3)
    found: dict[str, float] = {}
    with bench.place() as root:
        async with house("bare", root, 1) as daemons:
            (edge,) = daemons.edges
            await edge.ask("drain")
            await asyncio.sleep(REST_SECONDS)
            async with calls.stub(edge.ready["socket"]) as stub:
                await calls.timed(stub.Commit, calls.commits(count // 10, seed=1), 1)
                _, each = await calls.timed(stub.Commit, calls.commits(count, seed=2), 1)
            await asyncio.sleep(REST_SECONDS)
            here = await edge.ask("report")
    for level in ("eventual", "bounded"):
        found |= _figures(level, [one * 1e3 for one in each])
    taken = sorted(here["taken"])[-count:]
    return found | _figures("strong", delays(taken, here["acknowledged"]))


def _figures(level: str, each: list[float]) -> dict[str, float]:
    return {f"{level} p{n}": round(percentile(each, n), 3) for n in (50, 99)}
