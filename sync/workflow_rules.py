"""What may be done with an instance, and what it is then: pure functions from one to the next.

An event goes through the table (sync.workflow) and then through the guards, which may veto it with
a reason. What follows from it (who is told, what children do) is decided here too, and performed by
commits, so all of it is in the log.

Invariant: every function returns another instance that may stand in a record, or raises; none
changes the id, the incarnation, the definition, or, but for `handed`, the authority.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sync import workflow
from sync.authority import MAX_TOKEN, Authority
from sync.commit import Actor
from sync.names import MAX_CORRELATION_CHARS
from sync.values import canonical
from sync.workflow_definitions import Definition, InvalidWorkflow, step_id
from sync.workflow_executions import MAX_AGENT_CHARS, Execution
from sync.workflow_instances import (
    NOTHING,
    Counters,
    Instance,
    Last,
    Routing,
    StepStatus,
)

MAX_NOTE_CHARS = 1_000
"""Why somebody did something: a paragraph."""

MAX_PRIORITY = 1_000
MAX_COUNT = (1 << 53) - 1
MAX_STEPS = 1_000

ON_PARENT: Mapping[str, str] = {
    "cancel": "cancel", "fail": "cancel", "pause": "pause", "resume": "resume",
}  # fmt: skip
"""What a child does when its parent is told something, unless it declares otherwise."""

IGNORE = "ignore"
"""Declared by a child that goes on whatever becomes of its parent."""

_DONE = (StepStatus.COMPLETED, StepStatus.SKIPPED)


class Vetoed(Exception):
    """A guard refuses an event that the table has."""

    reason = "TRANSITION_VETOED"

    def __init__(self, state: str, event: str, why: str) -> None:
        super().__init__(f"{event} in {state}: {why}")
        self.metadata = {"state": state, "event": event, "why": why}


@dataclass(frozen=True, slots=True)
class Word:
    """Who does something with an instance, when, and why."""

    actor: Actor
    now_ms: int
    note: str = ""
    because: str = ""
    """Key of the parent whose event this one follows."""

    def __post_init__(self) -> None:
        if len(self.note) > MAX_NOTE_CHARS:
            raise InvalidWorkflow(f"note: at most {MAX_NOTE_CHARS} characters")


@dataclass(frozen=True, slots=True)
class Changes:
    """Members that a caller sets; None leaves one as it is. `metadata` replaces the whole object,
    `counters` likewise."""

    metadata: bytes | None = None
    counters: Counters | None = None
    routing: Routing | None = None
    priority: int | None = None
    agent: str | None = None
    correlation_id: str | None = None

    @property
    def nothing(self) -> bool:
        """Whether nothing is set."""
        return self == Changes()


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new instance is to be."""

    id: str
    incarnation: int
    definition: Definition | None = None
    changes: Changes = Changes()
    parent: str = ""
    on_parent: Mapping[str, str] | None = None


def begin(wanted: Beginning, node: str, word: Word) -> Instance:
    """A new instance, which its creator may advance. Raises InvalidWorkflow, InvalidValue."""
    plan = wanted.definition
    fresh = Instance(
        id=wanted.id,
        incarnation=wanted.incarnation,
        authority=Authority(node, 1),
        last=_last("created", word),
        definition=plan.reference if plan else None,
        counters=Counters(len(plan.needs) if plan else 0),
        parent=wanted.parent,
        on_parent=_policy(wanted.on_parent),
        created_ms=word.now_ms,
    )
    return changed(fresh, wanted.changes)


def changed(instance: Instance, changes: Changes) -> Instance:
    """With the members that are set. Raises InvalidWorkflow, InvalidValue."""
    if changes.priority is not None and not -MAX_PRIORITY <= changes.priority <= MAX_PRIORITY:
        raise InvalidWorkflow(f"priority: {-MAX_PRIORITY} to {MAX_PRIORITY}")
    if changes.agent is not None and len(changes.agent) > MAX_AGENT_CHARS:
        raise InvalidWorkflow(f"agent: at most {MAX_AGENT_CHARS} characters")
    if len(changes.correlation_id or "") > MAX_CORRELATION_CHARS:
        raise InvalidWorkflow(f"correlation_id: at most {MAX_CORRELATION_CHARS} characters")
    given = {
        "metadata": None if changes.metadata is None else canonical(changes.metadata or NOTHING),
        "counters": None if changes.counters is None else _counters(changes.counters),
        "routing": changes.routing,
        "priority": changes.priority,
        "agent": changes.agent,
        "correlation_id": changes.correlation_id,
    }
    set_ = {name: value for name, value in given.items() if value is not None}
    return replace(instance, **set_)  # type: ignore[arg-type]


def saved(instance: Instance, changes: Changes, word: Word) -> Instance:
    """With other members and in the same state. Raises InvalidWorkflow, InvalidValue."""
    if instance.ended:
        raise workflow.TransitionNotAllowed(instance.state, "save")
    return replace(changed(instance, changes), last=_last("saved", word))


