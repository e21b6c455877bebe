"""What a client does with workflows, for blocking code. `async_workflows` is the same for
asyncio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from holdfast.client.blocking_transport import BlockingTransport
from holdfast.client.records import JsonObject
from holdfast.client.workflow_records import (
    Definition,
    Execution,
    Workflow,
    WorkflowHistory,
)
from holdfast.client.workflows import (
    UNFINISHED,
    ActOptions,
    BeginOptions,
    FilterOptions,
    LookOptions,
    ReadOptions,
    Workflows,
    check_damaged,
)


class BlockingWorkflows:
    """Workflows, as `client.workflows`.

        job = client.workflows.save_workflow_state("fold-7", "RUNNING", agent="arm-3")
        job = client.workflows.transition("fold-7", "prepared")

    A workflow is advanced by one node, the hub or an edge: the one at whose door it was created,
    also without a network, until another takes the authority. What is done is durable when a
    method returns; at an edge the hub decides it later (`client.wait([job.receipt.op_id])`).

    All raise subclasses of `holdfast.errors.StateError`: WorkflowNotFound, TransitionNotAllowed
    (also a veto of a guard), StaleAuthority (another node advances it), InvalidArgument, and
    StorageUnavailable.
    """

    def __init__(self, transport: BlockingTransport, workflows: Workflows) -> None:
        self._transport, self._workflows = transport, workflows

    # -- the five operations -------------------------------------------------------------------

    def save_workflow_state(
        self,
        workflow_id: str,
        status: str = "",
        **options: Unpack[BeginOptions],
    ) -> Workflow:
        """Creates a workflow, or saves what is given and leaves the rest, all or nothing.

        A status (PENDING, RUNNING, PAUSED, COMPLETED, FAILED, CANCELLED, or a path of states) fires
        the event that leads there at once; RUNNING is `active.executing`. Raises
        TransitionNotAllowed where none does, also for a workflow that has ended.
        """
        return self._transport.run(self._workflows.save(workflow_id, status, options))

    def load_workflow_state(
        self,
        workflow_id: str,
        *,
        with_executions: bool = False,
        as_of: int = 0,
        **options: Unpack[ReadOptions],
    ) -> Workflow:
        """The workflow, as it is at this door or as it was at the revision `as_of`; on request with
        all attempts at its steps. Raises WorkflowNotFound."""
        steps = self._workflows.load(workflow_id, with_executions, as_of, options)
        return self._transport.run(steps)

    def list_active_workflows(self, **options: Unpack[FilterOptions]) -> Iterator[Workflow]:
        """Workflows that are not at an end (or in the `statuses` given), in the order of their
        ids, page by page."""
        options.setdefault("statuses", (UNFINISHED,))
        yield from self.list(**options)

    # -- more ----------------------------------------------------------------------------------

    def list(self, **options: Unpack[FilterOptions]) -> Iterator[Workflow]:
        """Workflows in the order of their ids, page by page, also those that have ended. If there
        are some that cannot be read, it raises DataLoss in the end, which names them."""
        token, damaged = "", list[str]()
        while True:
            page = self._transport.run(self._workflows.page(token, options))
            yield from page.workflows
            token = page.next_token
            damaged += page.damaged
            if not token:
                check_damaged(damaged)
                return

    def create(self, workflow_id: str, **options: Unpack[BeginOptions]) -> Workflow:
        """Begins a workflow, in the state `pending`. An id whose workflow has ended begins its next
        incarnation. Raises AlreadyExists."""
        return self._transport.run(self._workflows.create(workflow_id, options))

    def transition(
        self,
        workflow_id: str,
        event: str,
        *,
        step: str = "",
        **options: Unpack[ActOptions],
    ) -> Workflow:
        """Fires an event; `step` is the one that is `prepared`. Raises TransitionNotAllowed, whose
        metadata says what is allowed."""
        steps = self._workflows.transition(workflow_id, event, step, options)
        return self._transport.run(steps)

    def record_execution(
        self,
        workflow_id: str,
        execution: Execution,
        **options: Unpack[ActOptions],
    ) -> Workflow:
        """Writes down an attempt at a step, in the place of what was known of it."""
        return self._transport.run(self._workflows.record(workflow_id, execution, options))

    def take_authority(
        self,
        workflow_id: str,
        *,
        force: bool = False,
        **options: Unpack[ActOptions],
    ) -> Workflow:
        """Makes this door's node the one that advances; decided by the hub. `force` takes it from a
        node that has it: what that has not sent yet will be refused, and wait in the inbox. Raises
        PreconditionFailed (AUTHORITY_HELD), Unavailable without a hub."""
        return self._transport.run(self._workflows.take(workflow_id, force, options))

    def release_authority(
        self,
        workflow_id: str,
        **options: Unpack[ActOptions],
    ) -> Workflow:
        """Gives the authority back, so that another node may take it."""
        return self._transport.run(self._workflows.release(workflow_id, options))

    def history(
        self,
        workflow_id: str,
        *,
        limit: int = 100,
        **options: Unpack[ReadOptions],
    ) -> WorkflowHistory:
        """What was done with it, newest first: every act with who, why and what became of it, also
        those that were refused."""
        return self._transport.run(self._workflows.history(workflow_id, limit, options))

    def define(
        self, name: str, version: str, definition: JsonObject | str, **options: Unpack[ActOptions]
    ) -> Definition:
        """Writes down what workflows may be of: an object with `steps`. Under its name and version
        it never changes; raises AlreadyExists if there is another."""
        steps = self._workflows.define(name, version, definition, options)
        return self._transport.run(steps)

    def definition(self, name: str, version: str, **options: Unpack[LookOptions]) -> Definition:
        """A definition. Raises NotFound."""
        return self._transport.run(self._workflows.definition(name, version, options))
