"""An edge is away for a week, works all the time, and comes back with a hundred thousand commits.

HOLDFAST_TEST_AWAY says how many (100,000 without it).
"""

from __future__ import annotations

import asyncio
import os

import pytest

from edge_agent.local_store import LocalStore
from edge_agent.requests import Write
from holdfast.host.clock import BootClock
from sync.commit import Actor, ActorKind
from sync.reduce import Add, Patch, Put, Request
from tests.house import SPACE, House, house

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

COMMITS = int(os.environ.get("HOLDFAST_TEST_AWAY", "100000"))
DAYS = 7
DAY_MS = 24 * 3_600_000
AT_ONCE = 256
RECORDS = 2_000
ROBOT = Actor("arm-1", ActorKind.ROBOT)


class TurnedClock(BootClock):
    """This machine's clocks, and the days that have passed besides."""

    def __init__(self) -> None:
        self.days = 0

    def boot_ns(self) -> int:
        return super().boot_ns() + self.days * DAY_MS * 1_000_000

    def wall_ms(self) -> int:
        return super().wall_ms() + self.days * DAY_MS


def _request(n: int) -> Request:
    """A third additions to one counter, a third patches, a third whole records."""
    if n % 3 == 0:
        return Add("stock", "bolts", b'{"n":1}')
    if n % 3 == 1:
        return Patch("arms", f"arm-{n % RECORDS}", b'{"field%d":"x","turn":%d}' % (n % 5, n))
    return Put("parts", f"part-{n % RECORDS}", b'{"by":"a","turn":%d}' % n)


async def _work(store: LocalStore, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, AT_ONCE):
        chosen = range(start, min(start + AT_ONCE, numbers.stop))
        writes = [store.commit(Write(SPACE, (_request(n),), ROBOT)) for n in chosen]
        await asyncio.gather(*writes)


async def _a_day(home: House, day: int, clocks: dict[str, TurnedClock]) -> None:
    """The device is started anew; its agents work; the others go on, too."""
    await home.end("a")
    await home.start_edge("a")
    share = COMMITS // DAYS
    last = COMMITS if day == DAYS - 1 else share * (day + 1)
    await _work(home.running["a"].daemon.store, range(share * day, last))
    other = home.at("b")
    for n in range(20):
        await other.patch(f"{SPACE}/arms/arm-{n}", {"seen_by": f"b on day {day}"})
    await other.add(f"{SPACE}/stock/bolts", {"n": 1_000_000})
    for clock in clocks.values():
        clock.days += 1


@pytest.mark.promise("stream.long-absence")
@pytest.mark.promise("merge.counters-exact")
@pytest.mark.promise("seen.converged")
async def test_a_week_away_with_a_hundred_thousand_commits() -> None:
    clocks = {name: TurnedClock() for name in ("hub", "a", "b")}
    async with house("a", "b", clocks=clocks) as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        await home.pause("a")
        for day in range(DAYS):
            await _a_day(home, day, clocks)
        assert (await home.status("a")).pending == COMMITS
        await home.resume("a")
        digests = await home.settled(seconds=600)
        counter = await home.at("b").get(f"{SPACE}/stock/bolts")
        assert counter is not None
        assert counter.value == {"n": len(range(0, COMMITS, 3)) + DAYS * 1_000_000}
        assert digests[SPACE]["stock"][1] == 1
        status = await home.status("a")
        assert (status.pending, dict(status.rebuilds)) == (0, {})
        # Both sides' fields are there: who was away has undone nothing.
        arm = await home.at("a").get(f"{SPACE}/arms/arm-1")
        assert arm is not None and arm.value["seen_by"] == f"b on day {DAYS - 1}"
        assert "turn" in arm.value
