"""Copies of an outbox: a cloned card, yesterday's backup. Both are noticed, and nothing that was
acknowledged by either database is lost or counted twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from holdfast import AsyncReceipt
from tests.house import SPACE, House, house, until

pytestmark = pytest.mark.integration

COUNTER = f"{SPACE}/stock/bolts"


async def _add(home: House, name: str, count: int, mark: str) -> list[AsyncReceipt]:
    """So many additions of one, and a record for each; all at one edge."""
    client = home.at(name)
    receipts = [await client.add(COUNTER, {"n": 1}) for _ in range(count)]
    paths = [f"{SPACE}/parts/{mark}-{index}" for index in range(count)]
    return receipts + [await client.put(path, {"by": mark}) for path in paths]


async def _check(home: House, marks: Iterable[tuple[str, int]]) -> None:
    """Every addition counts once, and every record is there, at every door."""
    await home.settled()
    wanted = {f"{SPACE}/parts/{mark}-{i}" for mark, count in marks for i in range(count)}
    for name in home.running:
        client = home.at(name)
        counter = await client.get(COUNTER)
        assert counter is not None
        assert (name, counter.value["n"]) == (name, sum(count for _, count in marks))
        found = {one.path async for one in client.list(f"{SPACE}/parts")}
        assert found == wanted


async def _outcomes(home: House, name: str, receipts: list[AsyncReceipt]) -> None:
    """Under the names that they were acknowledged with, the commits are known as applied."""
    found = await home.at(name).outcomes([receipt.op_id for receipt in receipts])
    assert {one.kind for one in found} <= {"applied", "merged"}, found


def _copy(source: Path, target: Path, pattern: str = "*") -> None:
    target.mkdir(exist_ok=True)
    for file in source.glob(pattern):
        if file.name != "holdfast.lock":
            shutil.copy2(file, target / file.name)


def _put_back(backup: Path, data: Path, pattern: str) -> None:
    for file in data.glob(pattern):
        file.unlink()
    _copy(backup, data, pattern)


@pytest.mark.promise("origin.copied")
@pytest.mark.promise("merge.counters-exact")
async def test_two_copies_of_one_outbox_both_run_and_nothing_is_lost() -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        first = await _add(home, "a", 3, "online")
        await home.settled()
        await home.pause("a")
        before = await _add(home, "a", 3, "before")
        await home.end("a")
        _copy(home.root / "a", home.root / "copy")
        await home.start_edge("a")
        await home.start_edge("copy")
        mine = await _add(home, "a", 2, "card")
        theirs = await _add(home, "copy", 4, "clone")
        origin = (await home.status("copy")).origin
        await home.resume("a")
        await home.settled("a")
        await home.resume("copy")
        await _check(home, [("online", 3), ("before", 3), ("card", 2), ("clone", 4)])
        status = await home.status("copy")
        assert "ORIGIN_COPIED" in status.alarms
        assert status.origin != origin
        await _outcomes(home, "a", first + before + mine)
        await _outcomes(home, "copy", first + before + theirs)


@pytest.mark.promise("origin.copied")
async def test_two_copies_that_write_at_the_same_time_part() -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        await _add(home, "a", 2, "online")
        await home.settled()
        await home.end("a")
        _copy(home.root / "a", home.root / "copy")
        await home.start_edge("a")
        await home.start_edge("copy")
        for turn in range(4):
            await _add(home, "a", 1, f"card{turn}")
            await _add(home, "copy", 1, f"clone{turn}")
        written = [(f"{side}{turn}", 1) for side in ("card", "clone") for turn in range(4)]
        await _check(home, [("online", 2), *written])
        assert (await home.status("a")).origin != (await home.status("copy")).origin


@pytest.mark.promise("origin.restored")
@pytest.mark.promise("merge.counters-exact")
@pytest.mark.parametrize("writes_first", [False, True], ids=["at rest", "with writes in it"])
@pytest.mark.parametrize(
    ("pattern", "alarm"),
    [("outbox.db*", {"OUTBOX_RESTORED"}), ("*.db*", {"OUTBOX_BEHIND", "ORIGIN_COPIED"})],
    ids=["the outbox alone", "both files"],
)
async def test_yesterdays_files_are_put_back(
    pattern: str, alarm: set[str], writes_first: bool
) -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        await _add(home, "a", 2, "yesterday")
        await home.settled()
        await home.end("a")
        _copy(home.root / "a", home.root / "backup", "*.db*")
        await home.start_edge("a")
        today = await _add(home, "a", 3, "today")
        await home.settled()
        await home.end("a")
        _put_back(home.root / "backup", home.root / "a", pattern)
        if writes_first:
            await home.end("hub")
        await home.start_edge("a")
        if writes_first:
            after = await _add(home, "a", 2, "after")
            await home.start_hub()
        else:
            await until(lambda: _raised(home, alarm))
            after = await _add(home, "a", 2, "after")
        await _check(home, [("yesterday", 2), ("today", 3), ("after", 2)])
        assert alarm & set((await home.status("a")).alarms)
        await _outcomes(home, "a", after)
        await _outcomes(home, "hub", today)


async def _raised(home: House, alarm: set[str]) -> bool:
    return bool(alarm & set((await home.status("a")).alarms))


@pytest.mark.promise("origin.restored")
async def test_a_backup_with_unsent_commits_that_were_sent_since_counts_them_once() -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        await home.pause("a")
        await _add(home, "a", 3, "unsent")
        await home.end("a")
        _copy(home.root / "a", home.root / "backup", "*.db*")
        await home.start_edge("a")
        await home.resume("a")
        await home.settled()
        await home.end("a")
        _put_back(home.root / "backup", home.root / "a", "*.db*")
        await home.start_edge("a")
        await home.resume("a")
        await _check(home, [("unsent", 3)])
