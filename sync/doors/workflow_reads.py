"""Finding workflows among the records of a space: by id, by key, and what they refer to.

The incarnations of an id have no gaps, since each begins after the one before, so the newest is
found by looking at a few places and halving what is between them.

Invariant: what is returned was checked against its own hash.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.v1 import state_service_pb2 as pb
from sync import authority
from sync.authority import DEFINITIONS, WORKFLOWS, Authority
from sync.codec.workflows import Ref
from sync.commit import Precondition, Version
from sync.doors.door import Call, Door, Found
from sync.levels import Level
from sync.names import check_key
from sync.work_keys import MAX_INCARNATIONS, definition_key, workflow_key
from sync.workflow_definitions import Definition, Reference
from sync.workflow_definitions import decode as decode_definition
from sync.workflow_instances import Damaged, Instance, decode

PROBES = 4
"""Places looked at with one read: of the largest records, half of an answer."""


class WorkflowNotFound(Exception):
    """No workflow of this id is known at this door."""

    reason = "WORKFLOW_NOT_FOUND"


class DefinitionNotFound(Exception):
    """No definition of this name and version is known at this door."""

    reason = "DEFINITION_NOT_FOUND"


class StaleAuthority(Exception):
    """Another node than this one advances the workflow, or none does."""

    reason = "STALE_AUTHORITY"

    def __init__(self, key: str, node: str, found: Authority) -> None:
        wanted = Precondition(WORKFLOWS, key, authority=found.token)
        value = b'{"authority":%b}' % found.encode()
        message, self.metadata = authority.stale(wanted, node, value)
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Standing:
    """A workflow as it stands at a door, which state of its record that is, and the session and
    position that it was read in."""

    instance: Instance
    at: Version
    value: bytes
    answer: pb.Answer

    @property
    def token(self) -> bytes:
        """Of the session that has seen it."""
        return self.answer.session_token


@dataclass(frozen=True, slots=True)
class Look:
    """How something is looked at: for which call, in which session, at which level."""

    call: Call
    session_token: bytes = b""
    level: Level | None = None


class Workflows:
    """Reads workflows and definitions at one door."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def get(self, ref: Ref, look: Look) -> Standing:
        """The workflow. Raises WorkflowNotFound, Damaged, and what reading does."""
        found = await self.find(ref, look)
        if found is None:
            which = f" ({ref.incarnation})" if ref.incarnation else ""
            raise WorkflowNotFound(f"{ref.space} has no workflow {ref.id!r}{which} here")
        return found

    async def find(self, ref: Ref, look: Look) -> Standing | None:
        """The workflow; None if there is none. Raises Damaged, and what reading does."""
        if ref.incarnation:
            return (await self._at(ref, [ref.incarnation], look)).get(ref.incarnation)
        newest: Standing | None = None
        low, high = 0, MAX_INCARNATIONS + 1
        while high - low > 1:
            places = _places(low, high)
            found = await self._at(ref, places, look)
            there = [place for place in places if place in found]
            gone = [place for place in places if place not in found]
            if there:
                low, newest = there[-1], found[there[-1]]
            if gone:
                high = gone[0]
        return newest

    async def held(self, ref: Ref, look: Look) -> Standing:
        """The workflow, which the node of this door may advance. Raises StaleAuthority, and what
        `get` does."""
        found = await self.get(ref, look)
        self.check_held(found)
        return found

    def check_held(self, found: Standing) -> None:
        """Raises StaleAuthority."""
        node = self._door.node()
        if found.instance.authority.holder != node:
            raise StaleAuthority(found.instance.key, node, found.instance.authority)

    async def definition(
        self, space: str, name: str, version: str, look: Look
    ) -> tuple[Definition, Found, pb.Answer]:
        """A definition, its record, and the answer it came with. Raises DefinitionNotFound,
        InvalidWorkflow, and what reading does."""
        place = (DEFINITIONS, definition_key(check_key(name), check_key(version)))
        read = await self._door.read(space, [place], look.call, look.session_token, look.level)
        found = read[place]
        if found is None:
            raise DefinitionNotFound(f"{space} has no definition {name}@{version} here")
        return decode_definition(found.value), found, read.answer

    async def plan_of(self, space: str, instance: Instance, look: Look) -> Definition | None:
        """What a workflow is of; None: of nothing. Raises Damaged, DefinitionNotFound."""
        pinned = instance.definition
        if pinned is None:
            return None
        found, _, _ = await self.definition(space, pinned.name, pinned.version, look)
        if found.reference != pinned:
            raise Damaged(
                f"{instance.key} is pinned to another {_named(pinned)} than there is here"
            )
        return found

    async def _at(self, ref: Ref, incarnations: list[int], look: Look) -> dict[int, Standing]:
        keys = [(WORKFLOWS, workflow_key(ref.id, each)) for each in incarnations]
        read = await self._door.read(ref.space, keys, look.call, look.session_token, look.level)
        standings = {}
        for number, key in zip(incarnations, keys, strict=True):
            found = read[key]
            if found is not None:
                standings[number] = standing_of(found, read.answer)
        return standings


def standing_of(found: Found, answer: pb.Answer) -> Standing:
    """A workflow from its record. Raises Damaged."""
    instance = decode(found.value)
    if instance.key != found.key:
        raise Damaged(f"the record {found.key} says that it is {instance.key}")
    return Standing(instance, found.version, found.value, answer)


def _places(low: int, high: int) -> list[int]:
    """Where to look next between a place that is taken and one that is not: close above the first
    while nothing is known of the second, since few ids are used often."""
    if high > MAX_INCARNATIONS:
        near = [low + 1, low + 2, (low + 1) * 4, (low + 1) * 16]
        return sorted({place for place in near if low < place < high})
    step = max(1, (high - low) // (PROBES + 1))
    return list(range(low + step, high, step))[:PROBES]


def _named(reference: Reference) -> str:
    return f"{reference.name}@{reference.version}"
