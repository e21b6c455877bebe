"""What reads return: records, who wrote them, which state they are, and what was seen.

All of it is frozen, and free of protobuf. Origins, commit ids and epoch ids are 16 bytes; revisions
and sequence numbers start at 1, and 0 means "none".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from holdfast.client import values


class Level(StrEnum):
    """How much a request wants to be promised; unset, the default of the collection decides."""

    EVENTUAL = "eventual"
    BOUNDED = "bounded"
    STRONG = "strong"


class ActorKind(StrEnum):
    """What sort of party writes."""

    ROBOT = "robot"
    HUMAN = "human"
    AI = "ai"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes: a name, unique among the agents of a space, and a kind."""

    id: str
    kind: ActorKind


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one history of one space."""

    epoch: int
    space: str
    revision: int


@dataclass(frozen=True, slots=True)
class Context:
    """What was seen: the hub's history up to `base`, and undecided commits by origin.

    A write that carries it is judged by it: what happened since counts as concurrent and is merged
    by the rules of the collection, instead of being taken for seen and overwritten.
    """

    epoch: int
    base: int
    seen: tuple[tuple[bytes, int], ...] = ()
    """Per origin the newest undecided seq."""

    def meet(self, other: Context) -> Context:
        """What both have seen: the context of a write that depends on the two."""
        epoch, base = min((self.epoch, self.base), (other.epoch, other.base))
        theirs = dict(other.seen)
        seen = [(o, min(seq, theirs[o])) for o, seq in self.seen if o in theirs]
        return Context(epoch, base, tuple(seen))


@dataclass(frozen=True, slots=True)
class Version:
    """Which state of a record: the write that made it."""

    epoch: int
    revision: int
    """The deciding revision; while pending, the revision that the write is based on."""
    origin: bytes
    seq: int
    pending: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says of itself."""

    level: Level | None
    """The level that was served."""
    position: Position | None
    """The position of the state that was read, or at which a write was based."""
    staleness_ms: int | None
    """Upper bound of the staleness in milliseconds; None: unknown."""
    includes_pending: bool
    """True if writes that the hub has not decided are in it."""
    context: Context | None
    new_session: bool = False
    """True if the request carried nothing over from what was seen before."""


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object under a path, as it was when it was read."""

    path: str
    """space/collection/key"""
    json: str
    """The object as text, numbers with the digits they were written with. For a deleted record the
    last one it had."""
    version: Version
    actor: Actor
    deleted: bool
    stamp: int
    """When the hub (while pending: the edge) says it was written: unix milliseconds << 16 | logical
    counter. It breaks ties between concurrent writes; do not order by it what has revisions."""
    context: Context | None = field(default=None, compare=False)
    """What was seen with it. `based_on=record` passes it on."""
    answer: Answer | None = field(default=None, compare=False, repr=False)
    """How it was read; None for a record in a change."""

    @property
    def value(self) -> dict[str, Any]:
        """The object: a new one at each access, so changing it changes nothing here.

        Integers are exact; for the exact digits of other numbers see `json`.
        """
        return values.decode(self.json)

    def siblings(self, field: str) -> list[Any]:
        """The values of a field: several where they were written without knowing of each other (the
        rule `siblings`), else the only one, or none if the field is not there.

        Whoever has read them all writes the one that shall stand, with `based_on=record`.
        """
        value = self.value
        if field not in value:
            return []
        shown = value[field]
        if isinstance(shown, dict) and set(shown) == {SIBLINGS} and shown[SIBLINGS]:
            return list(shown[SIBLINGS])
        return [shown]

    @property
    def space(self) -> str:
        return self.path.split("/", 1)[0]

    @property
    def collection(self) -> str:
        return self.path.split("/", 2)[1]

    @property
    def key(self) -> str:
        return self.path.split("/", 2)[2]

    @property
    def written_at(self) -> datetime:
        """The time of `stamp`, in UTC."""
        return datetime.fromtimestamp((self.stamp >> 16) / 1000, UTC)


SIBLINGS = "$siblings"
"""The only member of a field that shows several values."""

JsonObject = Mapping[str, Any]


def context_of(based_on: Record | Iterable[Record]) -> Context | None:
    """What the reader of these records had certainly seen; None if one of them does not say."""
    records = [based_on] if isinstance(based_on, Record) else list(based_on)
    met: Context | None = None
    for record in records:
        if record.context is None:
            return None
        met = record.context if met is None else met.meet(record.context)
    return met
