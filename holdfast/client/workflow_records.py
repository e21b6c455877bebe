"""Workflows as programs see them: where one stands, what was done with it, and by whom.

All of it is frozen, and free of protobuf. Times are unix milliseconds; zero: not yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from holdfast.client import values
from holdfast.client.commits import Outcome, Receipt
from holdfast.client.records import Actor, Version


class Routing(StrEnum):
    """How the next agent is chosen; by whoever chooses it."""

    SEMANTIC = "semantic"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    LEAST_LOADED = "least-loaded"


class StepStatus(StrEnum):
    """Where a step, or one attempt at it, stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class StepCounters:
    """Steps: how many there are, how many are done, how many have failed."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Definition:
    """What a workflow is of. `json` is the whole of it; it never changes under its name and
    version. `hash` is the SHA-256 of that."""

    name: str
    version: str
    hash: str
    json: str = ""

    @property
    def value(self) -> dict[str, Any]:
        """Its members; `steps` is a list of objects with an `id` and perhaps `depends_on`."""
        return values.decode(self.json)


@dataclass(frozen=True, slots=True)
class WorkflowAuthority:
    """Who may advance a workflow: `hub`, an edge by the origin of its database in hexadecimal, or
    nobody (empty); under a token that grows whenever another takes over."""

    holder: str
    token: int


@dataclass(frozen=True, slots=True)
class WorkflowAct:
    """One thing that was done with a workflow. `event` is one of the table of states; or created,
    saved, recorded, taken, released."""

    event: str
    actor: Actor
    at_ms: int
    before: str = ""
    """The state before, where the event is one of the table."""
    exits: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    note: str = ""
    because: str = ""
    """Key of the parent whose event this one follows."""
    step: str = ""
    attempt: int = 0
    status: StepStatus | None = None
    """What has become of that attempt."""

    @property
    def after(self) -> str:
        """The state that was entered; empty: the state stayed as it was."""
        return self.entries[-1] if self.entries else ""


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt at a step. `input` and `output` are any JSON, as text (empty: null)."""

    step: str
    attempt: int
    status: StepStatus
    agent: str = ""
    kind: str = ""
    input: str = ""
    output: str = ""
    error: str = ""
    started_ms: int = 0
    ended_ms: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow as it stood when it was read, or as an act left it."""

    space: str
    id: str
    incarnation: int
    """Counts the workflows of this id, from 1."""
    state: str
    """A path: active.executing.step_execution."""
    allowed_events: tuple[str, ...]
    definition: Definition | None
    metadata_json: str
    counters: StepCounters
    steps: Mapping[str, StepStatus]
    step: str
    routing: Routing
    priority: int
    agent: str
    parent: str
    """Key of the parent, ID@INCARNATION; empty: none."""
    on_parent: Mapping[str, str]
    correlation_id: str
    created_ms: int
    started_ms: int
    ended_ms: int
    authority: WorkflowAuthority
    last: WorkflowAct
    hash: str
    version: Version
    executions: tuple[Execution, ...] = ()
    """Attempts at steps, if they were asked for."""
    receipt: Receipt | None = field(default=None, compare=False, repr=False)
    """Of the act that left it so; None: it was read. Its outcome is known by `client.wait`."""
    repeated: bool = field(default=False, compare=False)
    """The act was done by an earlier request with the same commit id."""

    @property
    def status(self) -> str:
        """The outermost part of its state: pending, active, paused, completed, failed or
        cancelled."""
        return self.state.partition(".")[0]

    @property
    def key(self) -> str:
        """Of its record in the collection `_workflows`; what children name it by."""
        quoted = self.id.replace("%", "%25").replace("/", "%2F").replace("@", "%40")
        return f"{quoted}@{self.incarnation}"

    @property
    def metadata(self) -> dict[str, Any]:
        """What its users have written into it."""
        return values.decode(self.metadata_json)


@dataclass(frozen=True, slots=True)
class WorkflowHistoryEntry:
    """One entry in the history of a workflow. An outcome of the kind `rejected` changed nothing;
    `conflict_id` is then where it waits for a person."""

    act: WorkflowAct
    outcome: Outcome
    authority: WorkflowAuthority | None
    """As the act left it; None: as it was."""
    began: bool
    conflict_id: bytes = b""
    correlation_id: str = ""
    causation_id: bytes = b""


@dataclass(frozen=True, slots=True)
class WorkflowHistory:
    """What was done with a workflow, newest first; `complete` is False if there is more: ask for
    more entries, or ask the hub."""

    entries: tuple[WorkflowHistoryEntry, ...]
    complete: bool
