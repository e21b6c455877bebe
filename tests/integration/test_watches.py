"""What a watch promises when nothing happens, when its reader is slow, when its place is gone."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from cloud_hub.services import state as hub_state
from edge_agent import watchers
from edge_agent.events import Event, Interest
from holdfast import AsyncClient, errors
from holdfast.client.commits import Bookmark
from holdfast.host.refusal import Refusal
from sync import messages
from tests.house import SPACE, house, until

pytestmark = pytest.mark.integration


async def _bookmarks(watch: Any, revision: int) -> bytes:
    """Reads until a bookmark is at a revision; fails at any commit. Returns the token there."""

    async def read() -> bytes:
        async for event in watch:
            assert isinstance(event, Bookmark), event
            if event.position.revision >= revision:
                return bytes(watch.resume_token)
        raise AssertionError("the watch ended")

    return await asyncio.wait_for(read(), 10)


async def _next_revision(watch: Any) -> int:
    event = await asyncio.wait_for(anext(aiter(watch)), 10)
    return int(event.outcome.position.revision)


# -- bookmarks ---------------------------------------------------------------------------------


@pytest.mark.promise("watch.bookmarks")
@pytest.mark.parametrize("door", ["a", "hub"])
async def test_progress_is_told_when_nothing_in_the_filter_changes(
    door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_state, "IDLE_BOOKMARK_SECONDS", 0.2)
    async with house("a") as home:
        await home.at("hub").put(f"{SPACE}/others/0", {"n": 0})
        await home.settled()
        async with home.at(door).watch(f"{SPACE}/wanted", bookmarks=True) as watch:
            await watch.started()
            for n in range(1, 6):
                await home.at("hub").put(f"{SPACE}/others/{n}", {"n": n})
            token = await _bookmarks(watch, 6)
        await home.at("hub").put(f"{SPACE}/wanted/1", {"n": 7})
        async with home.at(door).watch(f"{SPACE}/wanted", resume=token) as watch:
            assert await _next_revision(watch) == 7


@pytest.mark.promise("watch.bookmarks")
async def test_at_the_hub_progress_is_told_although_others_never_stop_writing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A space that was never idle once never moved the place of a watch with a filter."""
    monkeypatch.setattr(hub_state, "IDLE_BOOKMARK_SECONDS", 0.5)
    async with house() as home:
        writing = asyncio.create_task(_busy(home.at("hub")))
        async with home.at("hub").watch(f"{SPACE}/wanted", bookmarks=True) as watch:
            await watch.started()
            await _bookmarks(watch, 20)
        writing.cancel()


async def _busy(client: AsyncClient) -> None:
    for n in range(100_000):
        await client.put(f"{SPACE}/others/{n % 5}", {"n": n})
        await asyncio.sleep(0.01)


@pytest.mark.promise("watch.bookmarks")
async def test_an_edge_hands_on_the_bookmarks_of_an_idle_space() -> None:
    """Only changes were once handed on, so that on an idle space a watch heard nothing."""
    async with house("a") as home:
        await home.at("hub").put(f"{SPACE}/parts/1", {"n": 1})
        await home.settled()
        agent = home.running["a"].daemon
        async with home.at("a").watch(SPACE, bookmarks=True) as watch:
            await watch.started()
            await _bookmarks(watch, 1)
            standing = await agent.reads.standing(SPACE)
            await agent.intake.mark(messages.Bookmark(SPACE, standing.cursor, (), ()))
            await _bookmarks(watch, 1)


# -- slow readers ------------------------------------------------------------------------------


@pytest.mark.promise("watch.slow-is-bounded")
async def test_who_does_not_read_costs_little_and_stalls_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchers, "QUEUED_EVENTS", 10)
    async with house("a") as home:
        agent = home.running["a"].daemon
        slow = [agent.watchers.watch(Interest(SPACE)) for _ in range(3)]
        first = [asyncio.create_task(anext(one)) for one in slow]
        fast, told = home.at("a"), 0
        async with fast.watch(SPACE) as watch:
            await watch.started()
            reading = asyncio.create_task(_count(watch, 300))
            for n in range(300):
                await home.at("hub").put(f"{SPACE}/parts/{n % 7}", {"n": n, "text": "x" * 1_000})
            told = await asyncio.wait_for(reading, 20)
        assert told == 300
        begun = await asyncio.gather(*first)
        held = [one for found in agent.watchers._subscriptions.values() for one in found]
        assert len(held) >= 3
        assert all(len(one.queue) <= 10 for one in held)
        # Whoever reads again is told all of it, in order.
        for one, earliest in zip(slow, begun, strict=True):
            revisions = [e.position.revision for e in [earliest] if isinstance(e, Event)]
            while not revisions or revisions[-1] < 300:
                event = await asyncio.wait_for(anext(one), 5)
                if isinstance(event, Event):
                    revisions.append(event.position.revision)
            assert revisions == list(range(revisions[0], 301))
            assert revisions[0] <= 2
            await one.aclose()


