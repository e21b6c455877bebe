"""The states of a workflow, and what leads from one to another: one table, compiled once.

States are a tree, written as paths (`active.executing.step_execution`); an instance is always in a
leaf. A rule that names a parent holds for all that is inside it, unless something further inside
has a rule of its own for the event. Leaving goes from the inside out, entering from the outside in,
and who enters a parent enters its first child, as in W3C SCXML. All of it is worked out when this
file is read, so firing an event is one look-up.

Invariant: the table has an entry for every leaf and every event that is allowed there, and nothing
leads out of a state that is an end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PENDING, PAUSED = "pending", "paused"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
ACTIVE = "active"
INITIALIZING, EXECUTING = "active.initializing", "active.executing"
WAITING, SYNCHRONIZING = "active.waiting_for_resource", "active.synchronizing"
PREPARATION = "active.executing.step_preparation"
EXECUTION = "active.executing.step_execution"
VALIDATION = "active.executing.step_validation"
CLEANUP = "active.executing.step_cleanup"

STATES = (
    PENDING, ACTIVE, INITIALIZING, EXECUTING, PREPARATION, EXECUTION, VALIDATION, CLEANUP, WAITING,
    SYNCHRONIZING, PAUSED, COMPLETED, FAILED, CANCELLED,
)  # fmt: skip
"""All of them, parents before their children."""

FIRST_CHILD = {ACTIVE: INITIALIZING, EXECUTING: PREPARATION}
"""What is entered with a parent."""

LEAVES = tuple(state for state in STATES if state not in FIRST_CHILD)
ENDS = frozenset({COMPLETED, FAILED, CANCELLED})

RULES: tuple[tuple[str, str, str], ...] = (
    (PENDING, "start", ACTIVE),
    (PENDING, "run", EXECUTING),
    (INITIALIZING, "initialized", EXECUTING),
    (PREPARATION, "prepared", EXECUTION),
    (EXECUTION, "executed", VALIDATION),
    (VALIDATION, "validated", CLEANUP),
    (CLEANUP, "cleaned", PREPARATION),
    (EXECUTION, "retry_step", PREPARATION),
    (VALIDATION, "retry_step", PREPARATION),
    (INITIALIZING, "wait", WAITING),
    (EXECUTING, "wait", WAITING),
    (WAITING, "granted", EXECUTING),
    (EXECUTING, "synchronize", SYNCHRONIZING),
    (WAITING, "synchronize", SYNCHRONIZING),
    (SYNCHRONIZING, "synchronized", EXECUTING),
    (EXECUTING, "complete", COMPLETED),
    (SYNCHRONIZING, "complete", COMPLETED),
    (ACTIVE, "pause", PAUSED),
    (PAUSED, "resume", EXECUTING),
    *((state, "fail", FAILED) for state in (PENDING, ACTIVE, PAUSED)),
    *((state, "cancel", CANCELLED) for state in (PENDING, ACTIVE, PAUSED)),
)
"""From where, by which event, to where. A step that a pause has interrupted is prepared anew."""

EVENTS = tuple(dict.fromkeys(event for _, event, _ in RULES))

STATUSES: Mapping[str, str] = {
    "PENDING": PENDING,
    "RUNNING": EXECUTING,
    "PAUSED": PAUSED,
    "COMPLETED": COMPLETED,
    "FAILED": FAILED,
    "CANCELLED": CANCELLED,
}
"""What callers of other orchestration stores call the states that they save."""


class InvalidState(ValueError):
    """The name of a state or event that there is not."""

    reason = "INVALID_WORKFLOW"


class TransitionNotAllowed(Exception):
    """An event that has no place in the state of the workflow."""

    reason = "TRANSITION_NOT_ALLOWED"

    def __init__(self, state: str, wanted: str) -> None:
        self.state, self.wanted, self.allowed = state, wanted, allowed(state)
        rest = f"allowed are {', '.join(self.allowed)}" if self.allowed else "it is at its end"
        super().__init__(f"{wanted} is not possible in {state}: {rest}")

    @property
    def metadata(self) -> dict[str, str]:
        """For programs."""
        return {"state": self.state, "event": self.wanted, "allowed": ",".join(self.allowed)}


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does in a state: what is left, inside first, what is entered, outside first,
    and the leaf in which it ends."""

    exits: tuple[str, ...]
    entries: tuple[str, ...]
    target: str


