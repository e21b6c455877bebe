"""What becomes of a workflow's children when it is told something: in its own commit where one node
may advance both, by a request to who may where not, and as each child has declared."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import PreconditionFailed, StaleAuthority
from sync.authority import REQUESTS
from sync.doors import workflow_children
from tests.house import PERSON, ROBOT, SPACE, House, house, until

pytestmark = pytest.mark.integration

DOORS = ["hub", "a"]


class Flows:
    """Workflows at one door."""

    def __init__(self, home: House, name: str) -> None:
        self.client = home.at(name, PERSON if name == "hub" else ROBOT)
        self.flows = self.client.workflows

    async def create(self, *ids: str, parent: str = "", **options: Any) -> None:
        for one in ids:
            await self.flows.create(one, space=SPACE, parent=parent, **options)

    async def fire(self, id_: str, *events: str, **options: Any) -> None:
        for event in events:
            await self.flows.transition(id_, event, space=SPACE, **options)

    async def states(self, *ids: str) -> list[str]:
        found = [await self.flows.load_workflow_state(one, space=SPACE) for one in ids]
        return [one.status for one in found]

    async def revision(self, id_: str) -> int:
        return (await self.flows.load_workflow_state(id_, space=SPACE)).version.revision

    async def requests(self) -> list[str]:
        return [one.path async for one in self.client.list(f"{SPACE}/{REQUESTS}")]

    async def told(self, id_: str, status: str) -> None:
        """Waits until a workflow is so."""

        async def look() -> bool:
            return await self.states(id_) == [status]

        await until(look)


@pytest.mark.promise("workflow.children-same-commit")
@pytest.mark.parametrize("name", DOORS)
async def test_children_of_one_node_follow_in_the_parents_commit(name: str) -> None:
    async with house(*({"a"} & {name})) as home:
        at = Flows(home, name)
        await at.create("line")
        await at.create("left", "right", parent="line")
        await at.create("tip", parent="left")
        await at.create("free", parent="line", on_parent={"pause": "ignore", "fail": "fail"})
        for one in ("line", "left", "right", "tip", "free"):
            await at.fire(one, "run")
        await at.fire("line", "pause", note="dinner")
        family = ("line", "left", "right", "tip", "free")
        assert await at.states(*family) == ["paused"] * 4 + ["active"]
        tip = await at.flows.load_workflow_state("tip", space=SPACE)
        assert (tip.last.because, tip.last.note) == ("left@1", "dinner")
        if name == "a":
            await home.settled()
        revisions = {await at.revision(one) for one in family[:4]}
        assert len(revisions) == 1
        await at.fire("left", "resume")
        assert await at.states(*family) == ["paused", "active", "paused", "active", "active"]
        await at.flows.save_workflow_state("line", "FAILED", space=SPACE)
        assert await at.states(*family) == [
            "failed", "cancelled", "cancelled", "cancelled", "failed",
        ]  # fmt: skip
        assert await at.requests() == []
        with pytest.raises(PreconditionFailed) as refused:
            await at.create("late", parent="line")
        assert refused.value.reason == "TRANSITION_NOT_ALLOWED"


@pytest.mark.promise("workflow.children-asked")
@pytest.mark.parametrize(("mine", "theirs"), [("hub", "a"), ("a", "hub"), ("a", "b")])
async def test_who_may_advance_a_child_is_asked_and_does_it(mine: str, theirs: str) -> None:
    async with house("a", "b") as home:
        parent, child = Flows(home, mine), Flows(home, theirs)
        await parent.create("line")
        await home.settled()
        await child.create("left", parent="line")
        await child.create("tip", parent="left")
        await child.fire("left", "run")
        await home.settled()
        await parent.fire("line", "run")
        await parent.fire("line", "pause", note="dinner")
        await child.told("left", "paused")
        left = await child.flows.load_workflow_state("left", space=SPACE)
        assert (left.last.because, left.last.note) == ("line@1", "dinner")
        assert left.last.actor.id == (PERSON if mine == "hub" else ROBOT)[0]
        await home.settled()
        await until(lambda: _none(parent))
        await parent.fire("line", "cancel")
        await child.told("tip", "cancelled")
        await home.settled()
        assert await child.states("left", "tip") == ["cancelled", "cancelled"]
        past = await child.flows.history("left", space=SPACE)
        assert [(e.act.event, str(e.outcome.kind)) for e in past.entries] == [
            (event, "applied") for event in ("cancel", "pause", "run", "created")
        ]


async def _none(at: Flows) -> bool:
    return await at.requests() == []


@pytest.mark.promise("workflow.children-asked")
async def test_a_request_waits_for_an_edge_that_is_away_and_for_nobody_else() -> None:
    async with house("a", "b") as home:
        hub, away = Flows(home, "hub"), Flows(home, "a")
        await hub.create("line")
        await home.settled()
        await away.create("left", parent="line")
        await home.settled()
        await home.pause("a")
        await away.fire("left", "run")
        await hub.fire("line", "cancel")
        assert len(await hub.requests()) == 1
        assert await hub.states("left") == ["pending"]
        with pytest.raises(StaleAuthority):
            await hub.fire("left", "cancel")
        await home.end("a")
        await home.start_edge("a")
        await home.resume("a")
        await hub.told("left", "cancelled")
        await home.settled()
        assert await hub.requests() == []
        past = await hub.flows.history("left", space=SPACE)
        assert [one.act.event for one in past.entries] == ["cancel", "run", "created"]


async def test_who_takes_a_lost_nodes_child_does_what_was_asked_of_it() -> None:
    async with house("a") as home:
        hub, away = Flows(home, "hub"), Flows(home, "a")
        await hub.create("line")
        await home.settled()
        await away.create("left", parent="line")
        await home.settled()
        await home.pause("a")
        await hub.fire("line", "cancel")
        assert await hub.states("left") == ["pending"]
        await hub.flows.take_authority("left", space=SPACE, force=True)
        await hub.told("left", "cancelled")
        assert await hub.requests() == []
        await home.resume("a")
        await home.settled()
        assert await away.states("left") == ["cancelled"]


async def test_what_has_no_place_is_not_done_and_not_asked_for_ever() -> None:
    async with house("a") as home:
        hub, edge = Flows(home, "hub"), Flows(home, "a")
        await hub.create("line")
        await home.settled()
        await edge.create("left", parent="line")  # pending: a pause has no place
        await edge.create("done", parent="line")
        await edge.fire("done", "cancel")
        await home.settled()
        await hub.fire("line", "run", "pause")
        await until(lambda: _none(hub))
        assert await hub.states("left", "done") == ["pending", "cancelled"]


async def test_a_guard_keeps_a_child_from_following() -> None:
    async with house() as home:
        hub = Flows(home, "hub")
        await hub.flows.define("plan", "1", {"steps": [{"id": "one"}]}, space=SPACE)
        await hub.create("line")
        await hub.create(
            "left", parent="line", on_parent={"pause": "complete"}, definition=("plan", "1")
        )
        for one in ("line", "left"):
            await hub.fire(one, "run")
        await hub.fire("line", "pause")
        assert await hub.states("line", "left") == ["paused", "active"]


async def test_what_does_not_fit_into_one_commit_is_done_in_several(monkeypatch: Any) -> None:
    monkeypatch.setattr(workflow_children, "MAX_CONDITIONS", 12)
    monkeypatch.setattr("sync.doors.workflow_errands.MAX_CONDITIONS", 12)
    monkeypatch.setattr("sync.doors.workflow_begins.MAX_CHILDREN", 8)
    async with house() as home:
        hub = Flows(home, "hub")
        await hub.create("line")
        many = [f"c{number}" for number in range(8)]
        await hub.create(*many, parent="line")
        await hub.create(*(f"{one}x" for one in many), parent="c3")
        with pytest.raises(PreconditionFailed) as refused:
            await hub.create("c8", parent="line")
        assert refused.value.reason == "TOO_MANY_CHILDREN"
        await hub.fire("line", "cancel")
        for one in (*many, *(f"{each}x" for each in many)):
            await hub.told(one, "cancelled")
        await until(lambda: _none(hub))


async def test_what_does_not_fit_stays_asked_for(monkeypatch: Any) -> None:
    """It was removed without having been done."""
    async with house() as home:
        hub = Flows(home, "hub")
        await hub.create("line")
        await hub.create("cell", parent="line")
        await hub.create(*(f"arm-{number}" for number in range(6)), parent="cell")
        monkeypatch.setattr(workflow_children, "MAX_CONDITIONS", 8)
        monkeypatch.setattr("sync.doors.workflow_errands.MAX_CONDITIONS", 8)
        await hub.fire("line", "cancel")
        errands = home.running["hub"].daemon.attention
        with pytest.raises(workflow_children.TooManyChildren):
            await errands._work(SPACE)
        assert len(await hub.requests()) == 1
        monkeypatch.setattr("sync.doors.workflow_errands.MAX_CONDITIONS", 12)
        errands.anew(SPACE)
        await hub.told("cell", "cancelled")
        await hub.told("arm-5", "cancelled")
