"""Rows of a read at each level, at an edge with its hub.

Beside each stands the bare unary rate: the same call at the same socket, answered without a look.
So the ratio of a strong read shows what the way to the hub and back costs; a bounded one that is
proven already should cost what an eventual one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as state
from tests.benchmarks import calls
from tests.benchmarks.bench import Bench, house
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.latency import REST_SECONDS
from tests.benchmarks.workload import COLLECTION, SPACE

CALLERS = 16
LEVELS = {
    "eventual": record.LEVEL_EVENTUAL,
    "bounded": record.LEVEL_BOUNDED,
    "strong": record.LEVEL_STRONG,
}
BOUND = state.ReadBound(max_staleness_ms=60_000)
LINK_SECONDS = 2.0
"""For the first heartbeat: before it nothing is proven, and a bounded read asks."""


async def rows(bench: Bench) -> list[Figure]:
    """Reads a second of 1 and of 16 callers, and the p50 of one, at each level."""
    theirs, ours = await bench.turns(lambda: _run(bench, "bare"), lambda: _run(bench, "product"))
    units = {"1 caller p50": "ms", "1 caller": "reads/s", f"{CALLERS} callers": "reads/s"}
    return [
        Figure.of(
            f"{level} read at an edge, {name}", unit,
            [run[f"{level} {name}"] for run in ours], [run[f"{level} {name}"] for run in theirs],
        )
        for level in LEVELS
        for name, unit in units.items()
    ]  # fmt: skip


async def _run(bench: Bench, side: str) -> dict[str, float]:
    count = max(10, bench.size.calls // 2)
    found: dict[str, float] = {}
    with bench.place() as root:
        async with house(side, root, 1) as daemons:
            (edge,) = daemons.edges
            await edge.ask("drain")
            async with calls.stub(edge.ready["socket"]) as stub:
                await calls.timed(stub.Commit, calls.commits(count), CALLERS)
                known = [one.ops[0].key for one in calls.commits(count)]
                await asyncio.sleep(REST_SECONDS + LINK_SECONDS)
                for level in LEVELS:
                    spent, each = await calls.timed(stub.Get, _gets(known, level, side), 1)
                    busy, _ = await calls.timed(stub.Get, _gets(known, level, side), CALLERS)
                    found[f"{level} 1 caller p50"] = round(percentile(each, 50) * 1e3, 3)
                    found[f"{level} 1 caller"] = round(count / spent)
                    found[f"{level} {CALLERS} callers"] = round(count / busy)
    return found


def _gets(keys: list[str], level: str, side: str) -> Iterator[state.GetRequest]:
    for key in keys:
        request = state.GetRequest(space=SPACE, collection=COLLECTION, key=key, level=LEVELS[level])
        if level == "bounded" and side == "product":
            request.bound.CopyFrom(BOUND)
        yield request
