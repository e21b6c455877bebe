"""An edge that was away for a week, with a hundred thousand commits, comes back.

20,000 commits without HOLDFAST_TEST_ABSENCE; with it, so many.
"""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from edge_agent.daemon import EdgeAgent
from edge_agent.requests import Write
from holdfast.host.clock import BootClock
from sync.commit import Actor, ActorKind
from sync.reduce import Add, Put
from tests.house import SPACE, house

pytestmark = pytest.mark.integration

COMMITS = int(os.environ.get("HOLDFAST_TEST_ABSENCE", "20000"))
WEEK_MS = 7 * 24 * 3_600_000
GROUP = 1_000
"""Commits asked for at once: agents that do not wait for each other."""

KEYS = 500
ROBOT = Actor("arm-1", ActorKind.ROBOT)


class WeekClock(BootClock):
    """This machine's clocks, with a wall clock that a test sets forward."""

    def __init__(self) -> None:
        self.ahead_ms = -WEEK_MS

    def wall_ms(self) -> int:
        return super().wall_ms() + self.ahead_ms


async def _write_for_a_week(edge: EdgeAgent, clock: WeekClock) -> None:
    for start in range(0, COMMITS, GROUP):
        writes = [
            Write(
                SPACE,
                (
                    Put("parts", f"{number % KEYS}", b'{"turn":%d}' % number),
                    Add("stock", "bolts", b'{"n":1}'),
                ),
                ROBOT,
            )
            for number in range(start, min(start + GROUP, COMMITS))
        ]
        await asyncio.gather(*[edge.store.commit(write) for write in writes])
        clock.ahead_ms += WEEK_MS * len(writes) // COMMITS


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.promise("stream.long-absence")
@pytest.mark.promise("merge.counters-exact")
@pytest.mark.promise("conflict.every-commit-ends")
async def test_a_week_away() -> None:
    clock = WeekClock()
    async with house(clocks={"a": clock}) as home:
        await home.start_edge("b")
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        edge = await home.start_edge("a")
        await home.settled()
        await home.pause("a")
        await home.at("b").put(f"{SPACE}/parts/0", {"by": "somebody else", "meanwhile": True})
        began = time.monotonic()
        await _write_for_a_week(edge, clock)
        wrote = time.monotonic()
        assert (await home.status("a")).pending == COMMITS
        await home.resume("a")
        await home.settled("a", seconds=300)
        drained = time.monotonic()
        await home.settled(seconds=60)
        print(
            f"{COMMITS} commits: written in {wrote - began:.1f} s, at the hub and back in"
            f" {drained - wrote:.1f} s, at another edge {time.monotonic() - drained:.1f} s later"
        )
        for name in home.running:
            counter = await home.at(name).get(f"{SPACE}/stock/bolts")
            assert counter is not None
            assert (name, counter.value["n"]) == (name, COMMITS)