async def _count(watch: Any, wanted: int) -> int:
    told = 0
    async for _ in watch:
        told += 1
        if told == wanted:
            break
    return told


@pytest.mark.promise("watch.slow-is-bounded")
@pytest.mark.promise("watch.slow-is-told")
async def test_the_hub_keeps_nothing_for_who_does_not_read() -> None:
    """A watcher there is a place in the log; what it has not read, it reads when it likes."""
    async with house() as home:
        hub = home.running["hub"].daemon
        client = home.at("hub")
        async with client.watch(SPACE) as slow, home.at("hub").watch(SPACE) as fast:
            await slow.started()
            await fast.started()
            reading = asyncio.create_task(_count(fast, 200))
            for n in range(200):
                await client.put(f"{SPACE}/parts/{n}", {"n": n})
            assert await asyncio.wait_for(reading, 20) == 200
            assert len(hub.fanout._spaces[SPACE].listeners) == 2
            revisions = [await _next_revision(slow) for _ in range(200)]
        assert revisions == list(range(1, 201))


# -- places to go on from ----------------------------------------------------------------------


@pytest.mark.promise("resume.compacted")
async def test_at_the_hub_a_place_that_the_log_has_lost_is_compacted() -> None:
    """What follows a gap was once told as if nothing had been there."""
    async with house() as home:
        async with home.at("hub").watch(SPACE) as watch:
            await watch.started()
            token = watch.resume_token
        for n in range(6):
            await home.at("hub").put(f"{SPACE}/parts/{n}", {"n": n})
        await home.end("hub")
        log = sqlite3.connect(home.root / "hub" / "hub.db")
        with log:
            assert log.execute("DELETE FROM log WHERE last_revision <= 3").rowcount == 3
        log.close()
        await home.start_hub()
        async with home.at("hub").watch(SPACE, resume=token) as watch:
            with pytest.raises(errors.Compacted) as refused:
                await asyncio.wait_for(anext(aiter(watch)), 5)
        assert refused.value.reason == "COMPACTED"


@pytest.mark.promise("resume.compacted")
async def test_a_place_that_has_not_happened_is_refused_at_the_hub_and_awaited_at_an_edge() -> None:
    async with house("a") as home:
        client = home.at("hub")
        await client.put(f"{SPACE}/parts/1", {"n": 1})
        async with client.watch(SPACE) as watch:
            await watch.started()
            epoch = watch.resume_token.split(b":")[1]
        async with client.watch(SPACE, resume=b"h1:%s:3" % epoch) as watch:
            with pytest.raises(errors.HoldfastError) as refused:
                await asyncio.wait_for(anext(aiter(watch)), 5)
        assert refused.value.reason == "FUTURE_REVISION"
        # An edge may be behind: it lost power, or its replica comes again.
        async with home.at("a").watch(SPACE, resume=b"e1:%s:3::0" % epoch) as watch:
            event = asyncio.create_task(_next_revision(watch))
            for n in range(2, 5):
                await client.put(f"{SPACE}/parts/{n}", {"n": n})
            assert await event == 4


# -- too many ----------------------------------------------------------------------------------


@pytest.mark.promise("rule.limits")
async def test_too_many_watches_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "MAX_WATCHES", 2)
    async with house("a") as home:
        agent, client = home.running["a"].daemon, home.at("a")
        async with client.watch(SPACE) as one, client.watch(SPACE) as two:
            await one.started()
            await two.started()
            await until(lambda: agent.watchers._count == 2)
            third = agent.watchers.watch(Interest(SPACE))
            with pytest.raises(Refusal) as refused:
                await anext(third)
            assert refused.value.reason == "TOO_MANY_WATCHES"
