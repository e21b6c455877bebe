"""Writes at an edge, level by level: what OK means, what is answered when it cannot be, and that
nothing is left of what was refused. Each row of the table in docs/consistency.md.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from edge_agent.requests import Write
from holdfast import Add, Expect, OpId, OutcomeKind, Patch, Put, errors
from holdfast.client import CommitEvent, Level
from holdfast.host.refusal import Refusal
from sync import levels, reduce
from sync.commit import Actor, ActorKind
from sync.messages import Scope
from tests.house import PERSON, ROBOT, SPACE, House, house, until

pytestmark = pytest.mark.integration

PATH = f"{SPACE}/parts/7"


async def refused(write: Any) -> errors.HoldfastError:
    with pytest.raises(errors.HoldfastError) as caught:
        await write
    return caught.value


async def never_appears(home: House, path: str = PATH, *, open_conflicts: int = 0) -> None:
    """After everything has come to rest, nobody has the record, and nobody's inbox the write."""
    await home.settled()
    for name in home.running:
        assert await home.at(name).get(path) is None, name
    assert sum(c.state == "open" for c in await home.conflicts()) == open_conflicts


# -- strong ---------------------------------------------------------------------------------------


@pytest.mark.promise("write.strong.decided")
async def test_a_strong_write_is_decided_when_it_is_answered() -> None:
    async with house("a", "b") as home:
        await home.settled()
        receipt = await home.at("a").put(PATH, {"n": 1}, level="strong")
        assert receipt.known.kind is OutcomeKind.APPLIED
        assert receipt.answer.level is Level.STRONG
        assert receipt.answer.position == receipt.known.position
        assert receipt.applied_locally
        assert not receipt.answer.includes_pending
        record = await home.at("hub").get(PATH)
        assert record is not None
        assert record.version.revision == receipt.known.position.revision  # type: ignore[union-attr]
        here = await home.at("a").get(PATH)
        assert here is not None
        assert (here.value, here.version) == ({"n": 1}, record.version)
        again = await home.at("a").outcomes([receipt.op_id])
        assert again == (receipt.known,)


@pytest.mark.promise("write.strong.decided")
async def test_earlier_writes_of_the_edge_are_decided_first() -> None:
    async with house("a") as home:
        await home.settled()
        arm = home.at("a")
        early = [await arm.put(f"{SPACE}/parts/{n}", {"n": n}) for n in range(50)]
        receipt = await arm.put(PATH, {"n": 1}, level="strong")
        positions = [(await each.outcome()).position for each in early]
        revisions = [position.revision for position in positions if position]
        assert receipt.known.position is not None
        assert max(revisions) < receipt.known.position.revision


@pytest.mark.promise("write.strong.decided")
async def test_a_strong_put_at_a_replica_that_is_behind_replaces_what_it_never_saw() -> None:
    async with house("a") as home:
        await home.settled()
        await home.at("a").put(PATH, {"n": 1}, level="strong")
        _blind(home)
        await home.at("hub").put(PATH, {"n": 2, "x": 3})
        receipt = await home.at("a").put(PATH, {"n": 1}, level="strong", timeout_s=5)
        assert receipt.known.kind is OutcomeKind.APPLIED
        record = await home.at("hub").get(PATH)
        assert record is not None
        assert record.value == {"n": 1}


@pytest.mark.promise("write.strong.not-applied-yet")
async def test_decided_and_not_yet_in_the_replica_at_the_deadline() -> None:
    async with house("a") as home:
        await home.settled()
        await home.at("a").put(PATH, {"n": 0}, level="strong")
        _blind(home)
        receipt = await home.at("a").put(PATH, {"n": 1}, level="strong", timeout_s=3)
        assert receipt.known.kind is OutcomeKind.APPLIED
        assert not receipt.applied_locally
        record = await home.at("hub").get(PATH)
        assert record is not None
        assert record.version.revision == receipt.known.position.revision  # type: ignore[union-attr]


