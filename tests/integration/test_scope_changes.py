"""An edge that is started with another scope: nothing that it lacks is called absent, and nothing
of its own waits for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync.messages import Scope
from tests.house import SPACE, House, house

pytestmark = [pytest.mark.integration, pytest.mark.promise("scope.read-refused")]

PARTS = Scope(whole=False, collections=frozenset({"parts"}))


async def _restart(home: House, scope: Scope) -> None:
    await home.end("a")
    home.settings["a"] = replace(home.settings["a"], scopes={SPACE: scope})
    await home.start_edge("a")


async def test_a_scope_that_grows_is_filled_with_what_was_there_before() -> None:
    """Records from before were once absent, for good, and only the digests told."""
    async with house("b") as home:
        await home.start_edge("a", {SPACE: PARTS})
        for number in range(3):
            await home.at("b").put(f"{SPACE}/arms/{number}", {"n": number})
        await home.at("b").put(f"{SPACE}/parts/1", {"n": 1})
        await home.settled()
        await _restart(home, Scope())
        await home.settled()
        arms = [record.path async for record in home.at("a").list(f"{SPACE}/arms")]
        assert len(arms) == 3
        assert (await home.status("a")).rebuilds == {"SCOPE_CHANGED": 1}
        await _restart(home, Scope())
        await home.settled()
        assert (await home.status("a")).rebuilds == {"SCOPE_CHANGED": 1}


async def test_a_scope_that_shrinks_while_commits_wait() -> None:
    """What became of commits that are now outside was never told, and they stayed pending."""
    async with house("b") as home:
        await home.start_edge("a")
        await home.at("a").put(f"{SPACE}/arms/0", {"n": 0})
        await home.at("a").put(f"{SPACE}/parts/0", {"n": 0})
        await home.settled()
        await home.pause("a")
        await home.at("a").put(f"{SPACE}/arms/1", {"n": 1})
        await _restart(home, PARTS)
        await home.resume("a")
        digests = await home.settled()
        assert digests[SPACE]["arms"][1] == 2
        status = await home.status("a")
        assert (status.pending, list(status.alarms)) == (0, ["SCOPE_CHANGED"])
        assert [digest.collection for digest in status.spaces[0].digests] == ["parts"]
