"""Edges that replicate a part: they get that part alone, and say so instead of "not found"."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Put
from holdfast.errors import PreconditionFailed
from sync.messages import Scope
from tests.house import SPACE, House, house

pytestmark = pytest.mark.integration

PARTS = {SPACE: Scope(whole=False, collections=frozenset({"parts"}))}


async def _refused(work: object) -> str:
    with pytest.raises(PreconditionFailed) as refused:
        await work  # type: ignore[misc]
    return refused.value.reason


async def _first(home: House, path: str) -> None:
    async for _ in home.at("part").watch(path, bookmarks=True):
        return


async def _listed(home: House, path: str) -> list[str]:
    return [record.path async for record in home.at("part").list(path)]


@pytest.mark.promise("scope.read-refused")
@pytest.mark.promise("scope.write-refused")
async def test_only_the_scope_comes_and_the_rest_is_refused_by_name() -> None:
    async with house("a") as home:
        await home.start_edge("part", PARTS)
        writer = home.at("a")
        for number in range(5):
            await writer.put(f"{SPACE}/parts/{number}", {"n": number})
            await writer.put(f"{SPACE}/arms/{number}", {"n": number})
            await writer.commit(
                [Put(f"{SPACE}/parts/both", {"n": number}), Put(f"{SPACE}/arms/both", {"n": 1})]
            )
        await home.settled()
        assert len(await _listed(home, f"{SPACE}/parts")) == 6
        status = await home.status("part")
        assert {one.collection for one in status.spaces[0].digests} == {"parts"}
        part = home.at("part")
        for path in (f"{SPACE}/arms/1", f"{SPACE}/arms/never", "other/parts/1"):
            assert await _refused(part.get(path)) == "OUT_OF_SCOPE"
            assert await _refused(part.batch_get([path])) == "OUT_OF_SCOPE"
            assert await _refused(part.put(path, {"n": 1})) == "OUT_OF_SCOPE"
            assert await _refused(part.delete(path)) == "OUT_OF_SCOPE"
            assert await _refused(part.history(path)) == "OUT_OF_SCOPE"
        for path in (f"{SPACE}/arms", "other/parts"):
            assert await _refused(_listed(home, path)) == "OUT_OF_SCOPE"
            assert await _refused(_first(home, path)) == "OUT_OF_SCOPE"
        assert await _refused(_first(home, SPACE)) == "OUT_OF_SCOPE"
        mixed = [Put(f"{SPACE}/parts/new", {"n": 1}), Put(f"{SPACE}/arms/new", {"n": 1})]
        assert await _refused(part.commit(mixed)) == "OUT_OF_SCOPE"
        assert await part.get(f"{SPACE}/parts/new") is None
        assert (await home.status("part")).pending == 0


@pytest.mark.promise("rule.edge-owns-cursor")
@pytest.mark.promise("rule.digests")
async def test_a_cursor_moves_past_what_is_outside() -> None:
    async with house("a") as home:
        await home.start_edge("part", PARTS)
        own = await home.at("part").put(f"{SPACE}/parts/own", {"n": 1})
        assert (await own.outcome()).kind == "applied"
        for number in range(20):
            await home.at("a").put(f"{SPACE}/arms/{number}", {"n": number})
        digests = await home.settled()
        assert digests[SPACE]["arms"][1] == 20
        status = await home.status("part")
        assert status.spaces[0].position.revision == 21
        assert status.spaces[0].verified
        assert not status.alarms


@pytest.mark.promise("watch.bookmarks")
async def test_a_watch_is_told_of_progress_that_is_outside() -> None:
    async with house("a") as home:
        await home.start_edge("part", PARTS)
        await home.at("part").put(f"{SPACE}/parts/own", {"n": 1})
        await home.settled()

        async def reached(revision: int) -> None:
            async for event in home.at("part").watch(f"{SPACE}/parts", bookmarks=True):
                if getattr(event, "position", None) and event.position.revision >= revision:  # type: ignore[union-attr]
                    return

        waiting = asyncio.create_task(reached(2))
        await asyncio.sleep(0.2)
        await home.at("a").put(f"{SPACE}/arms/1", {"n": 1})
        await asyncio.wait_for(waiting, 10)


@pytest.mark.promise("space.bounds")
async def test_spaces_do_not_wait_for_each_other() -> None:
    scopes = {SPACE: Scope(), "yard": Scope()}
    async with house() as home:
        await home.start_edge("a", scopes)
        await home.start_edge("b", scopes)
        await home.at("a").put(f"{SPACE}/parts/1", {"n": 1})
        await home.at("a").put("yard/parts/1", {"n": 2})
        digests = await home.settled()
        assert digests[SPACE] != digests["yard"]
        found = await home.at("b").get("yard/parts/1")
        assert found is not None
        assert found.value == {"n": 2}
