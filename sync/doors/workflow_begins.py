"""What a new workflow depends on: the one before it, its definition, its parent.

All three are read where the workflow begins, perhaps at an edge without a network, and its commit
demands that they are so where it is decided: if what it stands on was refused by then, so is it.

A parent learns of its children by records under its own key, which anybody may add.

Invariant: an incarnation begins only on one that has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync import values, workflow
from sync.authority import CHILDREN, DEFINITIONS, WORKFLOWS
from sync.codec.workflows import Ref, Start
from sync.commit import Precondition
from sync.doors.door import Found
from sync.doors.workflow_children import MAX_CHILDREN, Children, TooManyChildren
from sync.doors.workflow_reads import Look, Standing, Workflows
from sync.reduce import Put
from sync.work_keys import MAX_INCARNATIONS, child_key, quoted
from sync.workflow_definitions import Definition, InvalidWorkflow
from sync.workflow_instances import Instance
from sync.workflow_rules import Beginning, Changes

NO_MEMBERS = values.join({})


class WorkflowExists(Exception):
    """A workflow of this id has not ended yet."""

    reason = "WORKFLOW_EXISTS"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a new workflow stands on."""

    incarnation: int
    start: Start
    session_token: bytes
    before: Standing | None = None
    definition: Definition | None = None
    defined: Found | None = None
    parent: Standing | None = None

    def beginning(self, ref: Ref, changes: Changes) -> Beginning:
        """What the new workflow is to be."""
        parent = self.parent.instance.key if self.parent else ""
        on_parent = self.start.on_parent or None
        return Beginning(ref.id, self.incarnation, self.definition, changes, parent, on_parent)

    def links(self, fresh: Instance) -> tuple[Put, ...]:
        """What tells its parent of it."""
        if not fresh.parent:
            return ()
        return (Put(CHILDREN, child_key(fresh.parent, fresh.key), NO_MEMBERS),)

    def demands(self, links: tuple[Put, ...]) -> tuple[Precondition, ...]:
        """What must be true where it is decided."""
        found: list[Precondition] = []
        if self.before is not None:
            at = self.before
            found.append(Precondition(WORKFLOWS, at.instance.key, version=at.at))
        if self.defined is not None:
            found.append(Precondition(DEFINITIONS, self.defined.key, version=self.defined.version))
        if self.parent is not None:
            found.append(Precondition(WORKFLOWS, self.parent.instance.key, exists=True))
        found += (Precondition(link.collection, link.key, exists=False) for link in links)
        return tuple(found)


class Begins:
    """Looks at what new workflows stand on, at one door."""

    def __init__(self, workflows: Workflows, children: Children) -> None:
        self._workflows, self._children = workflows, children

    async def of(self, ref: Ref, start: Start, before: Standing | None, look: Look) -> Ground:
        """What a workflow stands on, of which `before` is the newest of the same id.

        Raises WorkflowExists, InvalidWorkflow, DefinitionNotFound, WorkflowNotFound for a parent
        that is not here, TransitionNotAllowed for one that has ended, and TooManyChildren.
        """
        incarnation = 1
        if before is not None:
            if not before.instance.ended:
                raise WorkflowExists(f"{before.instance.key} is {before.instance.state}")
            incarnation = before.instance.incarnation + 1
        if incarnation > MAX_INCARNATIONS:
            raise InvalidWorkflow(f"{quoted(ref.id)} was begun too often: choose another id")
        token = before.token if before else look.session_token
        definition, defined, parent = None, None, None
        if start.definition is not None:
            name, version = start.definition
            definition, defined, answer = await self._workflows.definition(
                ref.space, name, version, Look(look.call, token)
            )
            token = answer.session_token
        if start.parent is not None:
            parent = await self._workflows.get(start.parent, Look(look.call, token))
            token = parent.token
            if parent.instance.ended:
                raise workflow.TransitionNotAllowed(parent.instance.state, "begin a child")
            there = await self._children.keys(
                ref.space, parent.instance.key, Look(look.call, token)
            )
            if len(there) >= MAX_CHILDREN:
                raise TooManyChildren(f"{parent.instance.key} has {MAX_CHILDREN} children")
        return Ground(incarnation, start, token, before, definition, defined, parent)
