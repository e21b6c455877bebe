"""Clocks that are days ahead or a year behind: nothing is refused, and lww decides as specified:
who had seen the other wins; only between concurrent writes does the (clamped) time decide."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from holdfast.host.clock import BootClock
from sync.clock import MAX_LEAD_MS, unix_ms_of
from tests.house import SPACE, House, house

pytestmark = pytest.mark.integration

DAY_MS = 24 * 3_600_000
PATH = f"{SPACE}/arms/1"


class WrongClock(BootClock):
    """This machine's clocks, the wall clock set wrong."""

    def __init__(self, ahead_ms: int) -> None:
        self.ahead_ms = ahead_ms

    def wall_ms(self) -> int:
        return super().wall_ms() + self.ahead_ms


@asynccontextmanager
async def _wrong_house() -> AsyncIterator[House]:
    clocks = {"ahead": WrongClock(3 * DAY_MS), "behind": WrongClock(-365 * DAY_MS)}
    async with house(clocks=clocks) as home:
        # Edges that have never heard the hub's time claim their own.
        await home.end("hub")
        await home.start_edge("ahead")
        await home.start_edge("behind")
        yield home


async def _restart(home: House, name: str) -> None:
    """Restarts an edge, which forgets the hub's time."""
    await home.end(name)
    await home.start_edge(name)


@pytest.mark.promise("time.unverified")
@pytest.mark.promise("time.wrong-clock")
@pytest.mark.promise("time.stamped-once")
@pytest.mark.promise("time.suspect")
@pytest.mark.promise("time.claim-kept")
async def test_concurrent_writes_are_decided_by_the_clamped_time() -> None:
    async with _wrong_house() as home:
        ahead = await home.at("ahead").put(PATH, {"speed": "ahead", "a": 1})
        behind = await home.at("behind").put(PATH, {"speed": "behind", "b": 2})
        now_ms = time.time_ns() // 1_000_000
        await home.start_hub()
        await home.settled()
        found = await home.at("hub").get(PATH)
        assert found is not None
        assert found.value["speed"] == "ahead"
        kinds = {str((await one.outcome()).kind) for one in (ahead, behind)}
        assert "rejected" not in kinds
        history = await home.at("hub").history(PATH)
        assert history.complete
        by_commit = {entry.outcome.op_id.commit_id: entry for entry in history.entries}
        early, late = by_commit[behind.commit_id], by_commit[ahead.commit_id]
        assert unix_ms_of(late.claimed) > now_ms + 2 * DAY_MS, "the claim is kept"
        lead_ms = unix_ms_of(late.stamp) - now_ms
        assert 0 <= lead_ms <= MAX_LEAD_MS + 5_000, "clamped to the hub's time"
        assert unix_ms_of(early.claimed) < now_ms - 300 * DAY_MS
        assert early.stamp >= early.claimed
        (conflict,) = [one for one in await home.conflicts() if one.field == "speed"]
        assert conflict.clock_suspect


@pytest.mark.promise("lww.causal-order-first")
@pytest.mark.promise("time.wrong-clock")
async def test_who_has_seen_the_other_wins_whatever_the_clocks_say() -> None:
    async with _wrong_house() as home:
        await home.at("ahead").put(PATH, {"speed": "ahead"})
        await home.start_hub()
        await home.settled()
        for turn in range(3):
            await home.end("hub")
            await _restart(home, "behind")
            last = await home.at("behind").patch(PATH, {"speed": f"behind {turn}"})
            await home.start_hub()
            assert (await last.outcome()).kind == "applied"
            await home.settled()
            for name in home.running:
                found = await home.at(name).get(PATH)
                assert found is not None
                assert found.value == {"speed": f"behind {turn}"}


@pytest.mark.promise("time.wrong-clock")
async def test_a_wrong_clock_sets_nobody_elses() -> None:
    async with _wrong_house() as home:
        await home.at("ahead").put(f"{SPACE}/arms/0", {"n": 1})
        await home.start_hub()
        await home.settled()
        await home.start_edge("right")
        await home.settled()
        receipt = await home.at("right").put(PATH, {"n": 1})
        await receipt.outcome()
        (entry,) = (await home.at("hub").history(PATH)).entries
        now_ms = time.time_ns() // 1_000_000
        assert abs(unix_ms_of(entry.claimed) - now_ms) < 5_000
        assert abs(unix_ms_of(entry.stamp) - now_ms) < 5_000
