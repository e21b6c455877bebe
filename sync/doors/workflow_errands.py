"""Carrying out what was asked of the workflows that this node may advance.

A request waits as a record until who has the authority sees it: at once where it is the hub, after
the network is back where it is an edge. It is done and removed in one commit; what has no place any
more is only removed.

Invariant: a request is carried out at most once, and by nobody but the holder.
"""

from __future__ import annotations

from holdfast.v1 import record_pb2
from holdfast.v1 import state_service_pb2 as state
from sync.authority import REQUESTS, WORKFLOWS, key_of
from sync.codec.workflows import Ref
from sync.commit import Precondition
from sync.doors.door import UNTIMED, Asked, Door, Plan
from sync.doors.workflow_children import (
    MAX_CONDITIONS,
    NOTHING,
    Children,
    Following,
    TooManyChildren,
)
from sync.doors.workflow_reads import Look, StaleAuthority, Standing, Workflows, standing_of
from sync.reduce import Delete
from sync.work_keys import InvalidKey, id_and_incarnation
from sync.workflow_definitions import InvalidWorkflow
from sync.workflow_instances import Damaged
from sync.workflow_requests import request_from

PAGE = 100

LOOK = Look(UNTIMED)


class _Gone(Exception):
    """Another process of this node has carried it out."""


class Errands:
    """Carries out, at one door; one by one, and not at two moments at once."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._workflows = Workflows(door)
        self._children = Children(door, self._workflows)

    async def run(self, space: str) -> int:
        """Carries out all that waits and is for this node to do; how many. What fails does not
        keep the rest from being done; then the first error is raised in the end."""
        done, failed = 0, None
        query = state.ListRequest(space=space, collection=REQUESTS, page_size=PAGE)
        while True:
            page = await self._door.page(query, UNTIMED)
            for found in page.records:
                try:
                    done += await self._carried(space, found.key)
                except (_Gone, StaleAuthority, Damaged):
                    continue
                except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                    failed = failed or error
            if not page.next_token:
                break
            query.page_token = page.next_token
        if failed is not None:
            raise failed
        return done

    async def _carried(self, space: str, key: str) -> bool:
        """Carries out one; False if it is not for this node."""
        try:
            ref = Ref(space, *id_and_incarnation(key_of(key)))
        except InvalidKey:
            return False
        child = await self._workflows.find(ref, LOOK)
        if child is None or child.instance.authority.holder != self._door.node():
            return False
        actor = record_pb2.Actor(id=self._door.node(), kind=record_pb2.ACTOR_KIND_SYSTEM)
        asked = Asked(space, UNTIMED, actor, (REQUESTS, key))
        await self._door.write(asked, lambda: self._plan(space, key))
        return True

    async def _plan(self, space: str, key: str) -> Plan:
        names = [(WORKFLOWS, key_of(key)), (REQUESTS, key)]
        read = await self._door.read(space, names, UNTIMED)
        found, request = read[names[0]], read[names[1]]
        if found is None or request is None:
            raise _Gone
        child = standing_of(found, read.answer)
        self._workflows.check_held(child)
        followed = await self._followed(space, child, request.value)
        held = Precondition(*names[0], authority=child.instance.authority.token)
        there = Precondition(*names[1], version=request.version)
        return Plan((*followed.requests, Delete(*names[1])), (held, there, *followed.demands))

    async def _followed(self, space: str, child: Standing, value: bytes) -> Following:
        try:
            told = request_from(value)
        except InvalidWorkflow:
            return NOTHING  # it is of no use to anybody
        found = await self._children.told(space, child, told, LOOK, MAX_CONDITIONS - 4)
        if found is None:
            raise TooManyChildren(f"{child.instance.key} has more children than are told at once")
        return found
