"""What an instance is after each thing that may be done with it, and what it says as a record."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import values, work_keys
from sync import workflow as w
from sync import workflow_definitions as definitions
from sync import workflow_rules as rules
from sync.authority import HUB, MAX_TOKEN, NOBODY, Authority
from sync.commit import Actor, ActorKind
from sync.names import InvalidName
from sync.workflow_definitions import InvalidWorkflow
from sync.workflow_executions import Execution, any_json, execution_from
from sync.workflow_instances import Counters, Damaged, Instance, Routing, StepStatus, decode
from sync.workflow_rules import Beginning, Changes, Word

WORD = Word(Actor("ann", ActorKind.HUMAN), 1_000)
LATER = Word(Actor("arm", ActorKind.ROBOT), 2_000, note="so it was")
STEPS = b'{"steps":[{"id":"pick"},{"depends_on":["pick"],"id":"place"}]}'
PLAN = definitions.parse("move", "1", STEPS)


def begun(plan: definitions.Definition | None = PLAN, **changes: object) -> Instance:
    wanted = Beginning("job 7/a", 1, plan, Changes(**changes))  # type: ignore[arg-type]
    return rules.begin(wanted, HUB, WORD)


def running(plan: definitions.Definition | None = PLAN) -> Instance:
    return rules.advance(begun(plan), "run", WORD, plan)


def step(instance: Instance, name: str, status: StepStatus) -> Instance:
    return rules.recorded(instance, Execution(name, 1, status, agent="arm"), PLAN, LATER)


def test_who_creates_an_instance_may_advance_it() -> None:
    made = begun(priority=3, metadata=b'{"b":1,"a":2}', routing=Routing.RANDOM)
    assert made.authority == Authority(HUB, 1)
    assert (made.key, made.state, made.created_ms) == ("job 7%2Fa@1", w.PENDING, 1_000)
    assert made.counters == Counters(total=2)
    assert made.metadata == b'{"a":2,"b":1}'
    assert made.definition == PLAN.reference
    assert made.last.event == "created"


def test_an_event_tells_what_was_left_and_entered() -> None:
    done = running()
    assert done.state == w.PREPARATION
    assert done.last.entries == (w.ACTIVE, w.EXECUTING, w.PREPARATION)
    assert (done.last.before, done.last.exits) == (w.PENDING, (w.PENDING,))
    assert (done.started_ms, done.ended_ms) == (1_000, 0)
    paused = rules.advance(done, "pause", LATER, PLAN)
    assert (paused.status, paused.started_ms, paused.last.note) == ("paused", 1_000, "so it was")
    ended = rules.advance(paused, "cancel", LATER, PLAN)
    assert (ended.ended, ended.ended_ms) == (True, 2_000)


def test_what_has_no_place_is_refused() -> None:
    with pytest.raises(w.TransitionNotAllowed):
        rules.advance(begun(), "complete", WORD, PLAN)
    with pytest.raises(w.InvalidState, match="events are"):
        rules.advance(begun(), "explode", WORD, PLAN)
    with pytest.raises(InvalidWorkflow, match="prepared"):
        rules.advance(begun(), "run", WORD, PLAN, "pick")
    ended = rules.advance(begun(), "cancel", WORD, PLAN)
    with pytest.raises(w.TransitionNotAllowed):
        rules.saved(ended, Changes(priority=1), WORD)
    with pytest.raises(w.TransitionNotAllowed):
        step(ended, "pick", StepStatus.COMPLETED)


def test_a_step_comes_after_those_that_it_depends_on() -> None:
    at = running()
    with pytest.raises(rules.Vetoed, match="place comes after pick") as vetoed:
        rules.advance(at, "prepared", WORD, PLAN, "place")
    assert vetoed.value.metadata["event"] == "prepared"
    with pytest.raises(InvalidWorkflow, match="no step"):
        rules.advance(at, "prepared", WORD, PLAN, "paint")
    picked = step(at, "pick", StepStatus.COMPLETED)
    placing = rules.advance(picked, "prepared", WORD, PLAN, "place")
    assert (placing.state, placing.step) == (w.EXECUTION, "place")
    checked = rules.advance(placing, "executed", WORD, PLAN)
    assert (checked.state, checked.step) == (w.VALIDATION, "place")
    assert rules.advance(placing, "retry_step", WORD, PLAN).step == ""


def test_a_workflow_is_complete_when_its_steps_are() -> None:
    at = step(running(), "pick", StepStatus.COMPLETED)
    with pytest.raises(rules.Vetoed, match="place"):
        rules.advance(at, "complete", WORD, PLAN)
    failed = step(at, "place", StepStatus.FAILED)
    assert failed.counters == Counters(2, 1, 1)
    with pytest.raises(rules.Vetoed, match="place"):
        rules.advance(failed, "complete", WORD, PLAN)
    skipped = step(failed, "place", StepStatus.SKIPPED)
    assert skipped.counters == Counters(2, 2, 0)
    assert skipped.agent == "arm"
    assert rules.advance(skipped, "complete", WORD, PLAN).state == w.COMPLETED
    assert rules.advance(running(None), "complete", WORD, None).state == w.COMPLETED


def test_a_step_that_the_definition_does_not_have_is_not_recorded() -> None:
    with pytest.raises(InvalidWorkflow, match="no step"):
        step(running(), "paint", StepStatus.COMPLETED)


def test_a_hand_over_makes_a_new_token_and_nothing_else() -> None:
    at = running()
    free = rules.handed(at, NOBODY, "released", WORD)
    assert free.authority == Authority(NOBODY, 2)
    assert replace(free, authority=at.authority, last=at.last) == at
    worn = replace(at, authority=Authority(HUB, MAX_TOKEN))
    with pytest.raises(InvalidWorkflow, match="too often"):
        rules.handed(worn, NOBODY, "released", WORD)


def test_a_child_does_what_it_declares() -> None:
    declared = {"pause": "wait", "fail": "ignore"}
    child = rules.begin(Beginning("c", 1, parent="p@1", on_parent=declared), HUB, WORD)
    at = rules.advance(child, "run", WORD, None)
    told = {event: rules.follows(event, at.on_parent, at.state) for event in rules.ON_PARENT}
    assert told == {"cancel": "cancel", "fail": None, "pause": "wait", "resume": None}
    with pytest.raises(InvalidWorkflow, match="on_parent"):
        rules.begin(Beginning("c", 1, on_parent={"cancel": "explode"}), HUB, WORD)


@pytest.mark.parametrize(
    "changes",
    [
        {"priority": rules.MAX_PRIORITY + 1},
        {"agent": "a" * 129},
        {"correlation_id": "c" * 129},
        {"counters": Counters(-1)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_members_have_limits(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidWorkflow, match=next(iter(changes))):
        rules.changed(begun(), Changes(**changes))  # type: ignore[arg-type]


def test_changes_leave_what_they_do_not_name() -> None:
    at = begun(priority=3, agent="arm", metadata=b'{"a":1}')
    assert Changes().nothing
    assert not Changes(agent="").nothing
    saved = rules.saved(at, Changes(agent=""), LATER)
    assert (saved.agent, saved.priority, saved.metadata) == ("", 3, b'{"a":1}')
    with pytest.raises(InvalidWorkflow, match="note"):
        Word(WORD.actor, 1, note="n" * (rules.MAX_NOTE_CHARS + 1))


# -- as records ----------------------------------------------------------------------------------


def every_instance() -> list[Instance]:
    """One in each thing that can be done with it."""
    at = step(running(), "pick", StepStatus.COMPLETED)
    noted = replace(at, last=replace(at.last, because="p@1"))
    return [begun(), running(None), at, noted, rules.handed(at, NOBODY, "released", LATER)]


@pytest.mark.parametrize("instance", every_instance(), ids=lambda one: one.last.event)
def test_a_record_says_the_whole_instance(instance: Instance) -> None:
    assert decode(instance.encode()) == instance


@pytest.mark.parametrize("name", sorted(values.fields(begun().encode())))
def test_a_record_that_was_altered_is_told_so(name: str) -> None:
    texts = values.fields(running().encode())
    for other in (b"null", b"7", b'"x"'):
        with pytest.raises(Damaged):
            decode(values.join({**texts, name: other}))
    del texts[name]
    with pytest.raises(Damaged):
        decode(values.join(texts))


def test_what_is_no_record_of_a_workflow_is_damaged() -> None:
    for value in (b"{}", b"[]", b"", b'{"hash":7}'):
        with pytest.raises(Damaged):
            decode(value)


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@given(st.lists(WORDS | st.text("ab%/@25F4", min_size=1, max_size=8), min_size=2, max_size=2))
def test_keys_of_different_ids_differ_and_can_be_taken_apart(ids: list[str]) -> None:
    keys = []
    for one in ids:
        try:
            key = work_keys.workflow_key(one, 12)
        except InvalidName:
            return
        assert work_keys.id_and_incarnation(key) == (one, 12)
        assert work_keys.execution_key(key, one, 3).split("/")[0] == key
        keys.append(key)
    assert (ids[0] == ids[1]) == (keys[0] == keys[1])


@pytest.mark.parametrize(
    "key", ["", "a", "@1", "a@", "a@0", "a@x", "a@1000000", "a@100001", "a@\u00b2"]
)
def test_what_is_no_key_of_a_workflow(key: str) -> None:
    with pytest.raises(work_keys.InvalidKey):
        work_keys.id_and_incarnation(key)


def test_an_id_has_a_limit() -> None:
    with pytest.raises(work_keys.InvalidKey):
        work_keys.quoted("/" * 60)


@pytest.mark.parametrize("cost", [0, 0.5, 1e15, 12345.0])
def test_an_execution_is_what_its_record_says(cost: float) -> None:
    done = Execution(
        "pick", 2, StepStatus.FAILED, "arm", "grip", any_json('{"b":1,"a":[2.50]}'), any_json(""),
        "it slipped", 5, 6, cost,
    )  # fmt: skip
    value = done.encode()
    assert values.canonical(value) == value
    assert execution_from(value) == done
    assert orjson.loads(value)["input"] == {"a": [2.5], "b": 1}


@pytest.mark.parametrize(
    "wrong",
    [{"attempt": 0}, {"cost": float("nan")}, {"agent": "a" * 129}, {"started_ms": -1}, {"step": ""},
     {"error": "e" * 4_001}],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_what_is_told_of_a_step_has_limits(wrong: dict[str, object]) -> None:
    told = {"step": "pick", "attempt": 1, "status": StepStatus.RUNNING, **wrong}
    with pytest.raises(InvalidWorkflow, match=next(iter(wrong))):
        Execution(**told)  # type: ignore[arg-type]


def test_a_record_that_is_no_execution() -> None:
    for value in (b"{}", b'{"input":1,"output":2,"status":"gone"}'):
        with pytest.raises(InvalidWorkflow):
            execution_from(value)


# -- definitions ---------------------------------------------------------------------------------


def test_a_definition_is_what_its_record_says() -> None:
    assert definitions.decode(PLAN.encode()) == PLAN
    assert PLAN.unmet("place", ()) == ("pick",)
    assert PLAN.unmet("place", ["pick"]) == ()
    texts = values.fields(PLAN.encode())
    with pytest.raises(InvalidWorkflow, match="hash"):
        definitions.decode(values.join({**texts, "definition": b'{"steps":[{"id":"x"}]}'}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "steps"),
        ('{"steps":[]}', "steps"),
        ('{"steps":[7]}', "object"),
        ('{"steps":[{"id":""}]}', "id"),
        ('{"steps":[{"id":"a"},{"id":"a"}]}', "twice"),
        ('{"steps":[{"id":"a","depends_on":["b"]}]}', "no step"),
        ('{"steps":[{"id":"a","depends_on":"b"}]}', "depends_on"),
        ('{"steps":[{"id":"a","depends_on":["b"]},{"id":"b","depends_on":["a"]}]}', "circle"),
    ],
)  # fmt: skip
def test_a_definition_that_cannot_be(text: str, told: str) -> None:
    with pytest.raises(InvalidWorkflow, match=told):
        definitions.parse("move", "1", text)
    with pytest.raises(InvalidWorkflow, match="name"):
        definitions.parse("a/b", "1", STEPS)
