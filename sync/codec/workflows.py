"""Workflows between doors and callers; the same at every door.

Requests become checked values here, so that the rules never see protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from holdfast.v1 import record_pb2
from holdfast.v1 import workflow_service_pb2 as pb
from sync import names, workflow
from sync.authority import Authority
from sync.canonical_json import canonical_value
from sync.codec.blocks import version_to
from sync.codec.requests import BadRequest, actor_to, level_from
from sync.commit import Version
from sync.levels import Level
from sync.position import ID_BYTES
from sync.work_keys import MAX_INCARNATIONS, quoted
from sync.workflow_definitions import Definition, InvalidWorkflow, Reference
from sync.workflow_executions import Execution, any_json
from sync.workflow_instances import Counters, Instance, Last, Routing, StepStatus
from sync.workflow_rules import Changes

_ROUTINGS = {
    Routing.SEMANTIC: pb.ROUTING_STRATEGY_SEMANTIC,
    Routing.ROUND_ROBIN: pb.ROUTING_STRATEGY_ROUND_ROBIN,
    Routing.RANDOM: pb.ROUTING_STRATEGY_RANDOM,
    Routing.LEAST_LOADED: pb.ROUTING_STRATEGY_LEAST_LOADED,
}
_ROUTINGS_BACK = {number: routing for routing, number in _ROUTINGS.items()}
_STATUSES = {
    StepStatus.RUNNING: pb.STEP_STATUS_RUNNING,
    StepStatus.COMPLETED: pb.STEP_STATUS_COMPLETED,
    StepStatus.FAILED: pb.STEP_STATUS_FAILED,
    StepStatus.SKIPPED: pb.STEP_STATUS_SKIPPED,
    StepStatus.CANCELLED: pb.STEP_STATUS_CANCELLED,
}
_STATUSES_BACK = {number: status for status, number in _STATUSES.items()}

UNFINISHED = "UNFINISHED"
"""In the place of a status: all that are not at their end."""

MAX_MEMBERS = 20
"""Of metadata that a list asks for: each is compared with each workflow that is looked at."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Which workflow: `incarnation` zero is the newest of its id."""

    space: str
    id: str
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Write:
    """Which workflow is written, by whom, and how; empty members are the door's to fill."""

    ref: Ref
    actor: record_pb2.Actor
    note: str
    commit_id: bytes
    level: Level | None
    session_token: bytes


