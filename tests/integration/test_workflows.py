"""Workflows at both doors: who has the authority advances one, without a network too, and the hub
adopts it; who has lost it writes nothing, and what he had done is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import AsyncClient, Workflow
from holdfast.errors import (
    Aborted,
    AlreadyExists,
    DataLoss,
    HoldfastError,
    InvalidArgument,
    NotFound,
    PreconditionFailed,
    StaleAuthority,
    StateError,
    TransitionNotAllowed,
    Unavailable,
    WorkflowNotFound,
)
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import workflow_service_pb2 as pb
from sync.authority import WORKFLOWS
from sync.codec.requests import CommitRequest
from sync.commit import Actor, ActorKind, Precondition
from sync.doors.door import UNTIMED
from sync.reduce import Patch
from sync.workflow import COMPLETED, EXECUTION, PENDING, PREPARATION
from tests.house import PERSON, ROBOT, SPACE, House, house

pytestmark = pytest.mark.integration

ID = "job"
NO_LEVEL: Any = 9
PLAN = {"steps": [{"id": "plan"}, {"id": "act", "depends_on": ["plan"]}]}


class Door:
    """What is done with one workflow at one door."""

    def __init__(self, home: House, name: str) -> None:
        self.name, self.client = name, home.at(name, PERSON if name == "hub" else ROBOT)
        self.workflows = self.client.workflows

    async def begin(self, **options: Any) -> Workflow:
        return await self.workflows.create(ID, space=SPACE, **options)

    async def fire(self, *events: str) -> None:
        for event in events:
            await self.workflows.transition(ID, event, space=SPACE)

    async def found(self) -> Workflow:
        return await self.workflows.load_workflow_state(ID, space=SPACE)

    async def take(self, **options: Any) -> Workflow:
        return await self.workflows.take_authority(ID, space=SPACE, **options)

    async def release(self) -> Workflow:
        return await self.workflows.release_authority(ID, space=SPACE)

    async def story(self) -> list[tuple[str, str, str]]:
        """What was done, oldest first: the event, what became of it, and why not."""
        past = await self.workflows.history(ID, space=SPACE)
        entries = reversed(past.entries)
        return [(e.act.event, str(e.outcome.kind), e.outcome.reason) for e in entries]


async def node_of(home: House, name: str) -> str:
    return "hub" if name == "hub" else (await home.status(name)).origin.hex()


@pytest.fixture(params=["hub", "a"])
async def door(request: pytest.FixtureRequest) -> Any:
    """Each kind of door, with a hub behind the second."""
    async with house(*({"a"} & {request.param})) as home:
        yield Door(home, request.param)


# -- at either door --------------------------------------------------------------------------------


async def test_a_workflow_from_its_beginning_to_its_end(door: Door) -> None:
    flows = door.workflows
    await flows.define("fold", "1", PLAN, space=SPACE)
    made = await door.begin(definition=("fold", "1"), metadata={"cloth": "blue"}, agent="arm-1")
    assert (made.key, made.state, made.counters.total) == ("job@1", PENDING, 2)
    assert made.definition is not None
    assert "run" in made.allowed_events
    ran = await flows.save_workflow_state(ID, "RUNNING", space=SPACE, priority=7)
    assert (ran.state, ran.priority, ran.metadata) == (PREPARATION, 7, {"cloth": "blue"})
    assert ran.last.entries == ("active", "active.executing", PREPARATION)
    with pytest.raises(PreconditionFailed) as vetoed:
        await flows.transition(ID, "prepared", step="act", space=SPACE)
    assert (vetoed.value.reason, vetoed.value.metadata["why"]) == (
        "TRANSITION_VETOED", "act comes after plan",
    )  # fmt: skip
    with pytest.raises(PreconditionFailed, match="plan, act"):
        await door.fire("complete")
    for step in ("plan", "act"):
        await flows.transition(ID, "prepared", step=step, space=SPACE)
        done = made_of(step, "completed")
        await flows.record_execution(ID, done, space=SPACE)
        await door.fire("executed", "validated", "cleaned")
    ended = await flows.save_workflow_state(ID, "COMPLETED", space=SPACE)
    assert (ended.status, ended.counters.completed, ended.allowed_events) == ("completed", 2, ())
    assert ended.ended_ms >= ended.started_ms > 0
    full = await flows.load_workflow_state(ID, space=SPACE, with_executions=True)
    assert full == ended or replaced(full) == replaced(ended)
    assert [one.step for one in full.executions] == ["act", "plan"]
    with pytest.raises(TransitionNotAllowed) as late:
        await flows.save_workflow_state(ID, "RUNNING", space=SPACE)
    assert late.value.metadata["state"] == COMPLETED


def made_of(step: str, status: str) -> Any:
    from holdfast import Execution, StepStatus

    return Execution(step, 1, StepStatus(status), agent="arm-1", output='{"folds":3}', cost=0.5)


def replaced(found: Workflow) -> Any:
    """What is equal of a workflow that was written and the same that was read."""
    return (found.key, found.state, found.hash, found.last, found.authority, found.steps)


@pytest.mark.promise("workflow.table-at-doors")
async def test_what_has_no_place_in_a_state_is_refused_with_what_has(door: Door) -> None:
    await door.begin()
    with pytest.raises(TransitionNotAllowed) as refused:
        await door.fire("resume")
    assert refused.value.metadata == {
        "state": PENDING, "event": "resume", "allowed": "start,run,fail,cancel",
    }  # fmt: skip
    assert isinstance(refused.value, StateError)
    with pytest.raises(TransitionNotAllowed):
        await door.workflows.save_workflow_state(ID, "COMPLETED", space=SPACE)
    with pytest.raises(InvalidArgument, match="events are"):
        await door.fire("explode")
    with pytest.raises(InvalidArgument, match="a status is"):
        await door.workflows.save_workflow_state(ID, "FLYING", space=SPACE)
    assert (await door.found()).last.event == "created"


async def test_what_is_not_there_is_told_so(door: Door) -> None:
    flows = door.workflows
    for asked in (
        flows.load_workflow_state("nobody", space=SPACE),
        flows.load_workflow_state("nobody", space=SPACE, incarnation=3),
        flows.transition("nobody", "run", space=SPACE),
        flows.take_authority("nobody", space=SPACE),
        flows.history("nobody", space=SPACE),
    ):
        with pytest.raises(WorkflowNotFound):
            await asked
    with pytest.raises(NotFound) as refused:
        await flows.create(ID, space=SPACE, definition=("fold", "9"))
    assert refused.value.reason == "DEFINITION_NOT_FOUND"
    with pytest.raises(WorkflowNotFound):
        await flows.create(ID, space=SPACE, parent="nobody")
    with pytest.raises(InvalidArgument):
        await flows.create("", space=SPACE)


async def test_a_definition_never_changes(door: Door) -> None:
    flows = door.workflows
    first = await flows.define("fold", "1", PLAN, space=SPACE)
    assert await flows.define("fold", "1", PLAN, space=SPACE) == first
    with pytest.raises(AlreadyExists) as refused:
        await flows.define("fold", "1", {"steps": [{"id": "other"}]}, space=SPACE)
    assert refused.value.reason == "DEFINITION_EXISTS"
    circle = [{"id": "a", "depends_on": ["b"]}, {"id": "b", "depends_on": ["a"]}]
    with pytest.raises(InvalidArgument, match="circle"):
        await flows.define("round", "1", {"steps": circle}, space=SPACE)
    found = await flows.definition("fold", "1", space=SPACE)
    assert (found.value, found.hash) == (PLAN, first.hash)


async def test_an_id_that_has_ended_begins_its_next_incarnation(door: Door) -> None:
    await door.begin()
    with pytest.raises(AlreadyExists) as refused:
        await door.begin()
    assert refused.value.reason == "WORKFLOW_EXISTS"
    for number in range(2, 20):
        await door.fire("cancel")
        assert (await door.begin()).incarnation == number
    assert (await door.found()).incarnation == 19
    second = await door.workflows.load_workflow_state(ID, space=SPACE, incarnation=2)
    assert (second.incarnation, second.status) == (2, "cancelled")


@pytest.mark.promise("workflow.repeat")
async def test_a_repeat_is_answered_with_what_became_of_the_first(door: Door) -> None:
    flows = door.workflows
    made = await door.begin(commit_id=b"1" * 16)
    again = await door.begin(commit_id=b"1" * 16)
    assert (made.repeated, again.repeated, again.incarnation) == (False, True, 1)
    ran = await flows.transition(ID, "run", space=SPACE, commit_id=b"2" * 16)
    again = await flows.transition(ID, "run", space=SPACE, commit_id=b"2" * 16)
    assert again.receipt is not None
    assert ran.receipt is not None
    assert (again.repeated, again.receipt.op_id) == (True, ran.receipt.op_id)
    taken = await door.take(commit_id=b"3" * 16)
    again = await door.take(commit_id=b"3" * 16)
    assert (again.repeated, again.authority.token) == (True, taken.authority.token)
    assert [event for event, _, _ in await door.story()] == ["created", "run", "taken"]


async def test_of_callers_at_one_moment_each_step_is_done_once(door: Door) -> None:
    await door.begin()
    await door.fire("run", "prepared")
    tries = [door.workflows.transition(ID, "executed", space=SPACE) for _ in range(8)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    won = [one for one in answers if isinstance(one, Workflow)]
    lost = [one for one in answers if isinstance(one, TransitionNotAllowed)]
    assert (len(won), len(lost)) == (1, 7)
    same = [
        door.workflows.transition(ID, "validated", space=SPACE, commit_id=b"v" * 16)
        for _ in range(8)
    ]
    found = await asyncio.gather(*same)
    assert len({one.receipt and one.receipt.op_id for one in found}) == 1
    story = [event for event, _, _ in await door.story()]
    assert story == ["created", "run", "prepared", "executed", "validated"]


async def test_lists_are_narrow_stable_and_in_pages(door: Door) -> None:
    flows = door.workflows
    for number in range(25):
        await flows.create(
            f"w{number:02}", space=SPACE, priority=number, agent=f"arm-{number % 3}",
            metadata={"line": {"nr": number % 2}, "n": number},
        )  # fmt: skip
        if number % 5 == 0:
            await flows.transition(f"w{number:02}", "cancel", space=SPACE)

    async def ids(**wanted: Any) -> list[str]:
        return [one.id async for one in flows.list(space=SPACE, **wanted)]

    everything = [f"w{number:02}" for number in range(25)]
    assert await ids() == await ids(page_size=1) == await ids(page_size=7) == everything
    active = [one.id async for one in flows.list_active_workflows(space=SPACE, page_size=4)]
    assert active == [one for one in everything if int(one[1:]) % 5]
    assert await ids(statuses=["cancelled"]) == ["w00", "w05", "w10", "w15", "w20"]
    assert await ids(agent="arm-1", min_priority=4, max_priority=10) == ["w04", "w07", "w10"]
    assert await ids(metadata={"line": {"nr": 1}}, max_priority=5) == ["w01", "w03", "w05"]
    assert await ids(metadata={"n": 3.0}) == []
    assert await ids(id_prefix="w2") == ["w20", "w21", "w22", "w23", "w24"]
    half = (await flows.load_workflow_state("w12", space=SPACE)).created_ms
    later = await ids(created_from_ms=half)
    assert everything[13:] == [one for one in later if one > "w12"]
    assert set(await ids(created_until_ms=half)) | set(later) == set(everything)
    with pytest.raises(InvalidArgument):
        await ids(page_size=5_000)
    with pytest.raises(InvalidArgument):
        await ids(statuses=["flying"])


async def test_a_workflow_as_it_was_and_its_story(door: Door, monkeypatch: Any) -> None:
    await door.begin(metadata={"n": 0})
    revisions = []
    for number in range(1, 4):
        saved = await door.workflows.save_workflow_state(
            ID, "RUNNING" if number == 1 else "", space=SPACE, metadata={"n": number},
            note=f"number {number}",
        )  # fmt: skip
        assert saved.receipt is not None
        (outcome,) = await door.client.wait([saved.receipt.op_id])
        assert outcome.position is not None
        revisions.append(outcome.position.revision)
    for number, revision in enumerate(revisions, start=1):
        was = await door.workflows.load_workflow_state(ID, space=SPACE, as_of=revision)
        assert (was.metadata, was.last.note) == ({"n": number}, f"number {number}")
    first = await door.workflows.load_workflow_state(ID, space=SPACE, as_of=revisions[0] - 1)
    assert (first.state, first.metadata) == (PENDING, {"n": 0})
    with pytest.raises(HoldfastError) as refused:
        await door.workflows.load_workflow_state(ID, space=SPACE, as_of=revisions[-1] + 100)
    assert refused.value.reason == "FUTURE_REVISION"
    past = await door.workflows.history(ID, space=SPACE, limit=2)
    assert [one.act.note for one in past.entries] == ["number 3", "number 2"]
    assert not past.complete
    past = await door.workflows.history(ID, space=SPACE)
    assert [one.act.event for one in past.entries] == ["saved", "saved", "run", "created"]
    assert [one.began for one in past.entries] == [False, False, False, True]
    assert past.complete
    assert past.entries[2].act.after == PREPARATION


# -- hub and edges ---------------------------------------------------------------------------------


@pytest.mark.promise("workflow.one-advances")
async def test_what_a_holder_did_without_a_network_is_adopted() -> None:
    async with house("a", "b") as home:
        edge, hub = Door(home, "a"), Door(home, "hub")
        await home.pause("a")
        await edge.workflows.define("fold", "1", PLAN, space=SPACE)
        await edge.begin(definition=("fold", "1"))
        await edge.fire("run")
        for step in ("plan", "act"):
            await edge.workflows.record_execution(ID, made_of(step, "completed"), space=SPACE)
        await edge.fire("prepared", "executed", "complete")
        acts = ("created", "run", "recorded", "recorded", "prepared", "executed", "complete")
        assert await edge.story() == [(act, "pending", "") for act in acts]
        past = await edge.workflows.history(ID, space=SPACE)
        assert [one.began for one in past.entries] == [False] * 6 + [True]
        await home.resume("a")
        await home.settled()
        node = await node_of(home, "a")
        for name in ("hub", "a", "b"):
            at = await Door(home, name).found()
            assert (at.state, at.authority.holder) == (COMPLETED, node)
            assert await Door(home, name).story() == [(act, "applied", "") for act in acts]
        with pytest.raises(StaleAuthority) as refused:
            await hub.release()
        assert refused.value.metadata["holder"] == node
        assert await waiting(home, "hub") == []


async def waiting(home: House, name: str) -> list[tuple[str, str]]:
    """What waits in the inbox: the record and why."""
    found = [c async for c in home.at(name).conflicts(SPACE, states=("open",))]
    return sorted((c.path.partition("/")[2], c.reason) for c in found)


async def test_of_two_that_begin_one_id_the_first_at_the_hub_keeps_it() -> None:
    async with house("a", "b") as home:
        first, second = Door(home, "a"), Door(home, "b")
        await home.pause("b")
        await second.begin()
        await second.fire("run")
        await first.begin()
        await home.settled("a")
        await home.resume("b")
        await home.settled()
        node = await node_of(home, "a")
        for name in ("hub", "a", "b"):
            at = await Door(home, name).found()
            assert (at.state, at.authority.holder) == (PENDING, node)
            assert await Door(home, name).story() == [
                ("created", "applied", ""),
                ("created", "rejected", "PRECONDITION_FAILED"),
                ("run", "rejected", "STALE_AUTHORITY"),
            ]


async def test_a_lost_edge_is_replaced_and_what_it_did_is_kept() -> None:
    async with house("a", "b") as home:
        lost, other = Door(home, "a"), Door(home, "b")
        await lost.begin()
        await lost.fire("run")
        await home.settled()
        await home.pause("a")
        await lost.fire("prepared", "executed")
        with pytest.raises(PreconditionFailed) as held:
            await other.take()
        assert held.value.reason == "AUTHORITY_HELD"
        assert held.value.metadata["holder"] == await node_of(home, "a")
        with pytest.raises(Unavailable):
            await lost.take()
        await other.take(force=True)
        await other.fire("prepared")
        await home.resume("a")
        await home.settled()
        at = await lost.found()
        holder = await node_of(home, "b")
        assert (at.state, at.authority.holder, at.authority.token) == (EXECUTION, holder, 2)
        stale = ("_workflows/job@1", "STALE_AUTHORITY")
        for name in ("hub", "a", "b"):
            assert await waiting(home, name) == [stale, stale]
        with pytest.raises(StaleAuthority):
            await lost.fire("executed")
        story = await other.story()
        assert [event for event, kind, _ in story if kind == "applied"] == [
            "created", "run", "taken", "prepared",
        ]  # fmt: skip
        assert [event for event, kind, _ in story if kind == "rejected"] == [
            "prepared", "executed",
        ]  # fmt: skip
        await put_aside(home)


async def put_aside(home: House) -> None:
    """A person can close what was refused; to make it so is for who has the authority."""
    before = await Door(home, "hub").found()
    person = home.at("hub", PERSON)
    for found in [c async for c in person.conflicts(SPACE, states=("open",))]:
        with pytest.raises(HoldfastError) as refused:
            await person.resolve(found, "theirs")
        assert refused.value.reason == "RESERVED_COLLECTION"
        await person.resolve(found, "ours", note="done anew by b")
    await home.settled()
    assert await waiting(home, "a") == []
    assert await Door(home, "hub").found() == before


async def test_authority_goes_from_one_to_another_in_good_order() -> None:
    async with house("a", "b") as home:
        edge, other = Door(home, "a"), Door(home, "b")
        await edge.begin()
        await edge.fire("run")
        await edge.release()
        with pytest.raises(StaleAuthority, match="nobody"):
            await edge.fire("prepared")
        await home.settled()
        with pytest.raises(StaleAuthority):
            await other.fire("prepared")
        await other.take()
        await other.fire("prepared")
        await home.settled()
        at = await edge.found()
        assert (at.authority.holder, at.authority.token) == (await node_of(home, "b"), 3)
        assert at.state == EXECUTION
        assert await waiting(home, "hub") == []


async def test_an_incarnation_that_stands_on_what_was_refused_is_refused_too() -> None:
    async with house("a", "b") as home:
        lost, hub = Door(home, "a"), Door(home, "hub")
        await lost.begin()
        await home.settled()
        await home.pause("a")
        await lost.fire("cancel")
        assert (await lost.begin()).incarnation == 2
        await hub.take(force=True)
        await home.resume("a")
        await home.settled()
        for name in ("hub", "a", "b"):
            at = await Door(home, name).found()
            assert (at.incarnation, at.state, at.authority.holder) == (1, PENDING, "hub")


async def test_a_session_that_roams_sees_its_workflow() -> None:
    async with house("a", "b") as home:
        here = Door(home, "a")
        await here.begin()
        await here.fire("run", "prepared")
        await here.release()
        there = home.at("b", ROBOT, tokens=here.client.tokens)
        taken = await there.workflows.take_authority(ID, space=SPACE)
        assert (taken.state, taken.authority.holder) == (EXECUTION, await node_of(home, "b"))
        await there.workflows.transition(ID, "executed", space=SPACE)


@pytest.mark.promise("workflow.repeat")
async def test_a_repeat_at_another_door_is_answered_with_what_became_of_the_first() -> None:
    async with house("a", "b") as home:
        here, there = Door(home, "a"), Door(home, "b")
        made = await here.begin(commit_id=b"1" * 16)
        ran = await here.workflows.transition(ID, "run", space=SPACE, commit_id=b"2" * 16)
        await home.settled()
        for first, again in (
            (made, await there.begin(commit_id=b"1" * 16)),
            (ran, await there.workflows.transition(ID, "run", space=SPACE, commit_id=b"2" * 16)),
        ):
            assert first.receipt is not None
            assert again.receipt is not None
            assert (again.repeated, again.receipt.op_id) == (True, first.receipt.op_id)
            assert str(again.receipt.known.kind) == "applied"
        with pytest.raises(StaleAuthority):
            await there.workflows.transition(ID, "run", space=SPACE, commit_id=b"3" * 16)


async def test_of_edges_that_take_one_workflow_at_once_each_has_it_in_turn() -> None:
    async with house("a", "b") as home:
        await Door(home, "hub").begin()
        await home.settled()
        doors = [Door(home, name) for name in ("a", "b", "hub", "a", "b")]
        taken = await asyncio.gather(
            *(door.take(force=True, commit_id=bytes([n]) * 16) for n, door in enumerate(doors, 1))
        )
        assert sorted(one.authority.token for one in taken) == [2, 3, 4, 5, 6]
        await home.settled()
        for number, door in enumerate(doors, 1):
            again = await door.take(force=True, commit_id=bytes([number]) * 16)
            assert (again.repeated, again.authority.token) == (True, 6)
        assert await waiting(home, "hub") == []


async def test_requests_that_cannot_be_are_refused_by_name(door: Door) -> None:
    await door.begin()
    client: AsyncClient = door.client
    write = pb.WorkflowWrite(space=SPACE, workflow_id=ID)
    with pytest.raises(InvalidArgument):  # nobody does it
        await client.request(
            "WorkflowService.Transition", pb.TransitionRequest(write=write, event="run")
        )
    write.actor.CopyFrom(record.Actor(id="ann", kind=record.ACTOR_KIND_HUMAN))
    for request, reason in (
        (pb.TransitionRequest(write=_with(write, commit_id=b"short"), event="run"), "MALFORMED"),
        (pb.TransitionRequest(write=_with(write, incarnation=1 << 30), event="run"), "MALFORMED"),
        (pb.TransitionRequest(write=_with(write, note="x" * 2_000), event="run"), "INVALID_W"),
        (pb.TransitionRequest(write=_with(write, level=9), event="run"), "UNKNOWN_ENUM"),
        (pb.TransitionRequest(write=write, event="run", step="plan"), "INVALID_W"),
        (pb.RecordExecutionRequest(write=write), "UNKNOWN_ENUM"),
        (
            pb.RecordExecutionRequest(
                write=write, execution=pb.Execution(status=pb.STEP_STATUS_RUNNING)
            ),
            "INVALID_W",
        ),
        (pb.GetWorkflowHistoryRequest(read=_read(), page_token="?"), "PAGE_TOKEN"),
        (pb.ListWorkflowsRequest(space=SPACE, metadata={"a": "{"}), "INVALID_JSON"),
        (pb.ListWorkflowsRequest(space=SPACE, level=NO_LEVEL), "UNKNOWN_ENUM"),
    ):
        name = type(request).__name__.removesuffix("Request")
        with pytest.raises((InvalidArgument, Aborted)) as refused:
            await client.request(f"WorkflowService.{name}", request)
        assert refused.value.reason.startswith(reason), request
    assert (await door.found()).last.event == "created"


def _with(write: pb.WorkflowWrite, **changes: Any) -> pb.WorkflowWrite:
    message = pb.WorkflowWrite()
    message.CopyFrom(write)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def _read() -> pb.WorkflowRead:
    return pb.WorkflowRead(space=SPACE, workflow_id=ID)


async def test_a_record_that_is_not_what_its_hash_says_is_told_and_not_acted_upon() -> None:
    async with house() as home:
        hub = Door(home, "hub")
        await hub.begin()
        await hub.workflows.create("sound", space=SPACE)
        await hub.workflows.create("child", space=SPACE, parent="sound")
        await spoil(home, "job@1", "child@1")
        with pytest.raises(DataLoss) as refused:
            await hub.found()
        assert refused.value.reason == "WORKFLOW_DAMAGED"
        with pytest.raises(DataLoss):
            await hub.fire("run")
        listed = hub.workflows.list(space=SPACE)
        assert (await anext(listed)).id == "sound"
        with pytest.raises(DataLoss, match="child@1, job@1"):
            await anext(listed)
        ended = await hub.workflows.transition("sound", "cancel", space=SPACE)
        assert ended.status == "cancelled"


async def spoil(home: House, *keys: str) -> None:
    """Writes past the service, as a damaged disk or other software might."""
    state = home.running["hub"].daemon.state
    for key in keys:
        held = Precondition(WORKFLOWS, key, authority=1)
        patch = Patch(WORKFLOWS, key, b'{"priority":99}')
        asked = CommitRequest(SPACE, (patch,), Actor("ann", ActorKind.HUMAN), (held,))
        await state.commit(asked, UNTIMED, system=True)
