"""Two edges and a hub: what is written at one is everywhere, once."""

from __future__ import annotations

import pytest

from tests.house import PERSON, SPACE, house

pytestmark = pytest.mark.integration


@pytest.mark.promise("seen.converged")
@pytest.mark.promise("merge.same-log-same-digest")
async def test_what_is_written_at_one_edge_is_at_the_other_and_at_the_hub() -> None:
    async with house("a", "b") as home:
        receipt = await home.at("a").put(f"{SPACE}/parts/7", {"state": "gripped"})
        outcome = await receipt.outcome()
        assert outcome.kind == "applied"
        assert outcome.position is not None
        there = home.at("b", PERSON)
        await there.wait(outcome.position)
        found = await there.get(f"{SPACE}/parts/7")
        assert found is not None
        assert found.value == {"state": "gripped"}
        assert (await home.settled())[SPACE]["parts"][1] == 1
