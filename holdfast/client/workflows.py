"""Workflows: what is asked of a door's WorkflowService, and what its answers mean.

Every method of `Workflows` returns steps (see `call`), so that both clients share all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from holdfast.client import values, wire
from holdfast.client import workflow_wire as nouns
from holdfast.client.call import Call, Steps, method
from holdfast.client.limits import READ_TIMEOUT_S, WRITE_TIMEOUT_S
from holdfast.client.records import Actor, JsonObject, Level
from holdfast.client.session import Session
from holdfast.client.workflow_records import (
    Definition,
    Execution,
    Routing,
    StepCounters,
    Workflow,
    WorkflowHistory,
    WorkflowHistoryEntry,
)
from holdfast.client.writes import Writes
from holdfast.errors import DataLoss
from holdfast.v1 import state_service_pb2 as state
from holdfast.v1 import workflow_service_pb2 as pb

UNFINISHED = "unfinished"
"""In the place of a status: pending, active and paused."""

HISTORY_PAGE = 1_000


class LookOptions(TypedDict, total=False):
    """Of reading workflows."""

    space: str
    """Where it is; default `default`."""
    level: Level | str
    """What the answer must promise; unset: the default of the collection."""
    timeout_s: float
    """Until an answer; default `limits.READ_TIMEOUT_S`."""


class ReadOptions(LookOptions, total=False):
    """Of reading one workflow."""

    incarnation: int
    """Which workflow of its id; default the newest."""


class ActOptions(TypedDict, total=False):
    """Of doing something with a workflow."""

    space: str
    """Where it is; default `default`."""
    incarnation: int
    """Which workflow of its id; default the newest."""
    note: str
    """Why, for people; at most 1,000 characters."""
    actor: Actor | tuple[str, str]
    """Who does it, if not the actor of the client."""
    level: Level | str
    """`strong`: decided by the hub before it is answered."""
    commit_id: bytes
    """16 random bytes that were chosen before; by them, a retry is known for 7 days."""
    timeout_s: float
    """Until an answer; default `limits.WRITE_TIMEOUT_S`."""


class ChangeOptions(ActOptions, total=False):
    """Of saving a workflow: its members. What is not given stays as it is."""

    metadata: JsonObject | str
    """Replaces the whole object."""
    counters: StepCounters
    """For workflows without a definition; else they follow from what is recorded."""
    routing: Routing | str
    priority: int
    """-1,000 to 1,000; greater is more urgent."""
    agent: str
    """Who works on it."""
    correlation_id: str


class BeginOptions(ChangeOptions, total=False):
    """Of creating a workflow: what is said of it only then."""

    definition: tuple[str, str]
    """Name and version of what it is of; both must be known at this door."""
    parent: Workflow | str
    """Its parent, or the id of that."""
    on_parent: Mapping[str, str]
    """What it does when its parent is told cancel, fail, pause or resume: an event for each, or
    `ignore`. What is left out: the same, and cancel for fail."""


class FilterOptions(LookOptions, total=False):
    """Of a list of workflows: which. All that is given must be so."""

    statuses: Iterable[str]
    """In one of these states, or inside it: a word or path; `unfinished`: not at an end."""
    agent: str
    min_priority: int
    max_priority: int
    created_from_ms: int
    created_until_ms: int
    """Created before this."""
    metadata: JsonObject
    """Whose metadata has these members, each with this value."""
    definition_name: str
    id_prefix: str
    parent: Workflow | str
    """Children of this workflow, or of this key (ID@INCARNATION)."""
    holder: str
    """Which this node may advance: `hub`, or the origin of an edge."""
    page_size: int


@dataclass(frozen=True, slots=True)
class WorkflowPage:
    """Some workflows, and the token of the next page (empty: this was the last)."""

    workflows: tuple[Workflow, ...]
    next_token: str
    damaged: tuple[str, ...] = ()
    """Keys of those that cannot be read."""


def check_damaged(keys: list[str]) -> None:
    """Raises DataLoss, naming workflows that a list could not tell of."""
    if keys:
        raise DataLoss("WORKFLOW_DAMAGED", f"not what their hashes say: {', '.join(keys[:20])}")


class Workflows:
    """Reads and advances workflows, in the name of the author of `writes`, within `session`."""

    def __init__(self, writes: Writes, session: Session) -> None:
        self._writes, self._session = writes, session

    # -- definitions ---------------------------------------------------------------------------

    def define(
        self, name: str, version: str, definition: JsonObject | str, options: ActOptions
    ) -> Steps[Definition]:
        """See `AsyncWorkflows.define`."""
        request = pb.PutDefinitionRequest(
            space=_space(options),
            name=values.encodable(name),
            version=values.encodable(version),
            json=values.encode(definition),
            actor=wire.actor_to(self._writes.author(options.get("actor"))),
            commit_id=options.get("commit_id") or self._writes.new_id(),
            level=wire.level_to(options.get("level")),
            session_token=self._session.token(_space(options)),
        )
        response: pb.PutDefinitionResponse = yield _write("PutDefinition", request, options)
        if response.HasField("commit"):
            self._writes.receipt(response.commit)
        said = response.definition
        return Definition(said.name, said.version, said.hash, request.json)

    def definition(self, name: str, version: str, options: LookOptions) -> Steps[Definition]:
        """See `AsyncWorkflows.definition`."""
        space = _space(options)
        request = pb.GetDefinitionRequest(
            space=space,
            name=values.encodable(name),
            version=values.encodable(version),
            level=wire.level_to(options.get("level")),
            session_token=self._session.token(space),
        )
        response: pb.GetDefinitionResponse = yield _read("GetDefinition", request, options)
        self._learn(space, response.answer)
        said = response.definition
        return Definition(said.name, said.version, said.hash, response.json)

    # -- acts ----------------------------------------------------------------------------------

    def create(self, id_: str, options: BeginOptions) -> Steps[Workflow]:
        """See `AsyncWorkflows.create`."""
        request = pb.CreateWorkflowRequest(
            write=self._write_to(id_, options),
            beginning=_beginning(options),
            changes=_changes(options),
        )
        return self._act("CreateWorkflow", request, options)

    def save(self, id_: str, status: str, options: BeginOptions) -> Steps[Workflow]:
        """See `AsyncWorkflows.save_workflow_state`."""
        request = pb.SaveWorkflowStateRequest(
            write=self._write_to(id_, options),
            status=values.encodable(status),
            beginning=_beginning(options),
            changes=_changes(options),
        )
        return self._act("SaveWorkflowState", request, options)

    def transition(self, id_: str, event: str, step: str, options: ActOptions) -> Steps[Workflow]:
        """See `AsyncWorkflows.transition`."""
        request = pb.TransitionRequest(
            write=self._write_to(id_, options),
            event=values.encodable(event),
            step=values.encodable(step),
        )
        return self._act("Transition", request, options)

    def record(self, id_: str, execution: Execution, options: ActOptions) -> Steps[Workflow]:
        """See `AsyncWorkflows.record_execution`."""
        request = pb.RecordExecutionRequest(
            write=self._write_to(id_, options), execution=nouns.execution_to(execution)
        )
        return self._act("RecordExecution", request, options)

    def take(self, id_: str, force: bool, options: ActOptions) -> Steps[Workflow]:
        """See `AsyncWorkflows.take_authority`."""
        request = pb.TakeAuthorityRequest(write=self._write_to(id_, options), force=force)
        return self._act("TakeAuthority", request, options)

    def release(self, id_: str, options: ActOptions) -> Steps[Workflow]:
        """See `AsyncWorkflows.release_authority`."""
        request = pb.ReleaseAuthorityRequest(write=self._write_to(id_, options))
        return self._act("ReleaseAuthority", request, options)

    def _act(self, name: str, request: Any, options: ActOptions) -> Steps[Workflow]:
        response = yield _write(name, request, options, request.write.commit_id)
        receipt = self._writes.receipt(response.commit)
        found = nouns.workflow_from(_space(options), response.workflow)
        return replace(found, receipt=receipt, repeated=response.repeated)

    def _write_to(self, id_: str, options: ActOptions) -> pb.WorkflowWrite:
        space = _space(options)
        return pb.WorkflowWrite(
            space=space,
            workflow_id=values.encodable(id_),
            incarnation=options.get("incarnation", 0),
            actor=wire.actor_to(self._writes.author(options.get("actor"))),
            note=values.encodable(options.get("note", "")),
            commit_id=options.get("commit_id") or self._writes.new_id(),
            level=wire.level_to(options.get("level")),
            session_token=self._session.token(space),
        )

    # -- reading -------------------------------------------------------------------------------

    def load(self, id_: str, executions: bool, as_of: int, options: ReadOptions) -> Steps[Workflow]:
        """See `AsyncWorkflows.load_workflow_state`."""
        space = _space(options)
        request = pb.GetWorkflowRequest(read=self._read_to(id_, options), as_of_revision=as_of)
        response: pb.GetWorkflowResponse = yield _read("GetWorkflow", request, options)
        self._learn(space, response.answer)
        found = nouns.workflow_from(space, response.workflow)
        if not executions:
            return found
        attempts: list[Execution] = []
        token = ""
        while True:
            listed = pb.ListExecutionsRequest(
                read=self._read_to(id_, {**options, "incarnation": found.incarnation}),
                page_token=token,
            )
            page: pb.ListExecutionsResponse = yield _read("ListExecutions", listed, options)
            self._learn(space, page.answer)
            attempts += map(nouns.execution_from, page.executions)
            token = page.next_page_token
            if not token:
                return replace(found, executions=tuple(attempts))

    def page(self, token: str, options: FilterOptions) -> Steps[WorkflowPage]:
        """One page of a list. It may be empty and still have a next one."""
        space, parent = _space(options), options.get("parent", "")
        wanted = options.get("metadata") or {}
        request = pb.ListWorkflowsRequest(
            space=space,
            statuses=map(values.encodable, options.get("statuses", ())),
            agent=values.encodable(options.get("agent", "")),
            min_priority=options.get("min_priority"),
            max_priority=options.get("max_priority"),
            created_from_ms=options.get("created_from_ms", 0),
            created_until_ms=options.get("created_until_ms", 0),
            metadata={name: values.encode_field(value) for name, value in wanted.items()},
            definition_name=values.encodable(options.get("definition_name", "")),
            id_prefix=values.encodable(options.get("id_prefix", "")),
            parent=parent.key if isinstance(parent, Workflow) else values.encodable(parent),
            holder=values.encodable(options.get("holder", "")),
            page_size=options.get("page_size", 0),
            page_token=token,
            level=wire.level_to(options.get("level")),
            session_token=self._session.token(space),
        )
        response: pb.ListWorkflowsResponse = yield _read("ListWorkflows", request, options)
        self._learn(space, response.answer)
        found = tuple(nouns.workflow_from(space, each) for each in response.workflows)
        return WorkflowPage(found, response.next_page_token, tuple(response.damaged))

    def history(self, id_: str, limit: int, options: ReadOptions) -> Steps[WorkflowHistory]:
        """See `AsyncWorkflows.history`."""
        entries: list[WorkflowHistoryEntry] = []
        token, complete = "", True
        while len(entries) < limit:
            request = pb.GetWorkflowHistoryRequest(
                read=self._read_to(id_, options),
                page_size=min(limit - len(entries), HISTORY_PAGE),
                page_token=token,
            )
            page: pb.GetWorkflowHistoryResponse = yield _read(
                "GetWorkflowHistory", request, options
            )
            entries += map(nouns.entry_from, page.entries)
            token, complete = page.next_page_token, page.complete
            if not token:
                break
        return WorkflowHistory(tuple(entries), complete and not token)

    def _read_to(self, id_: str, options: ReadOptions) -> pb.WorkflowRead:
        space = _space(options)
        return pb.WorkflowRead(
            space=space,
            workflow_id=values.encodable(id_),
            incarnation=options.get("incarnation", 0),
            level=wire.level_to(options.get("level")),
            session_token=self._session.token(space),
        )

    def _learn(self, space: str, answer: state.Answer) -> None:
        seen = wire.context_from(answer.context) if answer.HasField("context") else None
        self._session.learn(space, answer.session_token, seen)


def _space(options: LookOptions | ActOptions) -> str:
    return values.encodable(options.get("space", "default"))


def _beginning(options: BeginOptions) -> pb.WorkflowBeginning:
    message = pb.WorkflowBeginning(on_parent=options.get("on_parent"))
    definition = options.get("definition")
    if definition is not None:
        name, version = map(values.encodable, definition)
        message.definition.CopyFrom(pb.DefinitionReference(name=name, version=version))
    parent = options.get("parent", "")
    if isinstance(parent, Workflow):
        message.parent_id, message.parent_incarnation = parent.id, parent.incarnation
    else:
        message.parent_id = values.encodable(parent)
    return message


def _changes(options: ChangeOptions) -> pb.WorkflowChanges:
    message = pb.WorkflowChanges(
        priority=options.get("priority"),
        agent=options.get("agent"),
        correlation_id=options.get("correlation_id"),
    )
    if "metadata" in options:
        message.metadata_json = values.encode(options["metadata"])
    if "counters" in options:
        given = options["counters"]
        tally = pb.StepCounters(total=given.total, completed=given.completed, failed=given.failed)
        message.counters.CopyFrom(tally)
    if "routing" in options:
        message.routing = nouns.routing_to(options["routing"])
    return message


def _read(name: str, request: Any, options: LookOptions) -> Call:
    timeout_s = options.get("timeout_s", READ_TIMEOUT_S)
    return Call(method(f"WorkflowService.{name}"), request, timeout_s)


def _write(name: str, request: Any, options: ActOptions, commit_id: bytes = b"") -> Call:
    timeout_s = options.get("timeout_s", WRITE_TIMEOUT_S)
    id_ = commit_id or request.commit_id
    return Call(method(f"WorkflowService.{name}"), request, timeout_s, commit_id=id_)
