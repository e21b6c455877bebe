"""Commits and records as single objects.

Batches are columns (see batch.py); these are the views made where one row is
needed: at an agent's door, for a concurrent row, in tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ActorKind(IntEnum):
    """What sort of party wrote. Values are those of the wire."""

    ROBOT = 1
    HUMAN = 2
    AI = 3
    SYSTEM = 4


@dataclass(frozen=True, slots=True)
class Actor:
    """Who wrote."""

    id: str
    kind: ActorKind


class Kind(IntEnum):
    """What one operation of a batch does, one byte on the wire.

    The agent's put, patch, delete and add are reduced to these where they are
    accepted, each saying which state it was written on.
    """

    NONE = 0
    """No effect: what the hub made of an operation that lost. Empty payload."""
    CREATE = 1
    """The author saw no record. Payload: the object."""
    REPLACE = 2
    """The whole record (granularity `record`). Payload: the object."""
    PATCH = 3
    """Fields to set. Payload: an object of them."""
    REMOVE = 4
    """Fields to remove. Payload: a sorted list of names."""
    DELETE = 5
    """A tombstone that keeps the value. Empty payload."""
    ADD = 6
    """Integers to add. Payload: an object field -> integer."""
    ADD_CREATE = 7
    """As ADD, on a record that the author saw absent."""
    SET_ADD = 8
    """Elements to add to sets. Payload: an object field -> array of elements."""
    SET_ADD_CREATE = 9
    """As SET_ADD, on a record that the author saw absent."""
    SET_REMOVE = 10
    """Elements to remove from sets. Payload: an object field -> array of elements."""
    MAX = 11
    """Watermarks to raise. Payload: an object field -> number."""
    MAX_CREATE = 12
    """As MAX, on a record that the author saw absent."""
    MIN = 13
    """Watermarks to lower. Payload: an object field -> number."""
    MIN_CREATE = 14
    """As MIN, on a record that the author saw absent."""
    PUT = 15
    """The whole record as a strong commit asks for it, reduced where it is decided. Payload: the
    object. Never in what is decided."""
    SPLICE = 16
    """Edits of texts and lists. Payload: an object field -> runs."""
    SPLICE_CREATE = 17
    """As SPLICE, on a record that the author saw absent."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a commit, reduced."""

    kind: Kind
    collection: str
    key: str
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class OpId:
    """The name of a commit."""

    origin: bytes
    seq: int
    commit_id: bytes


@dataclass(frozen=True, slots=True)
class Version:
    """Which state of a record: decided at `revision`, or pending on that base."""

    epoch: int
    revision: int
    origin: bytes = b""
    seq: int = 0
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must be true of one record: at `version`, or existing, or absent, or governed by the
    node that commits, under the token `authority` (see sync.authority)."""

    collection: str
    key: str
    version: Version | None = None
    exists: bool | None = None
    authority: int | None = None

    def __post_init__(self) -> None:
        said = (self.version, self.exists, self.authority)
        assert sum(one is not None for one in said) == 1, self


class OutcomeKind(IntEnum):
    """What became of a commit. Values are those of the wire, worse is greater
    among the first three that a decision by merge can have."""

    PENDING = 1
    APPLIED = 2
    MERGED = 3
    SUPERSEDED = 4
    REJECTED = 5
    COALESCED = 6
    LOST = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a commit, and by what it lost."""

    kind: OutcomeKind
    reason: str = ""
    by_origin: bytes = b""
    by_seq: int = 0


APPLIED = Outcome(OutcomeKind.APPLIED)


@dataclass(frozen=True, slots=True)
class Extra:
    """What only some commits have."""

    seen: tuple[tuple[bytes, int], ...] = ()
    preconditions: tuple[Precondition, ...] = ()
    correlation_id: str = ""
    causation_id: bytes = b""
    retryable: bool = False
    coalesced_by: int = 0
    strong: bool = False
    """Its author waits: it is judged on the state that it is decided on."""
    expired: bool = False
    """Strong, and its author waits no longer: it must not take effect."""
    blind: bool = False
    """Strong, and depends on no read."""


NO_EXTRA = Extra()


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as its origin wrote it; `seen` is the newest undecided seq of
    its own origin that its author had seen, zero for none."""

    id: bytes
    seq: int
    base: int
    seen: int
    claimed: int
    actor: Actor
    ops: tuple[Op, ...]
    extra: Extra = NO_EXTRA
