"""What a watch tells: every commit once, in order and whole, across restarts of either daemon, and
own writes before and after they are decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import AsyncClient, Bookmark, CommitEvent, Event, Put
from holdfast.errors import Compacted, HoldfastError, InvalidArgument
from tests.house import SPACE, house

pytestmark = pytest.mark.integration

DOORS = ["b", "hub"]
SECONDS = 10.0

Events = AsyncIterator[Event]


async def _begun(client: AsyncClient, path: str = SPACE, **options: Any) -> tuple[Events, bytes]:
    """A watch whose first message has come, and the token of that."""
    events = aiter(client.watch(path, bookmarks=True, **options))
    first = await asyncio.wait_for(anext(events), SECONDS)
    assert isinstance(first, Bookmark)
    return events, first.resume_token


async def _take(events: Events, count: int) -> list[CommitEvent]:
    """The next commits."""
    found: list[CommitEvent] = []
    while len(found) < count:
        event = await asyncio.wait_for(anext(events), SECONDS)
        if isinstance(event, CommitEvent):
            found.append(event)
    return found


async def _resumed(client: AsyncClient, token: bytes, count: int, **options: Any) -> Any:
    """The next commits after a token."""
    return await _take(aiter(client.watch(SPACE, resume=token, **options)), count)


async def _first(client: AsyncClient, **options: Any) -> Event:
    """The first message of a watch."""
    return await anext(aiter(client.watch(SPACE, **options)))


def _revisions(events: list[CommitEvent]) -> list[int]:
    positions = [event.outcome.position for event in events]
    return [position.revision for position in positions if position is not None]


def _keys(events: list[CommitEvent]) -> list[str]:
    return [change.record.key for event in events for change in event.changes]


@pytest.mark.promise("watch.ordered")
@pytest.mark.promise("watch.unique")
@pytest.mark.promise("watch.reliable")
@pytest.mark.promise("watch.atomic")
@pytest.mark.parametrize("door", DOORS)
async def test_every_commit_is_told_once_in_order_and_whole(door: str) -> None:
    async with house("a", "b") as home:
        events, _ = await _begun(home.at(door))
        clients = [home.at(name) for name in ("a", "b", "hub", "a")]

        async def write(client: AsyncClient, mark: int) -> None:
            for turn in range(15):
                ops = [Put(f"{SPACE}/parts/{mark}-{i}", {"turn": turn}) for i in range(3)]
                await client.commit(ops)

        await asyncio.gather(*[write(client, mark) for mark, client in enumerate(clients)])
        told = await _take(events, 60)
        first = _revisions(told)[0]
        assert _revisions(told) == list(range(first, first + 60))
        for event in told:
            assert len(event.changes) == 3
            assert len({change.record.value["turn"] for change in event.changes}) == 1


@pytest.mark.promise("watch.resumable")
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("restarted", ["b", "hub"])
async def test_a_watch_goes_on_after_a_restart(door: str, restarted: str) -> None:
    async with house("a", "b") as home:
        client, writer = home.at(door), home.at("a")
        events, _ = await _begun(client)
        for number in range(5):
            await writer.put(f"{SPACE}/parts/{number}", {"n": number})
        told = await _take(events, 3)
        began = asyncio.get_running_loop().time()
        await home.end(restarted)
        assert asyncio.get_running_loop().time() - began < 3, "a watch does not hold it up"
        for number in range(5, 8):
            await writer.put(f"{SPACE}/parts/{number}", {"n": number})
        await (home.start_hub() if restarted == "hub" else home.start_edge("b"))
        told += await _take(events, 5)
        assert _keys(told) == [str(number) for number in range(8)]
        assert _revisions(told) == sorted(set(_revisions(told)))


@pytest.mark.promise("watch.resumable")
@pytest.mark.parametrize("door", DOORS)
async def test_another_client_goes_on_from_a_token(door: str) -> None:
    async with house("a", "b") as home:
        _, start = await _begun(home.at(door))
        for number in range(6):
            await home.at("a").put(f"{SPACE}/parts/{number}", {"n": number})
        await home.settled()
        first = await _resumed(home.at(door), start, 2)
        rest = await _resumed(home.at(door), first[-1].resume_token, 4)
        assert _keys(first + rest) == [str(number) for number in range(6)]


@pytest.mark.promise("watch.filter")
@pytest.mark.parametrize("door", DOORS)
async def test_only_what_is_wanted_is_told(door: str) -> None:
    async with house("a", "b") as home:
        events, _ = await _begun(home.at(door), f"{SPACE}/parts/x", filter="value.n > 1")
        writer = home.at("a")
        await writer.put(f"{SPACE}/parts/y1", {"n": 5})
        await writer.put(f"{SPACE}/parts/x1", {"n": 1})
        await writer.put(f"{SPACE}/arms/x1", {"n": 5})
        await writer.commit(
            [Put(f"{SPACE}/parts/x2", {"n": 2}), Put(f"{SPACE}/parts/y2", {"n": 2})]
        )
        assert _keys(await _take(events, 1)) == ["x2"]
        with pytest.raises(InvalidArgument) as refused:
            await _first(home.at(door), filter="value.n >")
        assert refused.value.reason == "FILTER_INVALID"


@pytest.mark.promise("watch.pending")
async def test_pending_writes_are_told_and_then_their_outcome() -> None:
    async with house("a", "b") as home:
        await home.settled()
        await home.pause("a")
        client = home.at("a")
        events, _ = await _begun(client, include_pending=True)
        plain, _ = await _begun(home.at("a"))
        receipts = [await client.put(f"{SPACE}/parts/{n}", {"n": n}) for n in range(3)]
        pending = await _take(events, 3)
        assert [str(event.outcome.kind) for event in pending] == ["pending"] * 3
        assert all(change.record.version.pending for e in pending for change in e.changes)
        await home.resume("a")
        decided = await _take(events, 3)
        assert [str(event.outcome.kind) for event in decided] == ["applied"] * 3
        for told in (pending, decided):
            assert [e.outcome.op_id for e in told] == [one.op_id for one in receipts]
        assert _revisions(await _take(plain, 3)) == _revisions(decided)


@pytest.mark.promise("watch.pending")
@pytest.mark.promise("watch.resumable")
async def test_pending_writes_are_told_again_to_who_comes_back() -> None:
    async with house("a") as home:
        await home.settled()
        await home.pause("a")
        client = home.at("a")
        _, start = await _begun(client, include_pending=True)
        for number in range(3):
            await client.put(f"{SPACE}/parts/{number}", {"n": number})
        await home.end("a")
        await home.start_edge("a")
        told = await _resumed(home.at("a"), start, 3, include_pending=True)
        assert [str(event.outcome.kind) for event in told] == ["pending"] * 3
        rest = await _resumed(home.at("a"), told[1].resume_token, 1, include_pending=True)
        assert _keys(rest) == ["2"]


@pytest.mark.promise("token.invalid")
@pytest.mark.promise("resume.compacted")
@pytest.mark.parametrize("door", DOORS)
async def test_a_token_that_is_none_is_refused(door: str) -> None:
    async with house("a", "b") as home:
        await home.at("a").put(f"{SPACE}/parts/1", {"n": 1})
        await home.settled()
        for token in (b"nonsense", b"h1:1:x", b"e1:1:2"):
            with pytest.raises(InvalidArgument) as refused:
                await _first(home.at(door), resume=token)
            assert refused.value.reason == "TOKEN_INVALID"
        if door == "hub":
            with pytest.raises(HoldfastError) as early:
                await _first(home.at(door), resume=b"h1:1:999")
            assert early.value.reason == "FUTURE_REVISION"


@pytest.mark.promise("resume.compacted")
async def test_a_place_that_the_edge_has_let_go_is_told_compacted() -> None:
    async with house("a") as home:
        await home.settled()
        _, start = await _begun(home.at("a"))
        for number in range(3):
            await home.at("a").put(f"{SPACE}/parts/{number}", {"n": number})
        await home.settled()

        def forget(connection: Any) -> None:
            connection.execute("DELETE FROM tail WHERE space = ?", (SPACE,))
            connection.execute("UPDATE cursors SET tail_from = revision WHERE space = ?", (SPACE,))

        await home.running["a"].daemon.files.replica.transaction(forget)
        with pytest.raises(Compacted):
            await _first(home.at("a"), resume=start)