def _blind(home: House) -> None:
    """From now on the hub sends no edge what was decided; what edges write it takes as ever."""

    async def nothing() -> None:
        return None

    for stream in home.running["hub"].daemon.streams._open.values():
        stream._next_data = nothing


@pytest.mark.promise("write.strong.unreachable")
async def test_without_a_hub_it_is_refused_at_once_and_never_appears() -> None:
    async with house("a") as home:
        await home.settled()
        await home.end("hub")
        await until(lambda: _is_down(home))
        error = await refused(home.at("a").put(PATH, {"n": 1}, level="strong", timeout_s=60))
        assert isinstance(error, errors.Unavailable)
        assert error.reason == "HUB_UNREACHABLE"
        assert error.retry_after_s
        assert (await home.status("a")).pending == 0
        await home.start_hub()
        await never_appears(home)


async def _is_down(home: House) -> bool:
    return bool((await home.status("a")).link_reason)


@pytest.mark.promise("write.strong.unreachable")
async def test_what_cannot_be_flushed_first_is_refused() -> None:
    async with house("a") as home:
        await home.settled()
        await home.pause("a")
        await home.at("a").put(f"{SPACE}/parts/1", {})
        error = await refused(home.at("a").put(PATH, {"n": 1}, level="strong"))
        assert error.reason == "HUB_UNREACHABLE"
        assert (await home.status("a")).pending == 1
        await home.resume("a")
        await never_appears(home)


@pytest.mark.promise("write.strong.mismatch")
@pytest.mark.promise("precondition.compare-and-set")
async def test_a_precondition_is_judged_at_the_hub() -> None:
    async with house("a", "b") as home:
        arm, ann = home.at("a", ROBOT), home.at("b", PERSON)
        first = await arm.put(PATH, {"n": 1}, level="strong", if_absent=True)
        error = await refused(ann.put(PATH, {"n": 2}, level="strong", if_absent=True))
        assert isinstance(error, errors.RevisionMismatch)
        assert error.metadata["exists"] == "true"
        assert error.metadata["revision"] == str(first.known.position.revision)  # type: ignore[union-attr]
        await home.settled()
        record = await ann.get(PATH)
        assert record is not None
        assert record.value == {"n": 1}
        assert not [c for c in await home.conflicts() if c.state == "open"]


@pytest.mark.promise("precondition.compare-and-set")
async def test_a_counter_by_compare_and_set_loses_nothing_across_doors() -> None:
    """Each adds one to what it has read, on the condition that it is still so."""
    async with house("a", "b") as home:
        await home.at("hub").put(PATH, {"n": 0})
        await home.settled()

        async def add(name: str, times: int) -> None:
            client = home.at(name)
            while times:
                record = await client.get(PATH)
                assert record is not None
                try:
                    await client.put(
                        PATH, {"n": record.value["n"] + 1}, level="strong", if_version=record
                    )
                except errors.RevisionMismatch:
                    continue
                times -= 1

        await asyncio.gather(*(add(name, 5) for name in ("a", "a", "b", "hub")))
        record = await home.at("hub").get(PATH)
        assert record is not None
        assert record.value == {"n": 20}


@pytest.mark.promise("precondition.compare-and-set")
async def test_a_read_set_holds_as_a_whole() -> None:
    """Two write to different records what is only allowed while the other's is not: one gets it."""
    one, other = f"{SPACE}/parts/1", f"{SPACE}/parts/2"
    async with house("a", "b") as home:
        await home.settled()
        found = await asyncio.gather(
            home.at("a").commit([Put(one, {})], level="strong", expect=[Expect.absent(other)]),
            home.at("b").commit([Put(other, {})], level="strong", expect=[Expect.absent(one)]),
            return_exceptions=True,
        )
        assert sorted(isinstance(each, errors.RevisionMismatch) for each in found) == [False, True]


