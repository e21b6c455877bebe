"""Conflicts that wait for a person: they come to the edges, are answered there without a network,
and an answer is a commit like any other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import AsyncClient, Conflict, Record
from holdfast.errors import InvalidArgument, NotFound, PreconditionFailed, RevisionMismatch
from holdfast.v1 import conflict_service_pb2 as pb
from sync.messages import Scope
from tests.house import PERSON, ROBOT, SPACE, House, house, until

pytestmark = pytest.mark.integration

PATH = f"{SPACE}/parts/7"
ASKED = ("ben", "human")


async def listed(client: AsyncClient, *states: str, **wanted: Any) -> list[Conflict]:
    return [one async for one in client.conflicts(SPACE, states=states, **wanted)]


async def live(client: AsyncClient, path: str = PATH) -> Record:
    found = await client.get(path)
    assert found is not None
    return found


async def rejected(home: House, edge: str) -> Conflict:
    """A commit of an edge whose condition was false by the time it reached the hub."""
    await home.keeper("hub").put(PATH, {"state": "free", "by": "nobody"})
    await home.settled()
    await home.pause(edge)
    arm = home.at(edge, ROBOT)
    part = await live(arm)
    receipt = await arm.patch(PATH, {"state": "gripped"}, if_version=part)
    await home.keeper("hub").patch(PATH, {"state": "broken"})
    await home.resume(edge)
    outcome = await receipt.outcome()
    assert (str(outcome.kind), outcome.reason) == ("rejected", "PRECONDITION_FAILED")
    await home.settled()
    (found,) = await listed(home.at(edge), "open")
    return found


@pytest.mark.promise("conflict.inbox-at-edges")
async def test_what_waits_comes_to_every_edge_that_has_the_record_and_to_no_other() -> None:
    async with house("a", "b") as home:
        other = await home.start_edge(
            "c", scopes={SPACE: Scope(whole=False, collections=frozenset({"tools"}))}
        )
        found = await rejected(home, "a")
        assert (found.path, found.field, found.kind) == (PATH, "", "precondition")
        assert (found.theirs.json, found.theirs.actor) == ('{"state":"gripped"}', _actor(ROBOT))
        assert found.ours is not None
        assert found.ours.actor == _actor(PERSON)
        assert found.base == '{"by":"nobody","state":"free"}'
        for name in ("b", "hub"):
            assert [one.id for one in await listed(home.at(name), "open")] == [found.id]
            whole = await home.at(name).conflict(SPACE, found.id)
            assert whole == found
            assert whole.record is not None
            assert whole.record.value == {"state": "broken", "by": "nobody"}
        await home.settled()
        assert other.files.alarms.names == ()
        with pytest.raises(NotFound):
            await home.at("c").conflict(SPACE, found.id)
        assert await listed(home.at("c")) == []


@pytest.mark.promise("conflict.inbox-at-edges")
@pytest.mark.promise("conflict.resolve-undo")
async def test_an_answer_given_offline_is_seen_there_at_once_and_stands_everywhere_later() -> None:
    async with house("a", "b") as home:
        found = await rejected(home, "a")
        await home.pause("b")
        ben = home.at("b", ASKED)
        receipt = await ben.resolve(found, "theirs", note="the arm was right")
        assert (await live(ben)).value["state"] == "gripped"
        (answered,) = await listed(ben)
        assert (str(answered.state), answered.answer) == ("resolved", answered.answer)
        await home.resume("b")
        assert str((await receipt.outcome()).kind) == "applied"
        await home.settled()
        for name in ("a", "b", "hub"):
            assert (await live(home.at(name))).value == {"state": "gripped", "by": "nobody"}
            assert await listed(home.at(name), "open") == []
            (told,) = await listed(home.at(name), "resolved")
            assert told.answer is not None
            assert (told.answer.actor, told.answer.note) == (_actor(ASKED), "the arm was right")
        history = await home.at("hub").history(PATH)
        assert history.entries[0].actor == _actor(ASKED)


@pytest.mark.promise("conflict.resolve-undo")
async def test_of_two_answers_given_without_knowing_the_other_the_second_waits_itself() -> None:
    async with house("a", "b") as home:
        found = await rejected(home, "a")
        await home.pause("a")
        await home.pause("b")
        first = await home.at("a", PERSON).resolve(found, "theirs")
        wanted = {"state": "sold", "by": "nobody"}
        second = await home.at("b", ASKED).resolve(found, "value", wanted)
        await home.resume("a")
        assert str((await first.outcome()).kind) == "applied"
        await home.resume("b")
        assert str((await second.outcome()).kind) == "rejected"
        await home.settled()
        (waits,) = await listed(home.at("b"), "open")
        assert (waits.path, waits.theirs.actor) == (PATH, _actor(ASKED))
        assert (await live(home.at("b"))).value["state"] == "gripped"


@pytest.mark.promise("conflict.resolve-undo")
async def test_an_answer_on_what_has_changed_since_is_refused_until_that_was_seen() -> None:
    async with house("a") as home:
        found = await rejected(home, "a")
        await home.keeper("hub").patch(PATH, {"by": "ann"})
        await home.settled()
        for name in ("a", "hub"):
            with pytest.raises(RevisionMismatch):
                await home.at(name, ASKED).resolve(found, "theirs")
        now = await home.at("a").conflict(SPACE, found.id)
        receipt = await home.at("a", ASKED).resolve(now, "theirs", seen=now.record)
        assert str((await receipt.outcome()).kind) == "applied"
        assert (await live(home.at("hub"))).value == {"state": "gripped", "by": "ann"}


async def concurrent(home: House) -> Conflict:
    """Two edges write one field without knowing of each other: a rule decides."""
    await home.keeper("hub").put(PATH, {"state": "free"})
    await home.settled()
    await home.pause("a")
    mine = await home.at("a", ROBOT).patch(PATH, {"state": "gripped"})
    await home.keeper("hub").patch(PATH, {"state": "broken"})
    await home.resume("a")
    await mine.outcome()
    await home.settled()
    (found,) = await listed(home.at("hub"), "auto")
    return found


@pytest.mark.promise("conflict.resolve-undo")
async def test_what_a_rule_decided_is_undone_and_the_undo_too() -> None:
    async with house("a") as home:
        found = await concurrent(home)
        assert found.ours is not None
        sides = {"ours": found.ours.json, "theirs": found.theirs.json}
        stood = sides.pop(found.winner)
        (lost,) = sides.values()
        hub = home.at("hub", ASKED)
        await hub.undo(found)
        assert f'"{(await live(hub)).value["state"]}"' == lost
        await home.settled()
        (undone,) = await listed(home.at("a"))
        assert str(undone.state) == "undone", "from now on it is in the inbox, at edges too"
        receipt = await home.at("a", PERSON).undo(undone, note="no, it was right")
        assert str((await receipt.outcome()).kind) == "applied"
        assert f'"{(await live(hub)).value["state"]}"' == stood
        (again,) = await listed(hub)
        assert (str(again.state), again.id) == ("auto", found.id)
        await home.settled()


@pytest.mark.promise("conflict.resolve-undo")
async def test_undoing_an_answer_opens_the_conflict_again() -> None:
    async with house("a") as home:
        found = await rejected(home, "a")
        ann = home.at("a", PERSON)
        await ann.resolve(found, "value", {"state": "sold"})
        (resolved,) = await listed(ann, "resolved")
        await ann.undo(resolved)
        assert (await live(ann)).value == {"state": "broken", "by": "nobody"}
        (waits,) = await listed(ann, "open")
        assert waits.id == found.id
        await home.settled()
        assert [one.id for one in await listed(home.at("hub"), "open")] == [found.id]
        with pytest.raises(PreconditionFailed) as refused:
            await ann.undo(waits)
        assert refused.value.reason == "CONFLICT_OPEN"


async def test_entries_are_written_by_answers_alone() -> None:
    async with house("a") as home:
        found = await rejected(home, "a")
        entry = f"{SPACE}/_conflicts.parts/{found.id.hex()}"
        assert await home.at("a").get(entry) is not None
        for name in ("a", "hub"):
            with pytest.raises(InvalidArgument) as refused:
                await home.at(name).patch(entry, {"state": "resolved"})
            assert refused.value.reason == "RESERVED_COLLECTION"
        with pytest.raises(NotFound) as unknown:
            await home.at("a").conflict(SPACE, bytes(16))
        assert unknown.value.reason == "CONFLICT_NOT_FOUND"


async def test_a_list_is_narrowed_and_comes_in_pages() -> None:
    async with house("a") as home:
        await rejected(home, "a")
        await home.pause("a")
        arm = home.at("a", ROBOT)
        for number in range(5):
            await arm.patch(f"{SPACE}/tools/{number}", {"n": "text"})
        await home.keeper("hub").put(f"{SPACE}/tools/0", {"n": 1})
        await home.resume("a")
        await home.settled()
        for name in ("a", "hub"):
            client = home.at(name)
            everything = await listed(client, page_size=1)
            assert everything == sorted(everything, key=lambda one: one.id, reverse=True)
            open_ones = await listed(client, "open", page_size=1)
            assert open_ones == [one for one in everything if str(one.state) == "open"]
            assert [one.path for one in await listed(client, collection="parts")] == [PATH]
            assert await listed(client, key_prefix="8") == []
            assert await listed(client, kinds=("no-such-kind",)) == []


async def test_a_watch_tells_when_something_waits_and_when_it_was_answered() -> None:
    async with house("a") as home:
        await home.settled()
        told: dict[str, list[int]] = {"a": [], "hub": []}
        watches = [asyncio.create_task(_watch(home, name, seen)) for name, seen in told.items()]
        try:
            await until(lambda: all(0 in seen for seen in told.values()))
            found = await rejected(home, "a")
            await (await home.at("a", PERSON).resolve(found, "ours")).outcome()
            wanted = [pb.CONFLICT_STATE_OPEN, pb.CONFLICT_STATE_RESOLVED]
            await until(lambda: all(_news(seen) == wanted for seen in told.values()))
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)


def _news(states: list[int]) -> list[int]:
    """States without repeats: an edge tells of its own answer while it is pending, too."""
    told = [state for state in states if state]
    return [state for at, state in enumerate(told) if at == 0 or told[at - 1] != state]


async def _watch(home: House, name: str, states: list[int]) -> None:
    import grpc

    from holdfast.v1 import conflict_service_pb2_grpc as stubs

    target = f"127.0.0.1:{home.port}" if name == "hub" else f"unix:{home.socket(name)}"
    async with grpc.aio.insecure_channel(target) as channel:
        stub = stubs.ConflictServiceStub(channel)
        async for message in stub.WatchConflicts(pb.WatchConflictsRequest(space=SPACE)):
            states += [message.conflict.state if message.HasField("conflict") else 0]


def _actor(named: tuple[str, str]) -> Any:
    from holdfast import Actor, ActorKind

    return Actor(named[0], ActorKind(named[1]))


@pytest.mark.promise("conflict.resolve-undo")
async def test_a_person_may_decide_what_only_an_owner_writes() -> None:
    """The answer was refused by the rule that had opened the conflict: it could never be given."""
    async with house("a") as home:
        await home.keeper("hub").put(PATH, {"state": "free"})
        await home.settled()
        await home.pause("a")
        receipt = await home.at("a", ASKED).patch(PATH, {"state": "broken"})
        await home.set_policy("parts", '{"fields":{"state":{"rule":"owner","kind":"robot"}}}')
        await home.resume("a")
        assert (await receipt.outcome()).reason == "REFUSED_BY_RULE"
        await home.settled()
        (found,) = await listed(home.at("a"), "open")
        answer = await home.at("a", ASKED).resolve(found, "theirs", note="I saw it")
        assert str((await answer.outcome()).kind) == "applied"
        await home.settled()
        assert (await live(home.at("hub"))).value == {"state": "broken"}
        (resolved,) = await listed(home.at("hub"), "resolved")
        await home.at("hub", ASKED).undo(resolved)
        assert (await live(home.at("hub"))).value == {"state": "free"}


@pytest.mark.promise("conflict.resolve-undo")
async def test_a_refused_put_waits_as_one_and_is_done_by_one_answer() -> None:
    """It was an entry for each operation that the put came down to, and the first answer stood in
    the way of the others."""
    async with house("a") as home:
        await home.set_policy("parts", '{"fields":{"count":{"rule":"counter"}}}')
        await home.keeper("hub").put(PATH, {"state": "free", "count": 1, "by": "nobody"})
        await home.settled()
        await home.pause("a")
        arm = home.at("a", ROBOT)
        part = await live(arm)
        await arm.put(PATH, {"state": "gripped", "count": 4}, if_version=part)
        await home.keeper("hub").patch(PATH, {"at": "dock"})
        await home.resume("a")
        await home.settled()
        (found,) = await listed(home.at("a"), "open")
        assert found.theirs.json == (
            '{"operations":[{"kind":"remove","payload":["by"]},'
            '{"kind":"patch","payload":{"state":"gripped"}},{"kind":"add","payload":{"count":3}}]}'
        )
        await (await home.at("a", ASKED).resolve(found, "theirs")).outcome()
        assert (await live(home.at("hub"))).value == {"state": "gripped", "count": 4, "at": "dock"}
        await home.settled()
        (resolved,) = await listed(home.at("a"), "resolved")
        await (await home.at("a", ASKED).undo(resolved)).outcome()
        assert (await live(home.at("hub"))).value == {
            "state": "free", "count": 1, "by": "nobody", "at": "dock",
        }  # fmt: skip
        assert await listed(home.at("hub"), "open") != []


SIBLINGS = '{"fields":{"state":{"rule":"siblings"}}}'


@pytest.mark.promise("conflict.recorded")
@pytest.mark.promise("conflict.resolve-undo")
async def test_what_a_rule_made_of_both_is_told_beside_both_and_can_be_put_back() -> None:
    async with house("a") as home:
        policy = await home.set_policy("parts", SIBLINGS)
        await home.keeper("hub").put(PATH, {"state": "free"})
        await home.settled()
        await home.pause("a")
        await home.at("a", ROBOT).patch(PATH, {"state": "gripped"})
        await home.keeper("hub").patch(PATH, {"state": "broken"})
        await home.resume("a")
        await home.settled()
        both = {"$siblings": ["broken", "gripped"]}
        (found,), (at_hub,) = [await listed(home.at(name), "open") for name in ("a", "hub")]
        for one in (found, at_hub):
            assert one.ours is not None
            assert (one.winner, one.ours.json, one.theirs.json, one.result) == (
                "merged", '"broken"', '"gripped"', '{"$siblings":["broken","gripped"]}',
            )  # fmt: skip
            assert one.rule_version == policy
        ben = home.at("a", ASKED)
        await (await ben.resolve(found, "ours")).outcome()
        assert (await live(home.at("hub"))).value == {"state": "broken"}
        await home.settled()
        (resolved,) = await listed(ben, "resolved")
        await (await ben.undo(resolved)).outcome()
        assert (await live(home.at("hub"))).value == {"state": both}
        await home.settled()
        (again,) = await listed(ben, "open")
        await (await ben.resolve(again, "merged", note="keep both")).outcome()
        await home.settled()
        assert (await live(ben)).value == {"state": both}
        assert await listed(home.at("hub"), "open") == []


@pytest.mark.promise("conflict.resolve-undo")
async def test_what_an_expression_made_of_both_is_undone_and_put_back() -> None:
    """Undoing the undo wrote what had come, not what the rule had made."""
    async with house("a") as home:
        await home.set_policy(
            "parts", '{"fields":{"level":{"rule":"expr","expr":"ours + theirs"}}}'
        )
        await home.keeper("hub").put(PATH, {"level": 1})
        await home.settled()
        await home.pause("a")
        await home.at("a", ROBOT).patch(PATH, {"level": 20})
        await home.keeper("hub").patch(PATH, {"level": 300})
        await home.resume("a")
        await home.settled()
        (found,) = await listed(home.at("hub"), "auto")
        assert (found.winner, found.result) == ("merged", "320")
        hub = home.at("hub", ASKED)
        await hub.undo(found)
        assert (await live(hub)).value == {"level": 300}
        (undone,) = await listed(hub, "undone")
        await hub.undo(undone)
        assert (await live(hub)).value == {"level": 320}
        with pytest.raises(PreconditionFailed) as refused:
            await home.at("hub", ASKED).resolve(found, "merged")
        assert refused.value.reason == "CONFLICT_DECIDED"
        await home.settled()


@pytest.mark.promise("write.strong.siblings")
async def test_a_strong_write_does_not_replace_siblings_that_its_author_has_not_seen() -> None:
    async with house("a") as home:
        await home.set_policy("parts", SIBLINGS)
        await home.keeper("hub").put(PATH, {"state": "free"})
        await home.settled()
        await home.pause("a")
        await home.at("a", ROBOT).patch(PATH, {"state": "gripped"})
        await home.keeper("hub").patch(PATH, {"state": "broken"})
        await home.resume("a")
        await home.settled()
        both = {"state": {"$siblings": ["broken", "gripped"]}}
        for name in ("a", "hub"):
            with pytest.raises(PreconditionFailed) as refused:
                await home.at(name, PERSON).patch(PATH, {"state": "sold"}, level="strong")
            assert refused.value.reason == "REFUSED_BY_RULE"
            assert (await live(home.at("hub"))).value == both
        ann = home.at("a", PERSON)
        seen = await live(ann)
        assert seen.value == both
        await ann.patch(PATH, {"state": "sold"}, level="strong", based_on=(seen,))
        assert (await live(home.at("hub"))).value == {"state": "sold"}


@pytest.mark.promise("rule.owner")
async def test_what_only_an_owner_writes_is_not_written_by_a_machine_that_answers() -> None:
    """A program whose write the rule had refused could answer its own conflict, and have it."""
    machine = ("planner", "ai")
    async with house("a") as home:
        await home.keeper("hub").put(PATH, {"state": "free"})
        await home.settled()
        await home.pause("a")
        await home.at("a", machine).patch(PATH, {"state": "broken"})
        await home.set_policy("parts", '{"fields":{"state":{"rule":"owner","kind":"human"}}}')
        await home.resume("a")
        await home.settled()
        (found,) = await listed(home.at("a"), "open")
        for name in ("a", "hub"):
            with pytest.raises(PreconditionFailed) as refused:
                await home.at(name, machine).resolve(found, "theirs")
            assert refused.value.reason == "REFUSED_BY_RULE"
        assert (await live(home.at("hub"))).value == {"state": "free"}
        assert [one.id for one in await listed(home.at("hub"), "open")] == [found.id]
