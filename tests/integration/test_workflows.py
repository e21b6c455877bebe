"""Workflows as records: who has the authority advances one without a network, and the hub adopts
it; who has lost it writes nothing, and what he had done is kept.

The commits are those of sync.workflow_acts, asked for at the doors as a service beside them does.
"""

from __future__ import annotations

from json import loads
from typing import Any

import pytest

from holdfast.errors import HoldfastError
from holdfast.host.refusal import Refusal
from holdfast.v1 import state_service_pb2 as pb
from sync import workflow_acts as acts
from sync import workflow_rules as rules
from sync.authority import HUB, NOBODY, WORKFLOWS
from sync.codec.requests import CommitRequest
from sync.commit import Actor, ActorKind, Version
from sync.workflow import COMPLETED, EXECUTION, PENDING
from sync.workflow_instances import Instance, decode
from sync.workflow_rules import Beginning, Word
from tests.house import PERSON, SPACE, House, house

pytestmark = pytest.mark.integration

WORD = Word(Actor("ann", ActorKind.HUMAN), 1_000)
KEY = "job@1"


class Call:
    """What a door asks of a call."""

    def time_remaining(self) -> float:
        return 60.0


CALL: Any = Call()


class Door:
    """A node, its door, and what is done with one workflow there."""

    def __init__(self, node: str, state: Any) -> None:
        self.node, self.state = node, state

    @classmethod
    async def of(cls, home: House, name: str) -> Door:
        daemon = home.running[name].daemon
        if name == "hub":
            return cls(HUB, daemon.state)
        return cls((await home.status(name)).origin.hex(), next(iter(daemon.states.values())))

    async def found(self) -> tuple[Instance, Version]:
        got = await self.state.Get(pb.GetRequest(space=SPACE, collection=WORKFLOWS, key=KEY), CALL)
        at = got.record.version
        version = Version(at.epoch, at.revision, at.origin, at.seq, pending=at.pending)
        return decode(got.record.json.encode()), version

    async def do(self, act: acts.Act) -> pb.CommitResponse:
        asked = CommitRequest(SPACE, (act.request,), WORD.actor, (act.condition,), level=act.level)
        answer: pb.CommitResponse = await self.state.commit(asked, CALL, system=True)
        return answer

    async def begin(self) -> pb.CommitResponse:
        return await self.do(acts.begins(rules.begin(Beginning("job", 1), self.node, WORD)))

    async def fire(self, *events: str) -> None:
        for event in events:
            at, _ = await self.found()
            await self.do(acts.goes_on(at, rules.advance(at, event, WORD, None)))

    async def take(self, *, force: bool = False) -> None:
        at, version = await self.found()
        await self.do(acts.taken(at, version, self.node, WORD, force=force))


async def refused_at(home: House, name: str) -> list[tuple[str, str]]:
    """What waits in the inbox: why, and the event that it says was done."""
    waiting = [c async for c in home.at(name).conflicts(SPACE, states=("open",))]
    return sorted((c.reason, loads(c.theirs.json or "{}")["last"]["event"]) for c in waiting)


async def test_what_a_holder_did_without_a_network_is_adopted() -> None:
    async with house("a", "b") as home:
        edge, hub = await Door.of(home, "a"), await Door.of(home, "hub")
        await home.pause("a")
        await edge.begin()
        await edge.fire("run", "prepared", "executed", "complete")
        await home.resume("a")
        await home.settled()
        for name in ("hub", "a", "b"):
            at, _ = await (await Door.of(home, name)).found()
            assert (at.state, at.authority.holder) == (COMPLETED, edge.node)
        with pytest.raises(Refusal) as refused:
            await hub.do(acts.released((await hub.found())[0], WORD))
        assert refused.value.reason == "STALE_AUTHORITY"
        assert await refused_at(home, "hub") == []


async def test_of_two_that_begin_one_id_the_first_at_the_hub_keeps_it() -> None:
    async with house("a", "b") as home:
        first, second = await Door.of(home, "a"), await Door.of(home, "b")
        await home.pause("b")
        await second.begin()
        await second.fire("run")
        await first.begin()
        await home.settled("a")
        await home.resume("b")
        await home.settled()
        for name in ("hub", "a", "b"):
            at, _ = await (await Door.of(home, name)).found()
            assert (at.state, at.authority.holder) == (PENDING, first.node)
        lost = [("PRECONDITION_FAILED", "created"), ("STALE_AUTHORITY", "run")]
        for name in ("hub", "a", "b"):
            assert await refused_at(home, name) == lost


async def test_a_lost_edge_is_replaced_and_what_it_did_is_kept() -> None:
    async with house("a", "b") as home:
        lost, other = await Door.of(home, "a"), await Door.of(home, "b")
        await lost.begin()
        await lost.fire("run")
        await home.settled()
        await home.pause("a")
        await lost.fire("prepared", "executed")
        with pytest.raises(acts.AuthorityHeld):
            await other.take()
        await other.take(force=True)
        await other.fire("prepared")
        await home.resume("a")
        await home.settled()
        at, _ = await lost.found()
        assert (at.state, at.authority.holder, at.authority.token) == (EXECUTION, other.node, 2)
        stale = "STALE_AUTHORITY"
        for name in ("hub", "a", "b"):
            assert await refused_at(home, name) == [(stale, "executed"), (stale, "prepared")]
        with pytest.raises(Refusal) as refused:
            await lost.fire("executed")
        assert refused.value.reason == stale
        await put_aside(home)


async def put_aside(home: House) -> None:
    """A person can close what was refused; to make it so is for who has the authority."""
    before = await (await Door.of(home, "hub")).found()
    person = home.at("hub", PERSON)
    for found in [c async for c in person.conflicts(SPACE, states=("open",))]:
        with pytest.raises(HoldfastError) as refused:
            await person.resolve(found, "theirs")
        assert refused.value.reason == "RESERVED_COLLECTION"
        await person.resolve(found, "ours", note="done anew by b")
    await home.settled()
    assert await refused_at(home, "a") == []
    assert await (await Door.of(home, "hub")).found() == before


async def test_authority_goes_from_one_to_another_in_good_order() -> None:
    async with house("a", "b") as home:
        edge, other = await Door.of(home, "a"), await Door.of(home, "b")
        await edge.begin()
        await edge.fire("run")
        at, _ = await edge.found()
        await edge.do(acts.released(at, WORD))
        await home.settled()
        at, _ = await other.found()
        assert (at.authority.holder, at.authority.token) == (NOBODY, 2)
        with pytest.raises(Refusal):
            await other.fire("prepared")
        await other.take()
        await other.fire("prepared")
        await home.settled()
        at, _ = await edge.found()
        assert (at.authority.holder, at.authority.token) == (other.node, 3)
        assert at.state == EXECUTION
        assert await refused_at(home, "hub") == []