@dataclass(frozen=True, slots=True)
class Start:
    """What is said of a workflow only when it begins."""

    definition: tuple[str, str] | None = None
    parent: Ref | None = None
    on_parent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which workflows a list is of; None and empty: any."""

    states: tuple[str, ...] = ()
    agent: str = ""
    min_priority: int | None = None
    max_priority: int | None = None
    created_from_ms: int = 0
    created_until_ms: int = 0
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    definition: str = ""
    parent: str = ""
    holder: str = ""

    def matches(self, found: Instance, metadata: Mapping[str, bytes]) -> bool:
        """Whether a workflow, with its metadata taken apart, is one of them."""
        if self.states and not any(workflow.is_in(found.state, state) for state in self.states):
            return False
        if self.definition and (not found.definition or found.definition.name != self.definition):
            return False
        said = ((self.agent, found.agent), (self.parent, found.parent))
        if any(wanted and wanted != there for wanted, there in said):
            return False
        if self.holder and self.holder != found.authority.holder:
            return False
        if not self._in_time(found) or not self._as_urgent(found):
            return False
        return all(metadata.get(name) == text for name, text in self.metadata.items())

    def _in_time(self, found: Instance) -> bool:
        early = found.created_ms < self.created_from_ms
        return not early and (not self.created_until_ms or found.created_ms < self.created_until_ms)

    def _as_urgent(self, found: Instance) -> bool:
        low, high = self.min_priority, self.max_priority
        return (low is None or found.priority >= low) and (high is None or found.priority <= high)


# -- requests --------------------------------------------------------------------------------------


def ref_from(message: pb.WorkflowRead | pb.WorkflowWrite) -> Ref:
    """Which workflow. Raises BadRequest, InvalidName."""
    return _ref(message.space, message.workflow_id, message.incarnation)


def _ref(space: str, id_: str, incarnation: int) -> Ref:
    quoted(id_)
    if incarnation > MAX_INCARNATIONS:
        raise BadRequest("MALFORMED_REQUEST", f"incarnation: at most {MAX_INCARNATIONS}")
    return Ref(names.check_space(space), id_, incarnation)


def write_from(message: pb.WorkflowWrite) -> Write:
    """Which workflow is written, by whom, and how. Raises BadRequest, InvalidName."""
    return Write(
        ref_from(message), message.actor, message.note, commit_id_from(message.commit_id),
        level_from(message.level), message.session_token,
    )  # fmt: skip


def commit_id_from(given: bytes) -> bytes:
    """An id that a client has chosen, or none. Raises BadRequest."""
    if len(given) not in (0, ID_BYTES):
        raise BadRequest("MALFORMED_REQUEST", f"commit_id: {ID_BYTES} bytes, or none")
    return given


def start_from(space: str, message: pb.WorkflowBeginning) -> Start:
    """What is said of a workflow when it begins. Raises BadRequest, InvalidName."""
    definition = None
    if message.HasField("definition"):
        definition = (message.definition.name, message.definition.version)
    parent = None
    if message.parent_id:
        parent = _ref(space, message.parent_id, message.parent_incarnation)
    return Start(definition, parent, dict(message.on_parent))


def changes_from(message: pb.WorkflowChanges) -> Changes:
    """What is set. Raises BadRequest."""
    counters = None
    if message.HasField("counters"):
        given = message.counters
        counters = Counters(given.total, given.completed, given.failed)
    routing = None
    if message.routing:
        routing = _ROUTINGS_BACK.get(message.routing)
        if routing is None:
            raise BadRequest("UNKNOWN_ENUM_VALUE", f"routing {message.routing} is not known")
    return Changes(
        metadata=message.metadata_json.encode() if message.HasField("metadata_json") else None,
        counters=counters,
        routing=routing,
        priority=message.priority if message.HasField("priority") else None,
        agent=message.agent if message.HasField("agent") else None,
        correlation_id=message.correlation_id if message.HasField("correlation_id") else None,
    )


def execution_from(message: pb.Execution) -> Execution:
    """One attempt at a step. Raises BadRequest, InvalidWorkflow, InvalidValue."""
    status = _STATUSES_BACK.get(message.status)
    if status is None:
        known = "RUNNING, COMPLETED, FAILED, SKIPPED, CANCELLED"
        raise BadRequest("UNKNOWN_ENUM_VALUE", f"execution.status: one of {known}")
    return Execution(
        step=message.step,
        attempt=message.attempt,
        status=status,
        agent=message.agent,
        kind=message.kind,
        input=any_json(message.input_json),
        output=any_json(message.output_json),
        error=message.error,
        started_ms=message.started_ms,
        ended_ms=message.ended_ms,
        cost=message.cost,
    )


def wanted_from(message: pb.ListWorkflowsRequest) -> Wanted:
    """Which workflows a list is of. Raises BadRequest, InvalidState, InvalidValue."""
    states: list[str] = []
    for status in message.statuses:
        if status.upper() == UNFINISHED:
            states += (workflow.PENDING, workflow.ACTIVE, workflow.PAUSED)
        else:
            states.append(workflow.named(status))
    if len(message.metadata) > MAX_MEMBERS:
        raise InvalidWorkflow(f"metadata: at most {MAX_MEMBERS} members")
    return Wanted(
        states=tuple(states),
        agent=message.agent,
        min_priority=message.min_priority if message.HasField("min_priority") else None,
        max_priority=message.max_priority if message.HasField("max_priority") else None,
        created_from_ms=message.created_from_ms,
        created_until_ms=message.created_until_ms,
        metadata={name: canonical_value(text) for name, text in message.metadata.items()},
        definition=message.definition_name,
        parent=message.parent,
        holder=message.holder,
    )


# -- answers ---------------------------------------------------------------------------------------


def workflow_to(found: Instance, hash_: str, version: Version | None) -> pb.Workflow:
    """A workflow as it travels; `hash_` is what its record says of itself."""
    message = pb.Workflow(
        workflow_id=found.id,
        incarnation=found.incarnation,
        state=found.state,
        allowed_events=workflow.allowed(found.state),
        metadata_json=found.metadata.decode(),
        counters=pb.StepCounters(
            total=found.counters.total,
            completed=found.counters.completed,
            failed=found.counters.failed,
        ),
        steps={step: _STATUSES[status] for step, status in found.steps.items()},
        step=found.step,
        routing=_ROUTINGS[found.routing],
        priority=found.priority,
        agent=found.agent,
        parent=found.parent,
        on_parent=dict(found.on_parent),
        correlation_id=found.correlation_id,
        created_ms=found.created_ms,
        started_ms=found.started_ms,
        ended_ms=found.ended_ms,
        authority=authority_to(found.authority),
        last=act_to(found.last),
        hash=hash_,
    )
    if found.definition is not None:
        message.definition.CopyFrom(reference_to(found.definition))
    if version is not None:
        message.version.CopyFrom(version_to(version))
    return message


def authority_to(found: Authority) -> pb.WorkflowAuthority:
    """Who may advance a workflow, as it travels."""
    return pb.WorkflowAuthority(holder=found.holder, token=found.token)


def act_to(last: Last) -> pb.WorkflowAct:
    """What was done with a workflow, as it travels."""
    message = pb.WorkflowAct(
        event=last.event,
        actor=actor_to(last.actor),
        at_ms=last.at_ms,
        exits=last.exits,
        entries=last.entries,
        note=last.note,
        because=last.because,
        step=last.step,
        attempt=last.attempt,
        status=_STATUSES[last.status] if last.status else pb.STEP_STATUS_UNSPECIFIED,
    )
    setattr(message, "from", last.before)  # a word of the language
    return message


def reference_to(found: Reference) -> pb.DefinitionReference:
    """A reference to a definition, as it travels."""
    return pb.DefinitionReference(name=found.name, version=found.version, hash=found.hash)


def execution_to(found: Execution) -> pb.Execution:
    """One attempt at a step, as it travels."""
    return pb.Execution(
        step=found.step,
        attempt=found.attempt,
        status=_STATUSES[found.status],
        agent=found.agent,
        kind=found.kind,
        input_json=found.input.decode(),
        output_json=found.output.decode(),
        error=found.error,
        started_ms=found.started_ms,
        ended_ms=found.ended_ms,
        cost=found.cost,
    )


def hash_of(value: bytes) -> str:
    """What the record of a workflow says of itself."""
    return str(orjson.loads(value)["hash"])


def definition_to(found: Definition, message: pb.GetDefinitionResponse) -> None:
    """Says a definition in an answer."""
    message.definition.CopyFrom(reference_to(found.reference))
    message.json = found.text.decode()