@pytest.mark.promise("write.strong.mismatch")
async def test_a_context_out_of_date_is_refused_for_the_parts_it_touches() -> None:
    async with house("a") as home:
        await home.at("hub").put(PATH, {"n": 0, "x": 0})
        await home.settled()
        arm = home.at("a")
        read = await arm.get(PATH)
        assert read is not None
        await home.at("hub").patch(PATH, {"n": 1})
        beside = await arm.patch(PATH, {"x": 5}, level="strong", based_on=read)
        assert beside.known.kind is OutcomeKind.APPLIED
        error = await refused(arm.patch(PATH, {"n": 5}, level="strong", based_on=read))
        assert error.reason == "REVISION_MISMATCH"
        # The library sends a put as the difference from what was read: `x` it has not changed.
        error = await refused(arm.put(PATH, {"n": 7, "x": 0}, level="strong", based_on=read))
        assert error.reason == "REVISION_MISMATCH"
        await home.settled()
        final = await arm.get(PATH)
        assert final is not None
        assert final.value == {"n": 1, "x": 5}


@pytest.mark.promise("write.strong.refused-by-rule")
async def test_what_a_rule_refuses_never_appears() -> None:
    async with house("a") as home:
        await home.set_policy("parts", '{"fields":{"reported":{"rule":"owner","kind":"robot"}}}')
        await home.settled()
        for name in ("a", "hub"):
            error = await refused(home.at(name, PERSON).put(PATH, {"reported": 1}, level="strong"))
            assert isinstance(error, errors.PreconditionFailed), name
            assert error.reason == "REFUSED_BY_RULE"
        await never_appears(home)
        assert (
            await home.at("a", ROBOT).put(PATH, {"reported": 1}, level="strong")
        ).applied_locally


async def test_additions_merge_at_the_level_strong_too() -> None:
    async with house("a", "b") as home:
        await home.set_policy("parts", '{"fields":{"n":"counter"}}')
        await home.at("hub").put(PATH, {"n": 0})
        await home.settled()
        read = await home.at("a").get(PATH)
        assert read is not None
        await home.at("b").add(PATH, {"n": 1}, level="strong")
        receipt = await home.at("a").commit([Add(PATH, {"n": 1})], level="strong", based_on=read)
        assert receipt.known.kind is OutcomeKind.APPLIED
        record = await home.at("hub").get(PATH)
        assert record is not None
        assert record.value == {"n": 2}


async def test_a_strong_write_depends_on_a_pending_one_that_it_has_seen() -> None:
    async with house("a") as home:
        await home.settled()
        arm = home.at("a")
        await home.pause("a")
        await arm.put(PATH, {"n": 1})
        pending = await arm.get(PATH)
        assert pending is not None
        assert pending.version.pending
        await home.resume("a")
        await until(lambda: _is_streaming(home, "a"))
        receipt = await arm.put(PATH, {"n": 2}, level="strong", if_version=pending)
        assert receipt.known.kind is OutcomeKind.APPLIED
        error = await refused(arm.put(PATH, {"n": 3}, level="strong", if_version=pending))
        assert error.reason == "REVISION_MISMATCH"


async def _is_streaming(home: House, name: str) -> bool:
    return home.running[name].daemon.uplink.state == "streaming"


def _held(home: House) -> tuple[asyncio.Event, asyncio.Event]:
    """From now on the hub decides nothing before the second event; the first says that it would."""
    transactor = home.running["hub"].daemon.ingest._transactor
    held, gate = asyncio.Event(), asyncio.Event()
    decide = transactor.decide

    async def hold(*arguments: Any) -> Any:
        held.set()
        await gate.wait()
        return await decide(*arguments)

    transactor.decide = hold
    return held, gate


@pytest.mark.promise("write.strong.not-shown")
async def test_nobody_sees_a_strong_write_before_it_is_decided() -> None:
    async with house("a") as home:
        await home.settled()
        held, gate = _held(home)
        arm = home.at("a")
        async with arm.watch(SPACE, include_pending=True, bookmarks=True) as events:
            await anext(events)  # that it has begun
            writing = asyncio.create_task(arm.put(PATH, {"n": 1}, level="strong"))
            await held.wait()
            assert await home.at("a").get(PATH) is None
            later = await home.at("a").put(f"{SPACE}/parts/8", {})
            assert later.known.kind is OutcomeKind.PENDING
            gate.set()
            receipt = await writing
            commits: list[CommitEvent] = []
            while len(commits) < 3:
                event = await anext(events)
                commits += [event] if isinstance(event, CommitEvent) else []
        kinds = [(e.outcome.op_id.seq, e.outcome.kind) for e in commits]
        strong, after = receipt.op_id.seq, later.op_id.seq
        assert kinds == [
            (after, OutcomeKind.PENDING), (strong, OutcomeKind.APPLIED),
            (after, OutcomeKind.APPLIED),
        ]  # fmt: skip


