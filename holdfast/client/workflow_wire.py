"""Workflows between their messages and what programs see."""

from __future__ import annotations

from holdfast.client import wire
from holdfast.client.workflow_records import (
    Definition,
    Execution,
    Routing,
    StepCounters,
    StepStatus,
    Workflow,
    WorkflowAct,
    WorkflowAuthority,
    WorkflowHistoryEntry,
)
from holdfast.errors import InvalidArgument
from holdfast.v1 import workflow_service_pb2 as pb

_STATUSES = {
    StepStatus.RUNNING: pb.STEP_STATUS_RUNNING,
    StepStatus.COMPLETED: pb.STEP_STATUS_COMPLETED,
    StepStatus.FAILED: pb.STEP_STATUS_FAILED,
    StepStatus.SKIPPED: pb.STEP_STATUS_SKIPPED,
    StepStatus.CANCELLED: pb.STEP_STATUS_CANCELLED,
}
_STATUSES_BACK = {number: status for status, number in _STATUSES.items()}
_ROUTINGS = {
    Routing.SEMANTIC: pb.ROUTING_STRATEGY_SEMANTIC,
    Routing.ROUND_ROBIN: pb.ROUTING_STRATEGY_ROUND_ROBIN,
    Routing.RANDOM: pb.ROUTING_STRATEGY_RANDOM,
    Routing.LEAST_LOADED: pb.ROUTING_STRATEGY_LEAST_LOADED,
}
_ROUTINGS_BACK = {number: routing for routing, number in _ROUTINGS.items()}


def routing_to(routing: Routing | str) -> pb.RoutingStrategy.ValueType:
    """Raises InvalidArgument."""
    try:
        return _ROUTINGS[Routing(routing)]
    except ValueError:
        known = ", ".join(Routing)
        raise InvalidArgument("UNKNOWN_ENUM_VALUE", f"routing: {known}, not {routing!r}") from None


def status_to(status: StepStatus | str) -> pb.StepStatus.ValueType:
    """Raises InvalidArgument."""
    try:
        return _STATUSES[StepStatus(str(status).lower())]
    except ValueError:
        known = ", ".join(StepStatus)
        raise InvalidArgument("UNKNOWN_ENUM_VALUE", f"status: {known}, not {status!r}") from None


def workflow_from(space: str, message: pb.Workflow) -> Workflow:
    """A workflow as a door told of it."""
    definition = None
    if message.HasField("definition"):
        said = message.definition
        definition = Definition(said.name, said.version, said.hash)
    tally = message.counters
    return Workflow(
        space=space,
        id=message.workflow_id,
        incarnation=message.incarnation,
        state=message.state,
        allowed_events=tuple(message.allowed_events),
        definition=definition,
        metadata_json=message.metadata_json,
        counters=StepCounters(tally.total, tally.completed, tally.failed),
        steps={step: _STATUSES_BACK[status] for step, status in message.steps.items()},
        step=message.step,
        routing=_ROUTINGS_BACK[message.routing],
        priority=message.priority,
        agent=message.agent,
        parent=message.parent,
        on_parent=dict(message.on_parent),
        correlation_id=message.correlation_id,
        created_ms=message.created_ms,
        started_ms=message.started_ms,
        ended_ms=message.ended_ms,
        authority=authority_from(message.authority),
        last=act_from(message.last),
        hash=message.hash,
        version=wire.version_from(message.version),
    )


def authority_from(message: pb.WorkflowAuthority) -> WorkflowAuthority:
    """Who may advance a workflow."""
    return WorkflowAuthority(message.holder, message.token)


def act_from(message: pb.WorkflowAct) -> WorkflowAct:
    """What was done with a workflow."""
    return WorkflowAct(
        event=message.event,
        actor=wire.actor_from(message.actor),
        at_ms=message.at_ms,
        before=getattr(message, "from"),
        exits=tuple(message.exits),
        entries=tuple(message.entries),
        note=message.note,
        because=message.because,
        step=message.step,
        attempt=message.attempt,
        status=_STATUSES_BACK.get(message.status),
    )


def execution_to(found: Execution) -> pb.Execution:
    """Raises InvalidArgument."""
    return pb.Execution(
        step=found.step,
        attempt=found.attempt,
        status=status_to(found.status),
        agent=found.agent,
        kind=found.kind,
        input_json=found.input,
        output_json=found.output,
        error=found.error,
        started_ms=found.started_ms,
        ended_ms=found.ended_ms,
        cost=found.cost,
    )


def execution_from(message: pb.Execution) -> Execution:
    """One attempt at a step."""
    return Execution(
        step=message.step,
        attempt=message.attempt,
        status=_STATUSES_BACK[message.status],
        agent=message.agent,
        kind=message.kind,
        input=message.input_json,
        output=message.output_json,
        error=message.error,
        started_ms=message.started_ms,
        ended_ms=message.ended_ms,
        cost=message.cost,
    )


def entry_from(message: pb.WorkflowHistoryEntry) -> WorkflowHistoryEntry:
    """An entry in a history."""
    held = message.HasField("authority")
    return WorkflowHistoryEntry(
        act=act_from(message.act),
        outcome=wire.outcome_from(message.outcome),
        authority=authority_from(message.authority) if held else None,
        began=message.began,
        conflict_id=message.conflict_id,
        correlation_id=message.correlation_id,
        causation_id=message.causation_id,
    )
