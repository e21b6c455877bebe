"""What becomes of a workflow's children when it is told something.

A child declares what it does when its parent is cancelled, fails, is paused or resumed. What this
node may advance follows in the parent's commit, and so do its own children; of what another node
may advance it is asked, by a record in the same commit. So a parent's event and what it means for
the children are one thing in the log, and no node does another's work.

A commit holds only so much. Where a child's own children do not fit, that child is asked too,
instead of told; this node then carries it out in a commit of its own.

Invariant: every child that does not declare otherwise, and that the parent knows of, is told or
asked in the commit of the parent's event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.v1 import state_service_pb2 as state
from sync import workflow_acts as acts
from sync import workflow_rules as rules
from sync.authority import CHILDREN, REQUESTS
from sync.codec.workflows import Ref
from sync.commit import Precondition
from sync.doors.door import Door
from sync.doors.workflow_reads import Look, Standing, Workflows
from sync.reduce import Put, Request
from sync.work_keys import asked_key, id_and_incarnation
from sync.workflow_instances import Damaged, Instance
from sync.workflow_requests import ParentTold
from sync.workflow_rules import Word

MAX_CONDITIONS = 100
"""Of one commit: each is a look-up under the lock of the head. A child takes one, or two."""

MAX_CHILDREN = 90
"""Of one workflow: all of them can be asked in one commit, also if others began some meanwhile."""


class TooManyChildren(Exception):
    """A workflow has, or would have, more children than can be told in one commit."""

    reason = "TOO_MANY_CHILDREN"


@dataclass(frozen=True, slots=True)
class Following:
    """What a commit writes and demands beside its own workflow."""

    requests: tuple[Request, ...] = ()
    demands: tuple[Precondition, ...] = ()


NOTHING = Following()


class Children:
    """Works out what follows, at one door."""

    def __init__(self, door: Door, workflows: Workflows) -> None:
        self._door, self._workflows = door, workflows

    async def keys(self, space: str, parent: str, look: Look) -> list[str]:
        """The keys of the children that are known here, and of a few more than are allowed."""
        query = state.ListRequest(
            space=space,
            collection=CHILDREN,
            key_prefix=f"{parent}/",
            page_size=MAX_CONDITIONS + 1,
            session_token=look.session_token,
        )
        page = await self._door.page(query, look.call)
        return [found.key.partition("/")[2] for found in page.records]

    async def following(
        self, space: str, parent: Instance, word: Word, look: Look, used: int = 2
    ) -> Following:
        """What follows from what a workflow was told last, in a commit that has so many conditions
        already. Raises TooManyChildren, and what reading does."""
        event = parent.last.event
        room = MAX_CONDITIONS - used
        found = await self._planned(space, parent.key, event, word, look, room)
        if found is None:
            raise TooManyChildren(f"{parent.key} has more children than are told at once ({room})")
        return found

    async def _planned(
        self, space: str, parent: str, event: str, word: Word, look: Look, room: int
    ) -> Following | None:
        """What follows within so many conditions; None if there is no room for it."""
        if event not in rules.ON_PARENT:
            return NOTHING
        keys = await self.keys(space, parent, look)
        if len(keys) > room:
            return None
        requests: list[Request] = []
        demands: list[Precondition] = []
        told = ParentTold(event, parent, word.actor, word.now_ms, word.note)
        for number, key in enumerate(keys):
            kept = len(keys) - number - 1  # one for each that comes after
            found = await self._child(space, key, told, look, room - len(demands) - kept)
            requests += found.requests
            demands += found.demands
        return Following(tuple(requests), tuple(demands))

    async def _child(
        self, space: str, key: str, told: ParentTold, look: Look, room: int
    ) -> Following:
        try:
            child = await self._workflows.find(Ref(space, *id_and_incarnation(key)), look)
        except Damaged:
            child = None  # whoever restores it finds what it was asked
        if child is not None:
            at = child.instance
            if at.ended or at.on_parent.get(told.event, rules.IGNORE) == rules.IGNORE:
                return NOTHING
            if at.authority.holder == self._door.node() and room >= 2:
                found = await self.told(space, child, told, look, room - 2)
                if found is not None:
                    return found
        name = (REQUESTS, asked_key(key, told.parent, told.at_ms))
        return Following((Put(*name, told.encode()),), (Precondition(*name, exists=False),))

    async def told(
        self, space: str, child: Standing, told: ParentTold, look: Look, room: int
    ) -> Following | None:
        """What follows for a child that this node may advance, and for its children; None if there
        is no room for those. Nothing, where the event has no place or a guard refuses it."""
        before = child.instance
        event = rules.follows(told.event, before.on_parent, before.state)
        if event is None:
            return NOTHING
        now_ms = max(told.at_ms, before.last.at_ms + 1)
        word = Word(told.actor, now_ms, told.note, because=told.parent)
        definition = None
        if event in rules.GUARDS:
            definition = await self._workflows.plan_of(space, before, look)
        try:
            after = rules.advance(before, event, word, definition)
        except rules.Vetoed:
            return NOTHING
        theirs = replace(word, because="")
        rest = await self._planned(space, before.key, event, theirs, look, room)
        if rest is None:
            return None
        act = acts.goes_on(before, child.at, after)
        return Following((act.request, *rest.requests), (*act.conditions, *rest.demands))
