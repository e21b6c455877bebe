"""A hub that went back to an earlier state, or is another one: the replica that is ahead of it is
noticed, kept for people to look at, and built anew."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from tests.house import SPACE, House, house, until

pytestmark = [pytest.mark.integration, pytest.mark.promise("rule.above-a-fork")]


async def _write(home: House, first: int, last: int) -> None:
    for n in range(first, last + 1):
        await home.at("hub").put(f"{SPACE}/parts/{n}", {"n": n})


def _kept(home: House) -> list[list[str]]:
    """The keys in each replica that was kept aside."""
    found = []
    for path in sorted((home.root / "a").glob("replica.db.damaged-?")):
        replica = sqlite3.connect(path)
        found.append([key for (key,) in replica.execute("SELECT key FROM records ORDER BY key")])
        replica.close()
    return found


async def _rebuilt(home: House, reason: str) -> bool:
    status = await home.status("a")
    return dict(status.rebuilds) == {reason: 1} and reason in status.alarms


async def test_yesterdays_hub() -> None:
    """What was there above the fork was once deleted with the rest of the replica."""
    async with house("a") as home:
        await _write(home, 1, 3)
        await home.settled()
        await home.end("hub")
        shutil.copytree(home.root / "hub", home.root / "yesterday")
        await home.start_hub()
        await _write(home, 4, 6)
        await home.settled()
        await home.end("hub")
        shutil.rmtree(home.root / "hub")
        shutil.move(home.root / "yesterday", home.root / "hub")
        await home.start_hub()
        await until(lambda: _rebuilt(home, "FORK_DETECTED"))
        await home.settled()
        assert [one.key async for one in home.at("a").list(f"{SPACE}/parts")] == ["1", "2", "3"]
        assert _kept(home) == [["1", "2", "3", "4", "5", "6"]]


async def test_another_hub() -> None:
    async with house("a") as home:
        await _write(home, 1, 3)
        await home.settled()
        await home.end("hub")
        shutil.rmtree(home.root / "hub")
        await home.start_hub()
        await _write(home, 7, 8)
        await until(lambda: _rebuilt(home, "CURSOR_INVALID"))
        await home.settled()
        assert [one.key async for one in home.at("a").list(f"{SPACE}/parts")] == ["7", "8"]
        assert _kept(home) == [["1", "2", "3"]]