@pytest.mark.promise("write.strong.unknown")
async def test_unanswered_at_the_deadline_is_unknown_and_the_commit_id_finds_out() -> None:
    async with house("a", "b") as home:
        await home.settled()
        held, gate = _held(home)
        chosen = secrets.token_bytes(16)
        error = await refused(
            home.at("a").put(PATH, {"n": 1}, level="strong", timeout_s=1, commit_id=chosen)
        )
        assert isinstance(error, errors.OutcomeUnknown)
        assert error.metadata["commit_id"] == chosen.hex()
        assert held.is_set()
        gate.set()
        found = [
            await home.at(name).put(PATH, {"n": 1}, level="strong", commit_id=chosen)
            for name in ("a", "b", "hub")
        ]
        assert {each.known.position for each in found} == {found[0].known.position}
        assert {each.op_id for each in found} == {found[0].op_id}
        assert {each.known.kind for each in found} == {OutcomeKind.APPLIED}
        record = await home.at("hub").get(PATH)
        assert record is not None
        assert record.version.revision == found[0].known.position.revision  # type: ignore[union-attr]


@pytest.mark.promise("write.strong.unknown")
async def test_an_edge_that_stops_does_not_refuse_what_it_has_sent() -> None:
    """It once answered SHUTTING_DOWN, which says that nothing was done, for what the hub had."""
    async with house("a") as home:
        await home.settled()
        held, gate = _held(home)
        put, author = reduce.Put("parts", "7", b'{"n":1}'), Actor("arm-1", ActorKind.ROBOT)
        write = Write(SPACE, (put,), author, level=levels.Level.STRONG)
        writing = asyncio.create_task(home.running["a"].daemon.writes.commit(write, 5.0))
        await held.wait()
        await home.end("a")
        with pytest.raises(Refusal) as caught:
            await writing
        assert caught.value.reason == "OUTCOME_UNKNOWN"
        gate.set()
        await until(lambda: home.at("hub").get(PATH))


@pytest.mark.promise("write.strong.decided")
async def test_an_edge_that_stops_answers_what_is_decided() -> None:
    async with house("a") as home:
        await home.settled()
        _blind(home)
        writing = asyncio.create_task(home.at("a").put(PATH, {"n": 1}, level="strong"))
        await until(lambda: home.at("hub").get(PATH))
        uplink = home.running["a"].daemon.uplink
        await until(lambda: any(uplink.acknowledged.values()))
        await home.end("a")
        receipt = await writing
        assert receipt.known.kind is OutcomeKind.APPLIED
        assert not receipt.applied_locally


@pytest.mark.promise("write.strong.unknown")
async def test_past_its_deadline_it_is_sent_only_to_be_refused() -> None:
    """The push is lost with the link, and the deadline passes before there is another."""
    async with house("a") as home:
        await home.settled()
        agent = home.running["a"].daemon
        chosen = secrets.token_bytes(16)
        lost = _Deaf(agent)
        error = await refused(
            home.at("a").put(PATH, {"n": 1}, level="strong", timeout_s=1, commit_id=chosen)
        )
        assert error.reason == "OUTCOME_UNKNOWN"
        lost.end()
        await never_appears(home)
        outcome = (await home.at("a").outcomes([OpId(SPACE, chosen)]))[0]
        assert (outcome.kind, outcome.reason) == (OutcomeKind.REJECTED, "EXPIRED")
        for name in ("a", "hub"):
            error = await refused(
                home.at(name).put(PATH, {"n": 1}, level="strong", commit_id=chosen)
            )
            assert error.reason == "EXPIRED", name
        await never_appears(home)


