"""What both doors tell: histories, outcomes, waits, and sessions that go from one to another."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from holdfast import Add, Delete, Expect, OpId, Patch, Position, Put
from holdfast.errors import (
    DeadlineExceeded,
    InvalidArgument,
    PreconditionFailed,
    RevisionMismatch,
)
from tests.house import PERSON, ROBOT, SPACE, house

pytestmark = pytest.mark.integration

PATH = f"{SPACE}/parts/7"


@pytest.mark.promise("history.never-rewritten")
async def test_both_doors_tell_the_same_history() -> None:
    async with house("a", "b") as home:
        arm, ann = home.at("a", ROBOT), home.at("b", PERSON)
        await (await arm.put(PATH, {"state": "free"}, correlation_id="job-1")).outcome()
        await home.settled()
        cause = await ann.patch(PATH, {"state": "gripped"})
        await cause.outcome()
        await home.settled()
        await (await arm.delete(PATH, causation_id=cause.commit_id)).outcome()
        await home.settled()
        found = [await home.at(name).history(PATH) for name in ("hub", "a", "b")]
        assert found[0] == found[1] == found[2]
        assert found[0].complete
        newest, middle, oldest = found[0].entries
        assert [type(op) for entry in found[0].entries for op in entry.ops] == [Delete, Patch, Put]
        assert [entry.actor.id for entry in found[0].entries] == ["arm-1", "ann", "arm-1"]
        assert newest.causation_id == cause.commit_id
        assert oldest.correlation_id == "job-1"
        assert oldest.previous_revision == 0
        assert middle.previous_revision == oldest.outcome.position.revision  # type: ignore[union-attr]
        limited = await home.at("hub").history(PATH, limit=2)
        assert (len(limited.entries), limited.complete) == (2, False)


@pytest.mark.promise("outcome.told")
@pytest.mark.promise("answer.op-id")
async def test_an_outcome_is_told_at_every_door() -> None:
    async with house("a", "b") as home:
        await home.settled()
        await home.pause("a")
        chosen = secrets.token_bytes(16)
        receipt = await home.at("a").put(PATH, {"n": 1}, commit_id=chosen)
        assert receipt.op_id.commit_id == chosen
        by_id = OpId(SPACE, chosen)
        for asked in (receipt.op_id, by_id):
            (found,) = await home.at("a").outcomes([asked])
            assert str(found.kind) == "pending"
            (there,) = await home.at("hub").outcomes([asked])
            assert str(there.kind) == "unknown"
            assert there.reason
        with pytest.raises(DeadlineExceeded):
            await home.at("a").wait([receipt.op_id], timeout_s=0.3)
        waiting = [
            asyncio.create_task(home.at(name).wait([receipt.op_id])) for name in ("a", "b", "hub")
        ]
        await home.resume("a")
        told = [(await task)[0] for task in waiting]
        assert {str(one.kind) for one in told} == {"applied"}
        assert len({one.position for one in told}) == 1
        for name in ("a", "hub"):
            (found,) = await home.at(name).outcomes([by_id])
            assert (found.op_id, str(found.kind)) == (receipt.op_id, "applied")


@pytest.mark.promise("outcome.synced")
async def test_synced_waits_for_what_others_wrote_before() -> None:
    async with house("a", "b") as home:
        await home.settled()
        for number in range(20):
            written = await home.at("a").put(PATH, {"n": number})
            await written.outcome()
            there = home.at("b")
            await there.synced(SPACE)
            found = await there.get(PATH)
            assert found is not None
            assert found.value == {"n": number}
        await home.pause("b")
        await home.at("b").put(PATH, {"n": -1})
        with pytest.raises(DeadlineExceeded):
            await home.at("b").synced(SPACE, timeout_s=0.3)


@pytest.mark.promise("outcome.told")
async def test_a_position_is_waited_for() -> None:
    async with house("a", "b") as home:
        await home.settled()
        outcome = await (await home.at("a").put(PATH, {"n": 1})).outcome()
        assert outcome.position is not None
        await home.at("b").wait(outcome.position)
        assert await home.at("b").get(PATH) is not None
        far = Position(outcome.position.epoch, SPACE, outcome.position.revision + 1)
        with pytest.raises(DeadlineExceeded):
            await home.at("b").wait(far, timeout_s=0.2)


@pytest.mark.promise("write.retry-same-id")
@pytest.mark.promise("write.id-reused")
@pytest.mark.promise("rule.retry-window")
async def test_a_retry_at_another_door_has_one_effect() -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        counter = f"{SPACE}/stock/bolts"
        chosen = secrets.token_bytes(16)
        for _ in range(2):
            for name in ("a", "b", "hub"):
                await home.at(name).add(counter, {"n": 1}, commit_id=chosen)
        await home.settled()
        for name in home.running:
            found = await home.at(name).get(counter)
            assert found is not None
            assert (name, found.value) == (name, {"n": 1})
        with pytest.raises(PreconditionFailed) as reused:
            await home.at("a").add(counter, {"n": 2}, commit_id=chosen)
        assert reused.value.reason == "COMMIT_ID_REUSED"


@pytest.mark.promise("session.read-your-writes")
@pytest.mark.promise("session.no-token")
async def test_a_session_goes_from_an_edge_to_the_hub_and_to_another_edge() -> None:
    async with house("a", "b") as home:
        await home.settled()
        here = home.at("a")
        for turn in range(10):
            await here.put(PATH, {"turn": turn})
            there = home.at("hub", tokens=here.tokens)
            found = await there.get(PATH)
            assert found is not None
            assert found.value == {"turn": turn}
            await there.patch(PATH, {"hub": turn})
            onward = home.at("b", tokens=there.tokens)
            found = await onward.get(PATH)
            assert found is not None
            assert found.value == {"turn": turn, "hub": turn}
            here = home.at("a", tokens=onward.tokens)
            found = await here.get(PATH)
            assert found is not None
            assert found.value == {"turn": turn, "hub": turn}


@pytest.mark.promise("session.read-your-writes")
@pytest.mark.promise("write.eventual.durable")
async def test_a_session_survives_a_restart_of_its_edge() -> None:
    async with house("a") as home:
        await home.settled()
        await home.pause("a")
        client = home.at("a")
        await client.put(PATH, {"n": 1})
        await home.end("a")
        await home.start_edge("a")
        found = await home.at("a", tokens=client.tokens).get(PATH)
        assert found is not None
        assert found.value == {"n": 1}
        assert found.version.pending


@pytest.mark.promise("token.invalid")
async def test_an_altered_token_is_refused_at_both_doors() -> None:
    async with house("a") as home:
        client = home.at("a")
        await client.put(PATH, {"n": 1})
        token = bytearray(client.tokens[SPACE])
        token[-3] ^= 1
        for name in ("a", "hub"):
            with pytest.raises(InvalidArgument) as refused:
                await home.at(name, tokens={SPACE: bytes(token)}).get(PATH)
            assert refused.value.reason == "TOKEN_INVALID"


@pytest.mark.promise("write.hub-client")
@pytest.mark.promise("precondition.local")
@pytest.mark.parametrize("door", ["a", "hub"])
async def test_a_false_condition_is_refused_and_nothing_is_stored(door: str) -> None:
    async with house("a") as home:
        client = home.at(door)
        await client.put(PATH, {"n": 1})
        read = await client.get(PATH)
        assert read is not None
        await client.put(PATH, {"n": 2})
        for condition in (
            Expect.at(PATH, read), Expect.absent(PATH), Expect.present(f"{SPACE}/parts/none")
        ):  # fmt: skip
            with pytest.raises(RevisionMismatch):
                await client.commit([Put(PATH, {"n": 3})], expect=[condition])
        found = await client.get(PATH)
        assert found is not None
        assert found.value == {"n": 2}


@pytest.mark.promise("concurrent.same-edge")
@pytest.mark.promise("counter.each-once")
async def test_additions_at_all_doors_count_once_each() -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        counter = f"{SPACE}/stock/bolts"

        async def add(name: str) -> None:
            client = home.at(name)
            for _ in range(20):
                await client.commit([Add(counter, {"n": 1})])

        await asyncio.gather(*[add(name) for name in ("a", "a", "b", "hub")])
        await home.settled()
        for name in home.running:
            found = await home.at(name).get(counter)
            assert found is not None
            assert (name, found.value) == (name, {"n": 80})
