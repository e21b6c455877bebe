"""Who has the authority over a record advances it, without a network too; what somebody does who
had it once is refused whole, and waits in the inbox."""

from __future__ import annotations

import pytest

from holdfast import AsyncClient
from holdfast.client.commits import Expect, Put
from holdfast.errors import InvalidArgument, StaleAuthority
from tests.house import PERSON, SPACE, House, house

pytestmark = pytest.mark.integration

PATH = f"{SPACE}/jobs/7"


async def advance(client: AsyncClient, token: int, holder: str, step: int) -> str:
    """A step under a token, and what became of it."""
    value = {"authority": {"holder": holder, "token": token}, "step": step}
    receipt = await client.commit([Put(PATH, value)], expect=[Expect.held(PATH, token)])
    outcome = await receipt.outcome()
    return f"{outcome.kind} {outcome.reason}".strip()


async def begun(home: House, edge: str) -> str:
    """A job of an edge, known everywhere; the edge's name as a holder."""
    node = (await home.status(edge)).origin.hex()
    await home.at(edge).put(PATH, {"authority": {"holder": node, "token": 1}, "step": 0})
    await home.settled()
    return node


@pytest.mark.promise("authority.fence")
async def test_only_the_holder_advances_and_only_under_its_token() -> None:
    async with house("a", "b") as home:
        node = await begun(home, "a")
        assert await advance(home.at("a"), 1, node, 1) == "applied"
        await home.settled()
        for name in ("hub", "b"):
            with pytest.raises(StaleAuthority) as refused:
                await advance(home.at(name, PERSON), 1, node, 9)
            assert refused.value.metadata["holder"] == node
        with pytest.raises(StaleAuthority, match="token"):
            await advance(home.at("a"), 2, node, 9)
        with pytest.raises(InvalidArgument):
            await advance(home.at("a"), 0, node, 9)
        found = await home.at("hub").get(PATH)
        assert found is not None
        assert found.value["step"] == 1


@pytest.mark.promise("authority.stale-is-kept")
async def test_what_an_edge_did_after_it_had_lost_its_authority_is_kept_and_not_adopted() -> None:
    async with house("a", "b") as home:
        node = await begun(home, "a")
        await home.pause("a")
        receipts = [
            await home.at("a").commit(
                [Put(PATH, {"authority": {"holder": node, "token": 1}, "step": step})],
                expect=[Expect.held(PATH, 1)],
            )
            for step in (1, 2, 3)
        ]
        taken = {"authority": {"holder": "hub", "token": 2}, "step": 0}
        await home.at("hub", PERSON).put(PATH, taken)
        assert await advance(home.at("hub", PERSON), 2, "hub", 10) == "applied"
        await home.resume("a")
        outcomes = [await receipt.outcome() for receipt in receipts]
        assert {(str(o.kind), o.reason) for o in outcomes} == {("rejected", "STALE_AUTHORITY")}
        await home.settled()
        waiting = [c async for c in home.at("b").conflicts(SPACE, states=("open",))]
        assert sorted(c.theirs.json for c in waiting if c.theirs.json) == [
            '{"step":1}', '{"step":2}', '{"step":3}',
        ]  # fmt: skip
        assert {c.reason for c in waiting} == {"STALE_AUTHORITY"}
        found = await home.at("a").get(PATH)
        assert found is not None
        assert found.value["step"] == 10
        with pytest.raises(StaleAuthority):  # told at once from now on
            await advance(home.at("a"), 1, node, 4)
