"""What lies on the table while commits are decided: records, conflicts, results.

A record is worked on with what merging needs to know of it: who wrote it, and
which of its fields were written after it came to be. All of that is numbers
beside the value, so that whether a write is concurrent is known unparsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sync.authority import WORK
from sync.body import Body
from sync.commit import Extra, Outcome
from sync.context import Part, Stamped, parts_of
from sync.policy import RESERVED_PREFIX
from sync.transform import Splice

Key = tuple[str, str]
"""Collection and key."""


class Working:
    """A record while a transaction works on it.

    `whole` wrote the record as such; `parts` are fields written after it, each with everyone who
    is still in its value.
    `other` is the greatest revision by another origin than the last writer's:
    with it, whether anything foreign is new needs no look at the parts.
    `gone` is the newest deletion, also after the record has been begun anew: an
    edit whose author had not seen it was written on what is no more.
    A deleted record keeps its last value.
    """

    __slots__ = (
        "body", "deleted", "gone", "origin", "other", "parts", "revision", "seq", "stamp",
        "whole",
    )  # fmt: skip

    def __init__(
        self, value: bytes | Body, deleted: bool, revision: int, origin: int, seq: int, stamp: int,
        other: int, whole: Part, parts: dict[str, Stamped] | None = None,
        gone: Part | None = None,
    ) -> None:  # fmt: skip
        self.body = value if isinstance(value, Body) else Body(value)
        self.deleted, self.revision = deleted, revision
        self.origin, self.seq, self.stamp = origin, seq, stamp
        self.other, self.whole, self.gone = other, whole, gone
        self.parts: dict[str, Stamped] = {} if parts is None else parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Working) and self._columns() == other._columns()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Working{self._columns()}"

    def _columns(self) -> tuple[object, ...]:
        return (
            self.value, self.deleted, self.revision, self.origin, self.seq, self.stamp,
            self.other, self.whole, self.parts, self.gone,
        )  # fmt: skip

    @property
    def value(self) -> bytes:
        """The canonical object."""
        return self.body.value

    @property
    def live(self) -> bytes | None:
        return None if self.deleted else self.value

    @property
    def last(self) -> Part:
        return Part(self.revision, self.origin, self.seq, self.stamp)

    @property
    def writers(self) -> tuple[Part, ...]:
        """Everyone whose writing is still in the record, the last writer among them."""
        fields = (part for stamped in self.parts.values() for part in parts_of(stamped))
        return (self.whole, *fields, self.last)

    def copy(self) -> Working:
        return Working(
            self.body.copy(), self.deleted, self.revision, self.origin, self.seq, self.stamp,
            self.other, self.whole, dict(self.parts), self.gone,
        )  # fmt: skip

    def begun_by(self, part: Part, value: bytes) -> None:
        """The record comes to be, or is written as a whole."""
        self.body.replace(value)
        self.deleted, self.whole = False, part
        self.parts.clear()
        self.written_by(part)

    def changed_by(self, part: Part, value: bytes, names: Iterable[str]) -> None:
        """Some fields are written, with this as the whole."""
        self.body.replace(value)
        self.parts.update(dict.fromkeys(names, part))
        self.written_by(part)

    def stamped_by(self, part: Part, value: bytes, stamps: Mapping[str, Stamped]) -> None:
        """Some fields are written, with this as the whole and these stamps for them."""
        self.body.replace(value)
        self.parts.update(stamps)
        self.written_by(part)

    def patched_by(self, part: Part, sets: bytes, *, plain: bool) -> None:
        """Some fields are set. Raises InvalidValue; then nothing has changed."""
        self.parts.update(dict.fromkeys(self.body.merge(sets, plain=plain), part))
        self.written_by(part)

    def spliced_by(self, part: Part, edits: Mapping[str, Splice]) -> None:
        """Texts and lists are edited. Raises InvalidValue."""
        self.body.splice(edits)
        self.parts.update(dict.fromkeys(edits, part))
        self.written_by(part)

    def length_of(self, name: str) -> int:
        """Of the text or list in a field. Raises InvalidValue for what is neither."""
        return self.body.length_of(name)

    def deleted_by(self, part: Part) -> None:
        """The record becomes a tombstone."""
        self.deleted, self.whole, self.gone = True, part, part
        self.parts.clear()
        self.written_by(part)

    def written_by(self, part: Part) -> None:
        """Notes the last writer."""
        if part.origin != self.origin:
            self.other = self.revision
        self.revision, self.origin, self.seq, self.stamp = part


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two versions that did not know of each other, and which one stands.

    `field` is empty for a whole record. A value of None means removed. `winner` is ours, theirs or
    merged, and then `result` is what stands. `op` is the kind of the operation whose payload
    `theirs_value` is where it was on a whole record; `base` the revision that its author had seen;
    `left` the revision of the record after the commit, zero if there is none. `version` is the
    revision of the policy that decided, zero for the default; `waits` that a person is asked.
    `reason` is of the table of reasons or empty, `detail` says for people what was special.
    """

    index: int
    revision: int
    collection: str
    key: str
    field: str
    kind: str
    ours: Part | None
    ours_value: bytes | None
    theirs: Part
    theirs_value: bytes | None
    winner: str
    algorithm: str
    reason: str = ""
    op: int = 0
    base: int = 0
    left: int = 0
    result: bytes | None = None
    version: int = 0
    waits: bool = False
    detail: str = ""

    def leaving(self, record: Working | None) -> Conflict:
        """The conflict, with what its commit has left of the record."""
        return replace(self, left=0 if record is None or record.deleted else record.revision)

    @property
    def state(self) -> str:
        """Rejected work waits for a person; what a rule decided does not, unless it says so, nor
        what concerns the system's own records, but for work that its holder has lost."""
        waits = self.waits or self.kind in OPEN_KINDS
        ours = self.collection.startswith(RESERVED_PREFIX) and self.collection not in WORK
        return "open" if waits and not ours else "auto"


OPEN_KINDS = frozenset({"rejected", "precondition", "invariant", "rule_raised"})

REFUSED = "refused"
"""The kind of what was refused while its author waited."""


class Rejected(Exception):
    """A commit that cannot take effect; `reason` is of the table of reasons, `by` what decided."""

    def __init__(self, reason: str, kind: str, by: str = "reject") -> None:
        super().__init__(reason)
        self.reason, self.kind, self.by = reason, kind, by

    def of(self, extra: Extra | None) -> Rejected:
        """This rejection, of a commit that has `extra`. The author of a strong one waits and is
        told, so it is kept in the log and opens nothing for others to do."""
        strong = extra is not None and extra.strong
        return Rejected(self.reason, REFUSED, self.by) if strong else self


@dataclass(slots=True)
class Resolution:
    """What became of a batch: columns per operation, outcomes per commit."""

    kinds: bytearray
    payloads: list[bytes]
    previous: list[int]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
