"""WorkflowService, at both doors: what is asked becomes one commit of what the rules decide.

Every write reads what it is about, lets the rules decide (sync.workflow_rules), and commits that
under the authority and the version that it was decided on. So the service keeps nothing of its own,
and whatever it did stands in the log.

Invariant: nothing is written that a rule has not decided on what the commit's conditions name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from holdfast.v1 import record_pb2
from holdfast.v1 import workflow_service_pb2 as pb
from holdfast.v1.state_service_pb2 import CommitResponse
from sync import workflow
from sync import workflow_acts as acts
from sync import workflow_rules as rules
from sync.authority import DEFINITIONS, EXECUTIONS, WORKFLOWS
from sync.codec import requests as convert
from sync.codec import workflows as codec
from sync.codec.workflows import Ref, Start, Write
from sync.commit import Actor, OutcomeKind, Precondition, Version
from sync.doors.door import Asked, Call, Done, Door, Plan
from sync.doors.workflow_begins import Begins
from sync.doors.workflow_children import NOTHING, Children, Following
from sync.doors.workflow_lists import Lists
from sync.doors.workflow_past import Past
from sync.doors.workflow_reads import Look, Standing, Workflows
from sync.levels import Level
from sync.names import check_space
from sync.reduce import Put
from sync.work_keys import definition_key, execution_key, workflow_key
from sync.workflow_acts import Act
from sync.workflow_definitions import Definition, parse
from sync.workflow_instances import Instance, decode
from sync.workflow_rules import Changes, Word


class DefinitionExists(Exception):
    """Another definition has this name and version, and definitions do not change."""

    reason = "DEFINITION_EXISTS"


class _DoneElsewhere(Exception):
    """The act was done by an equal request at another door."""

    def __init__(self, outcome: record_pb2.Outcome) -> None:
        super().__init__()
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided: the act, what else its commit writes and demands, and the session that it
    was read in."""

    act: Act
    session_token: bytes
    also: Following = NOTHING


Decide = Callable[[Look], Awaitable[Decided]]

Response = TypeVar(
    "Response",
    pb.CreateWorkflowResponse,
    pb.SaveWorkflowStateResponse,
    pb.TransitionResponse,
    pb.RecordExecutionResponse,
    pb.TakeAuthorityResponse,
    pb.ReleaseAuthorityResponse,
)


