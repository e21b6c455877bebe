"""The table of a workflow's states: every state times every event, and what hierarchy means by the
word of an interpreter of W3C SCXML that knows nothing of the table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from statemachine.io.scxml.processor import SCXMLProcessor

from sync import workflow as w

CASES = [(leaf, event) for leaf in w.LEAVES for event in w.EVENTS]


def scxml() -> str:
    """The rules as a document of SCXML."""
    inner = "".join(_state(s) for s in w.STATES if "." not in s)
    root = "http://www.w3.org/2005/07/scxml"
    return f'<scxml xmlns="{root}" version="1.0" initial="{w.PENDING}">{inner}</scxml>'


def _state(state: str) -> str:
    rules = "".join(
        f'<transition event="{event}" target="{target}"/>'
        for source, event, target in w.RULES
        if source == state
    )
    children = "".join(_state(s) for s in w.STATES if s.rpartition(".")[0] == state)
    first = f' initial="{w.FIRST_CHILD[state]}"' if state in w.FIRST_CHILD else ""
    tag = "final" if state in w.ENDS else "state"
    return f'<{tag} id="{state}"{first}>{rules}{children}</{tag}>'


class Told:
    """What the interpreter left and entered, in order."""

    def __init__(self) -> None:
        self.exits: list[str] = []
        self.entries: list[str] = []

    def on_exit_state(self, state: object) -> None:
        self.exits.append(state.id)  # type: ignore[attr-defined]

    def on_enter_state(self, state: object) -> None:
        self.entries.append(state.id)  # type: ignore[attr-defined]


class Oracle:
    """The interpreter, led to a leaf by events."""

    def __init__(self) -> None:
        processor = SCXMLProcessor()
        processor.parse_scxml("workflow", scxml())
        self.machine = processor.start()  # type: ignore[no-untyped-call]
        self.told = Told()
        self.machine.add_listener(self.told)

    def leaf(self) -> str:
        (found,) = [s for s in self.machine.configuration_values if s in w.LEAVES]
        return str(found)

    def send(self, event: str) -> None:
        self.told.exits.clear()
        self.told.entries.clear()
        self.machine.send(event)


def ways() -> dict[str, tuple[str, ...]]:
    """The shortest way to each leaf, found by trying events."""
    found: dict[str, tuple[str, ...]] = {w.PENDING: ()}
    todo = [w.PENDING]
    while todo:
        at = todo.pop(0)
        for event in w.EVENTS:
            after = w.TABLE.get((at, event))
            if after is not None and after.target not in found:
                found[after.target] = (*found[at], event)
                todo.append(after.target)
    return found


WAYS = ways()


def test_every_leaf_can_be_reached() -> None:
    assert WAYS.keys() == set(w.LEAVES)


@pytest.mark.parametrize("leaf", w.LEAVES)
def test_hierarchy_means_what_scxml_says(leaf: str) -> None:
    for event in w.EVENTS:
        oracle = Oracle()
        for step in WAYS[leaf]:
            oracle.send(step)
        assert oracle.leaf() == leaf
        if oracle.machine.is_terminated:
            assert (leaf, event) not in w.TABLE
            continue
        oracle.send(event)
        found = w.TABLE.get((leaf, event))
        if found is None:
            assert (oracle.leaf(), oracle.told.exits) == (leaf, []), event
        else:
            told = (tuple(oracle.told.exits), tuple(oracle.told.entries), oracle.leaf())
            assert told == (found.exits, found.entries, found.target), event


@pytest.mark.parametrize(("leaf", "event"), CASES)
def test_every_event_in_every_state(leaf: str, event: str) -> None:
    allowed = w.allowed(leaf)
    if event not in allowed:
        with pytest.raises(w.TransitionNotAllowed) as refused:
            w.fire(leaf, event)
        said = {"state": leaf, "event": event, "allowed": ",".join(allowed)}
        assert refused.value.metadata == said
        assert leaf in str(refused.value) and event in str(refused.value)
        return
    done = w.fire(leaf, event)
    assert done.target in w.LEAVES
    assert done.exits[0] == leaf
    assert done.entries[-1] == done.target
    for inner, outer in pairwise(done.exits):
        assert inner.rpartition(".")[0] == outer
    for outer, inner in pairwise(done.entries):
        assert inner.rpartition(".")[0] == outer


def test_an_end_is_an_end() -> None:
    assert [leaf for leaf in w.LEAVES if not w.allowed(leaf)] == sorted(w.ENDS, key=w.LEAVES.index)


def test_every_rule_takes_effect_somewhere() -> None:
    for source, event, target in w.RULES:
        inside = [leaf for leaf in w.LEAVES if w.is_in(leaf, source)]
        assert any(w.is_in(w.TABLE[leaf, event].target, target) for leaf in inside)


STATUS_EVENTS: dict[str, dict[str, str | None]] = {
    "PENDING": {w.PENDING: None},
    "RUNNING": {
        w.PENDING: "run",
        w.INITIALIZING: "initialized",
        w.WAITING: "granted",
        w.SYNCHRONIZING: "synchronized",
        w.PAUSED: "resume",
        **dict.fromkeys((w.PREPARATION, w.EXECUTION, w.VALIDATION, w.CLEANUP)),
    },
    "PAUSED": {leaf: "pause" for leaf in w.LEAVES if w.is_in(leaf, w.ACTIVE)} | {w.PAUSED: None},
    "COMPLETED": {
        leaf: "complete"
        for leaf in w.LEAVES
        if w.is_in(leaf, w.EXECUTING) or leaf == w.SYNCHRONIZING
    }
    | {w.COMPLETED: None},
    "FAILED": {leaf: "fail" for leaf in w.LEAVES if leaf not in w.ENDS} | {w.FAILED: None},
    "CANCELLED": {leaf: "cancel" for leaf in w.LEAVES if leaf not in w.ENDS} | {w.CANCELLED: None},
}


@pytest.mark.parametrize("status", w.STATUSES)
def test_a_status_fires_the_event_that_leads_there(status: str) -> None:
    wanted, expected = w.named(status.lower()), STATUS_EVENTS[status]
    for leaf in w.LEAVES:
        if leaf in expected:
            assert w.event_to(leaf, wanted) == expected[leaf], leaf
        else:
            with pytest.raises(w.TransitionNotAllowed):
                w.event_to(leaf, wanted)


def test_a_path_is_a_status_too() -> None:
    assert w.event_to(w.PENDING, w.named("active")) == "start"
    assert w.event_to(w.PREPARATION, w.named("Active.Executing.Step_Execution")) == "prepared"
    with pytest.raises(w.InvalidState, match="RUNNING"):
        w.named("going")


def _lines() -> Iterator[str]:
    return (line.strip() for line in w.diagram().splitlines())


def test_the_diagram_shows_every_state_and_every_rule() -> None:
    lines = list(_lines())
    for state in w.STATES:
        name = state.rpartition(".")[2]
        assert any(name in line for line in lines)
    for source, event, target in w.RULES:
        way = f"{source.rpartition('.')[2]} --> {target.rpartition('.')[2]}: "
        assert any(line.startswith(way) and event in line for line in lines)