class _Deaf:
    """The edge's stream writes into the void, until it ends and the edge dials anew."""

    def __init__(self, agent: Any) -> None:
        self._stream = agent.uplink._stream
        self._stream._outgoing = _Void()

    def end(self) -> None:
        self._stream.leave("LINK_LOST", "cut by the test")


class _Void(list[object]):
    def append(self, _message: object) -> None:
        return


@pytest.mark.promise("write.retry-same-id")
async def test_the_id_of_an_eventual_write_is_not_one_of_a_strong_write() -> None:
    async with house("a") as home:
        await home.settled()
        chosen = secrets.token_bytes(16)
        await home.at("a").put(PATH, {"n": 1}, commit_id=chosen)
        error = await refused(home.at("a").put(PATH, {"n": 1}, level="strong", commit_id=chosen))
        assert error.reason == "COMMIT_ID_REUSED"


async def test_many_strong_writers_and_others_at_two_edges() -> None:
    async with house("a", "b") as home:
        await home.settled()

        async def write(name: str, number: int) -> int:
            client = home.at(name)
            level = "strong" if number % 2 else "eventual"
            receipt = await client.patch(PATH, {f"{name}{number}": number}, level=level)
            position = (await receipt.outcome()).position
            assert position is not None
            return position.revision

        found = await asyncio.gather(*(write(name, n) for name in "ab" for n in range(10)))
        assert sorted(found) == list(range(1, 21))
        await home.settled()
        values = [await home.at(name).get(PATH) for name in ("a", "b", "hub")]
        assert len({value.json for value in values if value}) == 1
        assert values[0] is not None
        assert len(values[0].value) == 20


# -- bounded --------------------------------------------------------------------------------------


@pytest.mark.promise("write.bounded")
async def test_a_bounded_write_is_taken_while_fewer_than_so_many_are_pending() -> None:
    async with house("a") as home:
        await home.settled()
        await home.pause("a")
        arm = home.at("a")
        for number in range(3):
            receipt = await arm.put(f"{SPACE}/parts/{number}", {}, max_pending=3)
            assert receipt.answer.level is Level.BOUNDED
            assert receipt.known.kind is OutcomeKind.PENDING
        error = await refused(arm.put(PATH, {}, level="bounded", max_pending=3))
        assert isinstance(error, errors.Unavailable)
        assert error.reason == "WRITE_BOUND_EXCEEDED"
        assert error.retry_after_s
        assert error.metadata["pending"] == "3"
        assert (await home.status("a")).pending == 3
        await arm.put(f"{SPACE}/parts/3", {})  # who asks for less is not held
        await home.resume("a")
        await home.settled()
        assert (await arm.put(PATH, {}, max_pending=1)).answer.level is Level.BOUNDED


@pytest.mark.promise("write.bounded")
async def test_a_bounded_write_is_taken_while_the_oldest_is_young_enough() -> None:
    async with house("a") as home:
        await home.settled()
        await home.pause("a")
        arm = home.at("a")
        await arm.put(f"{SPACE}/parts/1", {}, max_age=3600)
        await arm.put(f"{SPACE}/parts/2", {}, max_age=3600)
        await asyncio.sleep(0.05)
        error = await refused(arm.put(PATH, {}, max_age=0.02))
        assert error.reason == "WRITE_BOUND_EXCEEDED"
        # What was pending when the daemon began is older than any bound.
        await home.end("a")
        await home.start_edge("a")
        error = await refused(arm.put(PATH, {}, max_age=3600))
        assert error.metadata["oldest_ms"] == "unknown"
        assert (await arm.put(f"{SPACE}/parts/3", {}, max_pending=9)).applied_locally
        await home.resume("a")
        await home.settled()
        await arm.put(PATH, {}, max_age=3600)