class WorkflowService:
    """Serves holdfast.v1.WorkflowService beside the StateService of `door`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._workflows = Workflows(door)
        self._children = Children(door, self._workflows)
        self._begins = Begins(self._workflows, self._children)
        self._lists = Lists(door, self._workflows)
        self._past = Past(door, self._workflows)

    # -- definitions -----------------------------------------------------------

    async def PutDefinition(
        self, request: pb.PutDefinitionRequest, context: Call
    ) -> pb.PutDefinitionResponse:
        """Writes down a definition."""
        self._door.state.named(request.actor)
        plan = parse(request.name, request.version, request.json)
        asked = Asked(
            check_space(request.space), context, request.actor,
            (DEFINITIONS, definition_key(plan.name, plan.version)),
            codec.commit_id_from(request.commit_id), convert.level_from(request.level),
            request.session_token,
        )  # fmt: skip
        if await self._is_defined(asked, plan):
            return pb.PutDefinitionResponse(definition=codec.reference_to(plan.reference))

        async def decide() -> Plan:
            await self._is_defined(asked, plan)
            put = Put(*asked.about, plan.encode())
            return Plan((put,), (Precondition(*asked.about, exists=False),))

        done = await self._door.write(asked, decide)
        return pb.PutDefinitionResponse(
            definition=codec.reference_to(plan.reference), commit=done.commit
        )

    async def _is_defined(self, asked: Asked, plan: Definition) -> bool:
        """Whether the same is there already. Raises DefinitionExists."""
        read = await self._door.read(asked.space, [asked.about], asked.call, asked.session_token)
        found = read[asked.about]
        if found is not None and found.value != plan.encode():
            name = f"{plan.name}@{plan.version}"
            raise DefinitionExists(f"{asked.space} has another definition {name}")
        return found is not None

    async def GetDefinition(
        self, request: pb.GetDefinitionRequest, context: Call
    ) -> pb.GetDefinitionResponse:
        """Reads a definition."""
        look = Look(context, request.session_token, convert.level_from(request.level))
        found, _, answer = await self._workflows.definition(
            check_space(request.space), request.name, request.version, look
        )
        response = pb.GetDefinitionResponse(answer=answer)
        codec.definition_to(found, response)
        return response

    # -- beginning and saving --------------------------------------------------

    async def CreateWorkflow(
        self, request: pb.CreateWorkflowRequest, context: Call
    ) -> pb.CreateWorkflowResponse:
        """Begins a workflow."""
        write, changes = self._write(request.write), codec.changes_from(request.changes)
        start = codec.start_from(write.ref.space, request.beginning)

        async def decide(look: Look) -> Decided:
            before = await self._workflows.find(replace(write.ref, incarnation=0), look)
            return await self._begun(write, start, changes, "", before, look)

        return await self._written(write, context, decide, pb.CreateWorkflowResponse())

    async def SaveWorkflowState(
        self, request: pb.SaveWorkflowStateRequest, context: Call
    ) -> pb.SaveWorkflowStateResponse:
        """Creates a workflow, or saves what is set."""
        write, changes = self._write(request.write), codec.changes_from(request.changes)
        start = codec.start_from(write.ref.space, request.beginning)
        wanted = workflow.named(request.status) if request.status else ""

        async def decide(look: Look) -> Decided:
            found = await self._workflows.find(write.ref, look)
            if found is None and write.ref.incarnation <= 1:
                return await self._begun(write, start, changes, wanted, None, look)
            at = await self._workflows.held(write.ref, look)
            word = self._word(write, at.instance)
            event = workflow.event_to(at.instance.state, wanted) if wanted else None
            if event is None:
                after = rules.saved(at.instance, changes, word)
                return Decided(acts.goes_on(at.instance, at.at, after), at.token)
            before = rules.changed(at.instance, changes)
            after = await self._advanced(write.ref.space, before, event, word, "", look)
            return await self._told(write.ref.space, at, after, word, look)

        return await self._written(write, context, decide, pb.SaveWorkflowStateResponse())

    async def _begun(
        self, write: Write, start: Start, changes: Changes, wanted: str,
        before: Standing | None, look: Look,
    ) -> Decided:  # fmt: skip
        """A workflow that begins, in the state that is wanted. Raises WorkflowExists,
        TransitionNotAllowed, and what looking does."""
        found = await self._begins.of(write.ref, start, before, look)
        word = self._word(write, None)
        fresh = rules.begin(found.beginning(write.ref, changes), self._door.node(), word)
        event = workflow.event_to(fresh.state, wanted) if wanted else None
        if event is not None:
            fresh = rules.advance(fresh, event, word, found.definition)
        links = found.links(fresh)
        also = Following(links, found.demands(links))
        return Decided(acts.begins(fresh), found.session_token, also)

    # -- reading ---------------------------------------------------------------

    async def GetWorkflow(
        self, request: pb.GetWorkflowRequest, context: Call
    ) -> pb.GetWorkflowResponse:
        """Reads one workflow."""
        ref, look = codec.ref_from(request.read), _look(request.read, context)
        if request.as_of_revision:
            at = await self._past.as_of(ref, request.as_of_revision, look)
        else:
            at = await self._workflows.get(ref, look)
        return pb.GetWorkflowResponse(
            workflow=_told(at.instance, at.value, at.at), answer=at.answer
        )

    async def ListWorkflows(
        self, request: pb.ListWorkflowsRequest, context: Call
    ) -> pb.ListWorkflowsResponse:
        """Reads a page of workflows."""
        return await self._lists.workflows(request, context)

    async def ListExecutions(
        self, request: pb.ListExecutionsRequest, context: Call
    ) -> pb.ListExecutionsResponse:
        """Reads a page of attempts at steps."""
        ref, look = codec.ref_from(request.read), _look(request.read, context)
        at = await self._workflows.get(ref, look)
        return await self._lists.executions(request, at, look)

    async def GetWorkflowHistory(
        self, request: pb.GetWorkflowHistoryRequest, context: Call
    ) -> pb.GetWorkflowHistoryResponse:
        """Reads what was done with a workflow."""
        return await self._past.history(request, _look(request.read, context))

    # -- acts ------------------------------------------------------------------

    async def Transition(
        self, request: pb.TransitionRequest, context: Call
    ) -> pb.TransitionResponse:
        """Fires an event."""
        write = self._write(request.write)

        async def decide(look: Look) -> Decided:
            at = await self._workflows.held(write.ref, look)
            word = self._word(write, at.instance)
            after = await self._advanced(
                write.ref.space, at.instance, request.event, word, request.step, look
            )
            return await self._told(write.ref.space, at, after, word, look)

        return await self._written(write, context, decide, pb.TransitionResponse())

    async def RecordExecution(
        self, request: pb.RecordExecutionRequest, context: Call
    ) -> pb.RecordExecutionResponse:
        """Writes down an attempt at a step."""
        write, execution = self._write(request.write), codec.execution_from(request.execution)

        async def decide(look: Look) -> Decided:
            at = await self._workflows.held(write.ref, look)
            definition = await self._workflows.plan_of(write.ref.space, at.instance, look)
            word = self._word(write, at.instance)
            after = rules.recorded(at.instance, execution, definition, word)
            key = execution_key(at.instance.key, execution.step, execution.attempt)
            put = Put(EXECUTIONS, key, execution.encode())
            act = acts.goes_on(at.instance, at.at, after)
            return Decided(act, at.token, Following((put,)))

        return await self._written(write, context, decide, pb.RecordExecutionResponse())

    async def TakeAuthority(
        self, request: pb.TakeAuthorityRequest, context: Call
    ) -> pb.TakeAuthorityResponse:
        """Makes the node of this door the one that advances."""
        write = replace(self._write(request.write), level=Level.STRONG)

        async def decide(look: Look) -> Decided:
            # What the hub has: what is here may be what it was before others took it.
            at = await self._workflows.get(write.ref, replace(look, level=Level.STRONG))
            word = self._word(write, at.instance)
            node = self._door.node()
            act = acts.taken(at.instance, at.at, node, word, force=request.force)
            return Decided(act, at.token)

        response = await self._written(write, context, decide, pb.TakeAuthorityResponse())
        self._door.taken(write.ref.space)
        return response

    async def ReleaseAuthority(
        self, request: pb.ReleaseAuthorityRequest, context: Call
    ) -> pb.ReleaseAuthorityResponse:
        """Gives the authority back."""
        write = self._write(request.write)

        async def decide(look: Look) -> Decided:
            at = await self._workflows.held(write.ref, look)
            act = acts.released(at.instance, at.at, self._word(write, at.instance))
            return Decided(act, at.token)

        return await self._written(write, context, decide, pb.ReleaseAuthorityResponse())

    # -- parts -----------------------------------------------------------------

    def _write(self, message: pb.WorkflowWrite) -> Write:
        self._door.state.named(message.actor)
        return codec.write_from(message)

    def _word(self, write: Write, before: Instance | None) -> Word:
        """Who does it, and when: later than what was done before, whatever the clocks say, so that
        no two acts are the same."""
        actor: Actor = convert.actor_from(write.actor)
        after_ms = before.last.at_ms + 1 if before else 0
        return Word(actor, max(self._door.now_ms(), after_ms), write.note)

    async def _advanced(
        self, space: str, before: Instance, event: str, word: Word, step: str, look: Look
    ) -> Instance:
        definition = None
        if event in rules.GUARDS:
            definition = await self._workflows.plan_of(space, before, look)
        return rules.advance(before, event, word, definition, step)

    async def _look_elsewhere(self, write: Write, look: Look) -> None:
        """What refuses an act may be what it has done itself, asked for at another door before.
        Raises _DoneElsewhere."""
        found = await self._workflows.find(write.ref, look) if write.commit_id else None
        if found is not None:
            key, id_ = found.instance.key, write.commit_id
            outcome = await self._past.under(write.ref.space, key, id_, look.call)
            if outcome is not None:
                raise _DoneElsewhere(outcome)

    async def _told(
        self, space: str, at: Standing, after: Instance, word: Word, look: Look
    ) -> Decided:
        """An event, with what follows from it for children."""
        seen = Look(look.call, at.token)
        also = await self._children.following(space, after, word, seen)
        return Decided(acts.goes_on(at.instance, at.at, after), at.token, also)

    async def _written(
        self, write: Write, context: Call, decide: Decide, response: Response
    ) -> Response:
        """Has what is decided committed, and answers with the workflow as that left it."""
        decided: list[Decided] = []
        asked = Asked(
            write.ref.space, context, write.actor, _place(write.ref), write.commit_id, write.level,
            write.session_token,
        )  # fmt: skip

        async def plan() -> Plan:
            look = Look(context, write.session_token)
            try:
                last: Decided = await decide(look)
            except Exception:
                await self._look_elsewhere(write, look)
                raise
            decided.append(last)
            act: Act = last.act
            return Plan(
                (act.request, *last.also.requests), (*act.conditions, *last.also.demands),
                act.level, last.session_token, act.instance.correlation_id,
            )  # fmt: skip

        try:
            done = await self._door.write(asked, plan)
        except _DoneElsewhere as found:
            now = await self._workflows.get(write.ref, Look(context, write.session_token))
            told = found.outcome
            commit = CommitResponse(
                answer=now.answer, op_id=told.op_id, outcome=told, applied_locally=True
            )
            done = Done(commit, repeated=True)
        response.commit.CopyFrom(done.commit)
        response.repeated = done.repeated
        if done.repeated:
            at = await self._workflows.find(write.ref, Look(context, done.token))
            if at is not None:
                response.workflow.CopyFrom(_told(at.instance, at.value, at.at))
        else:
            value = decided[-1].act.request.value
            response.workflow.CopyFrom(_told(decode(value), value, _version(done)))
        return response


def _look(message: pb.WorkflowRead, context: Call) -> Look:
    return Look(context, message.session_token, convert.level_from(message.level))


def _place(ref: Ref) -> tuple[str, str]:
    return WORKFLOWS, workflow_key(ref.id, ref.incarnation or 1)


def _told(found: Instance, value: bytes, version: Version) -> pb.Workflow:
    return codec.workflow_to(found, codec.hash_of(value), version)


def _version(done: Done) -> Version:
    """The version of a record that a commit has written."""
    outcome, name = done.commit.outcome, done.commit.op_id
    if OutcomeKind(outcome.kind) is OutcomeKind.PENDING:
        at = done.commit.answer.position
        return Version(at.epoch, at.revision, name.origin, name.seq, pending=True)
    at = outcome.position
    return Version(at.epoch, at.revision, name.origin, name.seq)
