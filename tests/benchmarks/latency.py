"""Rows of the way of a single commit: from its arrival at edge A to the hub's acknowledgement
there, and until edge B has written it. At a steady 200 commits a second.

The clock begins where the daemon takes the request and ends where it has the answer, so the agent's
own call is in neither; the rows of the local write have that.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from tests.benchmarks import calls
from tests.benchmarks.bench import Bench, house
from tests.benchmarks.figures import Figure, percentile

PER_SECOND = 200
WARM_SHARE = 0.2
"""Of the commits, those at the beginning that are not counted: connections and caches are cold."""

REST_SECONDS = 0.7
"""For links to come up before, and the last changes to arrive after; nothing is measured then."""

COLUMNS = ("acknowledged p50", "acknowledged p99", "visible p50", "visible p99")


async def rows(bench: Bench) -> list[Figure]:
    """Commit -> acknowledged, commit at A -> visible at B."""
    theirs, ours = await bench.turns(lambda: _run(bench, "bare"), lambda: _run(bench, "product"))
    return [
        Figure.of(
            f"commit at A, {'visible at B' if 'visible' in name else 'hub'} {name}, 200/s",
            "ms",
            [run[name] for run in ours],
            [run[name] for run in theirs],
        )
        for name in COLUMNS
    ]


async def _run(bench: Bench, side: str) -> dict[str, float]:
    count = int(PER_SECOND * bench.size.seconds)
    with bench.place() as root:
        async with house(side, root, 2) as daemons:
            await asyncio.gather(*[edge.ask("drain") for edge in daemons.edges])
            await asyncio.sleep(REST_SECONDS)
            async with calls.stub(daemons.edges[0].ready["socket"]) as stub:
                await calls.paced(stub.Commit, calls.commits(count), PER_SECOND)
            await asyncio.sleep(REST_SECONDS)
            here, there = [await edge.ask("report") for edge in daemons.edges]
    taken = sorted(here["taken"])[int(count * WARM_SHARE) :]
    arrived = [(last, at) for origin, last, at in there["applied"] if origin == here["origin"]]
    acknowledged = delays(taken, here["acknowledged"])
    visible = delays(taken, arrived)
    values = (percentile(acknowledged, 50), percentile(acknowledged, 99),
              percentile(visible, 50), percentile(visible, 99))  # fmt: skip
    return {name: round(value, 3) for name, value in zip(COLUMNS, values, strict=True)}


def delays(taken: Sequence[Any], reached: Sequence[Any]) -> list[float]:
    """Milliseconds from the taking of each seq to the first word that covers it."""
    ordered = sorted(tuple(one) for one in reached)
    lasts = [last for last, _ in ordered]
    return [(ordered[bisect_left(lasts, seq)][1] - began) / 1e6 for seq, began in taken]