async def test_a_bounded_write_without_a_bound_is_malformed_unless_its_policy_has_one() -> None:
    async with house("a") as home:
        arm = home.at("a")
        error = await refused(arm.put(PATH, {}, level="bounded"))
        assert error.reason == "MALFORMED_REQUEST"
        await home.set_policy(
            "parts", '{"min_write_level":"bounded","write_bound":{"max_pending":2}}'
        )
        await home.settled()
        await home.pause("a")
        first = await arm.put(PATH, {})
        assert first.answer.level is Level.BOUNDED
        await arm.put(PATH, {"n": 1})
        assert (await refused(arm.put(PATH, {"n": 2}))).reason == "WRITE_BOUND_EXCEEDED"
        assert (await refused(arm.put(PATH, {}, max_pending=9))).reason == "LEVEL_NOT_PERMITTED"


# -- minimum levels, and what is elsewhere --------------------------------------------------------


@pytest.mark.promise("level.minimum")
async def test_a_minimum_raises_who_names_no_level_and_refuses_who_asks_for_less() -> None:
    async with house("a") as home:
        await home.set_policy("parts", '{"min_write_level":"strong"}')
        await home.settled()
        for name in ("a", "hub"):
            error = await refused(home.at(name).put(PATH, {}, level="eventual"))
            assert isinstance(error, errors.PreconditionFailed), name
            assert error.reason == "LEVEL_NOT_PERMITTED"
            receipt = await home.at(name).patch(PATH, {name: 1})
            assert receipt.answer.level is Level.STRONG
            assert receipt.known.kind is OutcomeKind.APPLIED
        error = await refused(home.at("a").put(PATH, {}, max_pending=5))
        assert error.reason == "LEVEL_NOT_PERMITTED"
        both = [Patch(PATH, {"n": 1}), Patch(f"{SPACE}/notes/1", {"n": 1})]
        receipt = await home.at("a").commit(both)
        assert receipt.answer.level is Level.STRONG


@pytest.mark.promise("level.minimum")
async def test_what_an_edge_took_before_it_knew_of_the_minimum_goes_to_the_inbox() -> None:
    async with house("a") as home:
        await home.settled()
        await home.pause("a")
        await home.at("a").put(PATH, {"n": 1})
        await home.set_policy("parts", '{"min_write_level":"strong"}')
        await home.resume("a")
        await never_appears(home, open_conflicts=1)
        (conflict,) = await home.conflicts()
        assert conflict.reason == "LEVEL_NOT_PERMITTED"


async def test_the_hub_keeps_every_bound() -> None:
    async with house() as home:
        receipt = await home.at("hub").put(PATH, {}, level="bounded", max_pending=1)
        assert receipt.answer.level is Level.BOUNDED


@pytest.mark.promise("scope.forwarded")
async def test_what_is_not_kept_here_is_written_at_the_hub() -> None:
    async with house() as home:
        await home.start_edge("a", {SPACE: Scope(whole=False, collections=frozenset({"notes"}))})
        await home.settled()
        arm, chosen = home.at("a"), secrets.token_bytes(16)
        for path in (PATH, "elsewhere/parts/7"):
            assert (await refused(arm.put(path, {"n": 1}))).reason == "OUT_OF_SCOPE"
            first = await arm.put(path, {"n": 1}, level="strong", commit_id=chosen)
            again = await arm.put(path, {"n": 1}, level="strong", commit_id=chosen)
            assert first.known.kind is OutcomeKind.APPLIED
            assert first.answer.level is Level.STRONG
            assert not first.applied_locally
            assert (again.op_id, again.known.position) == (first.op_id, first.known.position)
            record = await home.at("hub").get(path)
            assert record is not None
            assert record.actor.id == ROBOT[0]
            error = await refused(arm.put(path, {"n": 2}, level="strong", if_absent=True))
            assert error.reason == "REVISION_MISMATCH"
        await home.settled()
        await home.end("hub")
        await until(lambda: _is_down(home))
        for path in (PATH, "elsewhere/parts/7"):
            error = await refused(arm.put(path, {}, level="strong", timeout_s=30))
            assert error.reason == "HUB_UNREACHABLE", path