def status_of(state: str) -> str:
    """The outermost part of a state."""
    return state.partition(".")[0]


def is_in(state: str, parent: str) -> bool:
    """Whether a state is another one, or inside it."""
    return state == parent or state.startswith(f"{parent}.")


def fire(state: str, event: str) -> Transition:
    """What an event does. Raises TransitionNotAllowed."""
    found = TABLE.get((state, event))
    if found is None:
        raise TransitionNotAllowed(state, event)
    return found


def allowed(state: str) -> tuple[str, ...]:
    """The events that have a place in a state."""
    return tuple(event for event in EVENTS if (state, event) in TABLE)


def named(status: str) -> str:
    """The state that a caller means: a path, or one of STATUSES. Raises InvalidState."""
    state = STATUSES.get(status.upper(), status.lower())
    if state not in STATES:
        known = ", ".join(STATUSES)
        raise InvalidState(f"a status is one of {known}, or a path of states; not {status[:80]!r}")
    return state


def event_to(state: str, wanted: str) -> str | None:
    """The event that leads into `wanted` at once; None where one is in it already. Where several
    do, the first of RULES. Raises TransitionNotAllowed."""
    if is_in(state, wanted):
        return None
    for event in EVENTS:
        found = TABLE.get((state, event))
        if found is not None and is_in(found.target, wanted):
            return event
    raise TransitionNotAllowed(state, wanted)


def _ancestors(state: str) -> Iterator[str]:
    """A state and all that it is inside of, from the inside out."""
    while state:
        yield state
        state = state.rpartition(".")[0]


def _compiled() -> dict[tuple[str, str], Transition]:
    declared = {(source, event): target for source, event, target in RULES}
    table = {}
    for leaf in LEAVES:
        for event in EVENTS:
            source = next((s for s in _ancestors(leaf) if (s, event) in declared), None)
            if source is not None:
                table[leaf, event] = _transition(leaf, source, declared[source, event])
    return table


def _transition(leaf: str, source: str, target: str) -> Transition:
    domain = _shared(source, target)
    exits = [state for state in _ancestors(leaf) if _inside_of(state, domain)]
    entries = [state for state in _ancestors(target) if _inside_of(state, domain)]
    entries.reverse()
    while entries[-1] in FIRST_CHILD:
        entries.append(FIRST_CHILD[entries[-1]])
    return Transition(tuple(exits), tuple(entries), entries[-1])


def _inside_of(state: str, domain: str) -> bool:
    return not domain or state.startswith(f"{domain}.")


def _shared(one: str, other: str) -> str:
    """The innermost parent of both, which both are inside of; empty: none."""
    around = set(_ancestors(other.rpartition(".")[0]))
    return next((s for s in _ancestors(one.rpartition(".")[0]) if s in around), "")


TABLE: Mapping[tuple[str, str], Transition] = _compiled()


def diagram() -> str:
    """The rules as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {PENDING}"]
    lines += _inside("", "    ")
    by_way: dict[tuple[str, str], list[str]] = {}
    for source, event, target in RULES:
        by_way.setdefault((_short(source), _short(target)), []).append(event)
    lines += [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in by_way.items()]
    lines += [f"    {state} --> [*]" for state in STATES if state in ENDS]
    return "\n".join(lines)


def _inside(parent: str, indent: str) -> list[str]:
    lines: list[str] = []
    for state in (s for s in STATES if s in FIRST_CHILD and s.rpartition(".")[0] == parent):
        lines.append(f"{indent}state {_short(state)} {{")
        lines.append(f"{indent}    [*] --> {_short(FIRST_CHILD[state])}")
        lines += _inside(state, indent + "    ")
        plain = (s for s in STATES if s.rpartition(".")[0] == state and s not in FIRST_CHILD)
        lines += [f"{indent}    {_short(s)}" for s in plain]
        lines.append(f"{indent}}}")
    return lines


def _short(state: str) -> str:
    return state.rpartition(".")[2]
