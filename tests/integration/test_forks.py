"""A hub that went back to an earlier state, or is another one: the replica that is ahead of it is
noticed, kept for people to look at, and built anew."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from cloud_hub.succession import OnFork
from holdfast import errors
from holdfast.client import CommitEvent
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import record_pb2 as record
from tests.house import SPACE, House, house, until

pytestmark = [pytest.mark.integration, pytest.mark.promise("rule.above-a-fork")]


PART = f"{SPACE}/parts/1"


async def _write(home: House, first: int, last: int) -> None:
    for n in range(first, last + 1):
        await home.at("hub").put(f"{SPACE}/parts/{n}", {"n": n})


async def _alarmed(home: House, name: str) -> bool:
    return name in (await home.status("a")).alarms


async def _declare(home: House) -> None:
    request = admin.DeclareEpochRequest(
        reason="a drill", actor=record.Actor(id="ann", kind=record.ACTOR_KIND_HUMAN),
        request_id=b"d" * 16,
    )  # fmt: skip
    await home.at("hub").request("AdminService.DeclareEpoch", request)


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


@pytest.mark.promise("hub.fork-noticed")
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
        session = home.at("a")
        assert await session.get(f"{SPACE}/parts/6") is not None
        hub = await home.start_hub()
        await until(lambda: hub.succession.stopped)
        await until(lambda: _alarmed(home, "SPACE_STOPPED"))
        with pytest.raises(errors.Unavailable, match="SPACE_STOPPED"):
            await home.at("hub").put(f"{SPACE}/parts/9", {}, timeout_s=3)
        with pytest.raises(errors.Unavailable, match="SPACE_STOPPED"):
            await home.at("hub").get(PART, timeout_s=3)
        await home.at("a").put(f"{SPACE}/parts/7", {"n": 7})  # an edge takes writes meanwhile
        assert _kept(home) == [], "which of the two histories goes on is not known yet"
        await _declare(home)
        await until(lambda: _rebuilt(home, "FORK_DETECTED"))
        await home.settled()
        assert hub.succession.stopped == {}
        keys = [one.key async for one in home.at("a").list(f"{SPACE}/parts")]
        assert keys == ["1", "2", "3", "7"], "what was acknowledged at the edge is there"
        assert _kept(home) == [["1", "2", "3", "4", "5", "6"]]
        assert (await home.status("a")).alarms == ["FORK_DETECTED"], "for people to look at"


async def test_a_hub_that_may_declares_the_epoch_by_itself() -> None:
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
        await home.start_hub(on_fork=OnFork.DECLARE)
        await until(lambda: _rebuilt(home, "FORK_DETECTED"))
        await home.settled()
        assert len(_kept(home)) == 1
        found = await home.at("hub").request("AdminService.ListEpochs", admin.ListEpochsRequest())
        assert isinstance(found, admin.ListEpochsResponse)
        assert [dict(_forks(info)) for info in found.epochs] == [{}, {SPACE: 3}]
        assert found.epochs[1].actor.startswith("policy of")


def _forks(info: admin.EpochInfo) -> list[tuple[str, int]]:
    return [(fork.space, fork.revision) for fork in info.epoch.forks]


@pytest.mark.promise("session.epoch-changed")
async def test_a_session_and_a_watch_above_the_fork_are_told_what_is_gone() -> None:
    async with house() as home:
        await _write(home, 1, 3)
        await home.end("hub")
        shutil.copytree(home.root / "hub", home.root / "yesterday")
        await home.start_hub()
        session = home.at("hub")
        watch = session.watch(f"{SPACE}/parts", bookmarks=True)
        await watch.started()
        for n in range(4, 7):
            await session.put(f"{SPACE}/parts/{n}", {"n": n})
        async for event in watch:
            if isinstance(event, CommitEvent) and event.changes[0].record.key == "6":
                break
        await home.end("hub")
        shutil.rmtree(home.root / "hub")
        shutil.move(home.root / "yesterday", home.root / "hub")
        await home.start_hub()
        await _declare(home)
        for n in range(7, 17):  # above what was seen, and none of it
            await home.at("hub").put(f"{SPACE}/parts/{n}", {"n": n})
        with pytest.raises(errors.PreconditionFailed, match="are gone") as refused:
            await session.get(f"{SPACE}/parts/6")
        assert refused.value.metadata["first_gone"] == "4"
        assert refused.value.metadata["last_gone"] == "6"
        with pytest.raises(errors.PreconditionFailed):
            async for _ in watch:
                pass


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
