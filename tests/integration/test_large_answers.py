"""Answers keep to the size of a message, whatever stands in the records: lists, histories and
conflicts come in shorter pages, and a watch goes past a commit that touches more than fits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import AsyncClient
from holdfast.client.commits import Patch, Put
from holdfast.errors import InvalidArgument, ResourceExhausted
from tests.house import PERSON, ROBOT, SPACE, house

pytestmark = pytest.mark.integration

COUNT = 30
BIG = "x" * 200_000
"""Thirty of these are more than a message may have."""


def path(number: int) -> str:
    return f"{SPACE}/parts/{number:02}"


async def filled(client: AsyncClient) -> None:
    for number in range(COUNT):
        await client.put(path(number), {"photo": BIG, "n": number})


@pytest.mark.promise("answers.bounded")
async def test_a_list_of_large_records_comes_in_shorter_pages() -> None:
    async with house("a") as home:
        await filled(home.at("hub", PERSON))
        await home.settled()
        for name in ("a", "hub"):
            client = home.at(name)
            found = [one async for one in client.list(f"{SPACE}/parts", page_size=1_000)]
            assert [one.value["n"] for one in found] == list(range(COUNT))
            odd = client.list(f"{SPACE}/parts", filter="value.n % 2 == 1", page_size=1_000)
            assert [one.value["n"] async for one in odd] == list(range(1, COUNT, 2))


@pytest.mark.promise("answers.bounded")
async def test_more_than_fits_is_refused_by_name_where_there_are_no_pages() -> None:
    async with house("a") as home:
        await filled(home.at("hub", PERSON))
        await home.settled()
        for name in ("a", "hub"):
            with pytest.raises(ResourceExhausted) as refused:
                await home.at(name).batch_get([path(number) for number in range(COUNT)])
            assert refused.value.reason == "MESSAGE_TOO_LARGE"
            assert len(await home.at(name).batch_get([path(number) for number in range(10)])) == 10


@pytest.mark.promise("answers.bounded")
async def test_a_history_and_conflicts_with_large_values_come_in_shorter_pages() -> None:
    async with house("a") as home:
        await home.at("hub", PERSON).put(path(0), {"photo": "", "n": 0})
        await home.settled()
        await home.pause("a")
        for number in range(COUNT):
            await home.at("a", ROBOT).put(path(number), {"photo": BIG, "n": number})
            await home.at("hub", PERSON).put(path(number), {"photo": "y" + BIG[1:], "n": -number})
            await home.at("hub", PERSON).put(path(0), {"photo": BIG[number:], "n": number})
        await home.resume("a")
        await home.settled()
        for name in ("a", "hub"):
            client = home.at(name)
            history = await client.history(path(0), limit=1_000)
            assert history.complete
            assert len(history.entries) > COUNT
            revisions = [one.previous_revision for one in history.entries]
            assert revisions == sorted(set(revisions), reverse=True)
        conflicts = [
            one async for one in home.at("hub").conflicts(SPACE, states=(), page_size=1_000)
        ]
        assert len(conflicts) >= COUNT


@pytest.mark.promise("answers.bounded")
async def test_a_watch_goes_past_a_commit_on_more_than_a_message_holds() -> None:
    async with house("a") as home:
        await filled(home.at("hub", PERSON))
        await home.settled()
        told: dict[str, list[Any]] = {"a": [], "hub": []}
        watches = [asyncio.create_task(_watch(home.at(name), seen)) for name, seen in told.items()]
        await asyncio.sleep(0.2)
        await home.at("hub", PERSON).commit([Patch(path(n), {"n": 100 + n}) for n in range(COUNT)])
        await home.at("hub", PERSON).commit([Put(f"{SPACE}/parts/end", {"n": -1})])
        _, pending = await asyncio.wait(watches, timeout=60)
        for watch in pending:
            watch.cancel()
        assert not pending
        for seen in told.values():
            large = next(event for event in seen if len(event.changes) == COUNT)
            left_out = [change for change in large.changes if change.omitted]
            assert 0 < len(left_out) < COUNT
            assert all(c.record.version for c in large.changes)


async def _grown(client: AsyncClient) -> int:
    """How many large fields one record takes."""
    for number in range(COUNT):
        try:
            await client.patch(path(0), {f"photo-{number:02}": "x" * 30_000})
        except InvalidArgument:
            return number
    return COUNT


async def _watch(client: AsyncClient, seen: list[Any]) -> None:
    async for event in client.watch(f"{SPACE}/parts"):
        seen.append(event)
        if any(change.record.key == "end" for change in getattr(event, "changes", ())):
            return


@pytest.mark.promise("answers.bounded")
async def test_a_conflict_of_the_largest_records_fits_an_answer() -> None:
    """With its two sides, its base and the record as it is: nothing may grow so large by many
    writes that what is said of it does not fit."""
    async with house("a") as home:
        hub, edge = home.at("hub", PERSON), home.at("a", ROBOT)
        await hub.set_policy(f"{SPACE}/parts", {"granularity": "record"})
        await home.settled()
        grown = await _grown(hub)
        assert grown < COUNT, "it is refused to grow for ever"
        await home.settled()
        await home.pause("a")
        await edge.patch(path(0), {"photo-00": "y"})
        await hub.patch(path(0), {"photo-00": "z"})
        await home.resume("a")
        await home.settled()
        found = [one async for one in hub.conflicts(SPACE, states=())]
        assert found
        for one in found:
            read = await hub.conflict(SPACE, one.id)
            assert read.id == one.id
