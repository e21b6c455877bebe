"""What is written, and what becomes of it.

Paths are space/collection/key. A value is a mapping, or a str that is JSON text already (for
numbers whose exact digits matter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from holdfast.client.records import Actor, Answer, Context, Position, Record, Version


@dataclass(frozen=True, slots=True)
class Put:
    """Writes the whole record: fields that differ are set, fields that are missing removed."""

    path: str
    value: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Patch:
    """Writes some fields and leaves the others. Creates the record if it is absent."""

    path: str
    set: Mapping[str, Any] | str = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes the record; its history keeps the last value."""

    path: str


@dataclass(frozen=True, slots=True)
class Add:
    """Adds integers to counters; the fields must be declared with the rule `counter`."""

    path: str
    deltas: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SetAdd:
    """Adds elements, each any JSON value, to a set; the field must be declared with the rule
    `set`. An addition wins over a removal that had not seen it."""

    path: str
    field: str
    elements: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SetRemove:
    """Removes elements from a set, as far as the author has seen them added."""

    path: str
    field: str
    elements: tuple[Any, ...]


Run = int | str | Sequence[Any]
"""A part of a splice: a positive number retains so many, a negative one deletes so many, a str
inserts text, any other sequence inserts elements."""


@dataclass(frozen=True, slots=True)
class Splice:
    """Edits a text or list: a field that is declared with the rule `text` or `list`.

    `runs` go over the document from its beginning, in code points or elements; what they do not
    cover at the end is kept. A record or field that is absent is an empty document.
    """

    path: str
    field: str
    runs: tuple[Run, ...]


Op = Put | Patch | Delete | Add | SetAdd | SetRemove | Splice


@dataclass(frozen=True, slots=True)
class Expect:
    """What must be true of a record for the commit to happen: made by the functions below."""

    path: str
    version: Version | None = None
    exists: bool | None = None
    authority: int | None = None

    @classmethod
    def at(cls, path: str, version: Version | Record) -> Expect:
        """The record is at exactly this version."""
        return cls(path, version.version if isinstance(version, Record) else version)

    @classmethod
    def present(cls, path: str) -> Expect:
        """The record exists."""
        return cls(path, exists=True)

    @classmethod
    def absent(cls, path: str) -> Expect:
        """The record does not exist, or was deleted."""
        return cls(path, exists=False)

    @classmethod
    def held(cls, path: str, token: int) -> Expect:
        """The record's member `authority` has this token, and its holder is the node of this door;
        else StaleAuthority is raised, or the commit rejected when it is decided."""
        return cls(path, authority=token)


@dataclass(frozen=True, slots=True)
class OpId:
    """The name under which a commit is known for ever.

    To ask for an outcome, origin and seq are enough; the commit id alone is if the client chose it.
    """

    space: str
    commit_id: bytes = b""
    origin: bytes = b""
    seq: int = 0


class OutcomeKind(StrEnum):
    """What became of a commit. `UNKNOWN`: this door does not know; see the reason."""

    UNKNOWN = "unknown"
    PENDING = "pending"
    APPLIED = "applied"
    MERGED = "merged"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    COALESCED = "coalesced"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one commit."""

    op_id: OpId
    kind: OutcomeKind
    position: Position | None = None
    """Where it was decided; None while pending."""
    reason: str = ""
    """For rejected, lost and unknown: a reason of `holdfast.reasons`."""
    by: OpId | None = None
    """For superseded and coalesced: the commit that won."""

    @property
    def decided(self) -> bool:
        """True once the hub has decided; it never changes afterwards."""
        return self.kind not in {OutcomeKind.UNKNOWN, OutcomeKind.PENDING}


@dataclass(frozen=True, slots=True)
class Receipt:
    """A commit that is durable at the door that answered."""

    op_id: OpId
    known: Outcome
    """What was known when the door answered: at an edge usually pending."""
    answer: Answer
    applied_locally: bool
    """Whether the state of the door contains it already."""

    @property
    def commit_id(self) -> bytes:
        return self.op_id.commit_id

    @property
    def context(self) -> Context | None:
        """What a write that follows this one has seen."""
        return self.answer.context


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One commit in the history of a record."""

    outcome: Outcome
    actor: Actor
    stamp: int
    """The hub's time stamp: unix milliseconds << 16 | logical counter."""
    claimed: int
    """What the author's device claimed, in the same form."""
    ops: tuple[Op, ...]
    """What it did to this record."""
    previous_revision: int
    """The revision that it replaced; 0: the record was absent."""
    correlation_id: str = ""
    causation_id: bytes = b""


@dataclass(frozen=True, slots=True)
class History:
    """Commits of one record, newest first; `complete` is False if there are older ones: ask for
    more of them, or ask the hub."""

    entries: tuple[HistoryEntry, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One record as a commit left it."""

    record: Record
    previous_revision: int
    """The revision that it replaced; 0: the record was absent."""
    omitted: bool = False
    """The commit is larger than a message: the value of this record was left out, and its `json` is
    empty. Read it."""


@dataclass(frozen=True, slots=True)
class CommitEvent:
    """One commit that a watch saw, never split."""

    changes: tuple[Change, ...]
    outcome: Outcome
    actor: Actor
    correlation_id: str
    causation_id: bytes
    resume_token: bytes
    """Resume a watch here to go on after this commit."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Everything up to a position has been told, also when nothing of it was for this watch."""

    position: Position
    resume_token: bytes


Event = CommitEvent | Bookmark