def advance(
    instance: Instance, event: str, word: Word, definition: Definition | None, step: str = ""
) -> Instance:
    """After an event. `step` names the one that is prepared.

    Raises TransitionNotAllowed, Vetoed, InvalidState, InvalidWorkflow.
    """
    if event not in workflow.EVENTS:
        known = ", ".join(workflow.EVENTS)
        raise workflow.InvalidState(f"events are {known}; not {event[:80]!r}")
    done = workflow.fire(instance.state, event)
    if step and event != "prepared":
        raise InvalidWorkflow("step: it belongs to the event `prepared`")
    for guard in GUARDS.get(event, ()):
        why = guard(instance, step, definition)
        if why:
            raise Vetoed(instance.state, event, why)
    last = replace(
        _last(event, word), before=instance.state, exits=done.exits, entries=done.entries,
        step=step,
    )  # fmt: skip
    starts = not instance.started_ms and workflow.is_in(done.target, workflow.ACTIVE)
    kept = instance.step if done.target in (workflow.VALIDATION, workflow.CLEANUP) else ""
    return replace(
        instance,
        state=done.target,
        last=last,
        step=step or kept,
        started_ms=word.now_ms if starts else instance.started_ms,
        ended_ms=word.now_ms if done.target in workflow.ENDS else 0,
    )


def recorded(
    instance: Instance, execution: Execution, definition: Definition | None, word: Word
) -> Instance:
    """With what an agent tells of a step. Raises InvalidWorkflow, TransitionNotAllowed."""
    if instance.ended:
        raise workflow.TransitionNotAllowed(instance.state, "record an execution")
    if definition is not None and execution.step not in definition.needs:
        definition.unmet(execution.step, ())  # raises, saying so
    steps = {**instance.steps, execution.step: execution.status}
    if len(steps) > MAX_STEPS:
        raise InvalidWorkflow(f"steps: at most {MAX_STEPS} of one workflow")
    done = [status for status in steps.values() if status in _DONE]
    failed = [status for status in steps.values() if status is StepStatus.FAILED]
    tally = Counters(max(instance.counters.total, len(steps)), len(done), len(failed))
    agent = execution.agent or instance.agent
    last = replace(
        _last("recorded", word), step=execution.step, attempt=execution.attempt,
        status=execution.status,
    )  # fmt: skip
    return replace(instance, steps=steps, counters=tally, agent=agent, last=last)


def handed(instance: Instance, holder: str, event: str, word: Word) -> Instance:
    """With another holder, or none, under the next token. Raises InvalidWorkflow."""
    token = instance.authority.token + 1
    if token > MAX_TOKEN:
        raise InvalidWorkflow("authority: it has changed hands too often")
    return replace(instance, authority=Authority(holder, token), last=_last(event, word))


def follows(event: str, on_parent: Mapping[str, str], state: str) -> str | None:
    """What a child is to be told when its parent was told `event`; None: nothing, also where that
    has no place in the child's state."""
    told = on_parent.get(event, IGNORE)
    return told if (state, told) in workflow.TABLE else None


# -- guards ------------------------------------------------------------------------------------


Guard = Callable[[Instance, str, Definition | None], str]
"""Says why an event must not happen to an instance (with the step it is about), or nothing."""


def _all_steps_done(instance: Instance, _step: str, definition: Definition | None) -> str:
    if definition is None:
        return ""
    left = [one for one in definition.needs if instance.steps.get(one) not in _DONE]
    more = f" and {len(left) - 5} more" if len(left) > 5 else ""
    return f"steps are not done: {', '.join(left[:5])}{more}" if left else ""


def _dependencies_done(instance: Instance, step: str, definition: Definition | None) -> str:
    if not step:
        return ""
    step_id(step)
    if definition is None:
        return ""
    done = [one for one, status in instance.steps.items() if status in _DONE]
    unmet = definition.unmet(step, done)
    return f"{step} comes after {', '.join(unmet)}" if unmet else ""


GUARDS: Mapping[str, tuple[Guard, ...]] = {
    "complete": (_all_steps_done,),
    "prepared": (_dependencies_done,),
}
"""Asked in order, after the table."""


# -- parts ---------------------------------------------------------------------------------------


def _last(event: str, word: Word) -> Last:
    return Last(event, word.actor, word.now_ms, note=word.note, because=word.because)


def _counters(given: Counters) -> Counters:
    for count in (given.total, given.completed, given.failed):
        if not 0 <= count <= MAX_COUNT:
            raise InvalidWorkflow(f"counters: 0 to {MAX_COUNT}")
    return given


def _policy(given: Mapping[str, str] | None) -> Mapping[str, str]:
    """What a child declares, with what it leaves out. Raises InvalidWorkflow."""
    for event, told in (given or {}).items():
        if event not in ON_PARENT or told not in (*workflow.EVENTS, IGNORE):
            known = ", ".join(ON_PARENT)
            raise InvalidWorkflow(f"on_parent: of {known}, each an event or {IGNORE!r}")
    return {**ON_PARENT, **(given or {})}
