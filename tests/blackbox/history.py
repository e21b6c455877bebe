"""What happened, as lines: one request, one message of a watch, one decided commit each.

All times are seconds of one clock that only goes forward. A file of it is JSON lines, in any order;
the member `line` says which class a line is, the others are the members of that class.

    {"line": "read", "client": "c1", "session": "c1.1", "door": "edge-2", "space": "site", ...}

Invariant: an attempt ends in one of three ways. `ok` and `refused` are answers that its client has
seen; everything else (a deadline, a broken connection, an OUTCOME_UNKNOWN) is `unknown`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Place: TypeAlias = tuple[int, int]
"""Epoch and revision: the order of decided commits in a space."""

NOWHERE: Place = (0, 0)

Value: TypeAlias = dict[str, Any] | None
"""A live record, or None: absent or deleted."""

OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"
STRONG, BOUNDED, EVENTUAL = "strong", "bounded", "eventual"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation as it was asked for: put, patch, delete or add. `path` is collection/key."""

    kind: str
    path: str
    value: dict[str, Any] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expect:
    """A precondition: `version` (of the write that made it), `exists` or `absent`."""

    path: str
    kind: str
    place: Place = NOWHERE
    value: Value = None
    """What was read at that version."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record in an answer, and the write that made it."""

    value: dict[str, Any]
    place: Place = NOWHERE
    """Where that was decided; while pending, what it is based on."""
    origin: str = ""
    seq: int = 0
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every request of a client has."""

    client: str = ""
    session: str = ""
    """Requests with the same one hand its token on; empty: none is handed on."""
    door: str = ""
    space: str
    level: str = EVENTUAL
    invoked_s: float
    returned_s: float
    status: str = OK
    reason: str = ""
    place: Place = NOWHERE
    """The position of the answer."""
    seen: dict[str, int] = field(default_factory=dict)
    """Per origin the newest undecided seq in the state that was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(Asked):
    """One attempt to have a commit taken. Attempts with the same id are one commit."""

    commit_id: str = ""
    ops: tuple[Op, ...] = ()
    expects: tuple[Expect, ...] = ()
    origin: str = ""
    seq: int = 0
    decided: Place = NOWHERE
    """Where, if the answer says so."""
    outcome: str = ""

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(op.path for op in self.ops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Asked):
    """One read of some records; those that are not in `records` were absent."""

    paths: tuple[str, ...] = ()
    max_staleness_ms: int | None = None
    staleness_ms: int | None = None
    records: dict[str, Found] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message to a watcher: began, commit, pending, bookmark or resumed."""

    watch: str
    """One watcher from its beginning on, across reconnects."""
    door: str = ""
    space: str
    collection: str = ""
    """The only one that is watched; empty: all."""
    at_s: float
    what: str
    place: Place = NOWHERE
    origin: str = ""
    seq: int = 0
    changes: dict[str, Value] = field(default_factory=dict)
    replaced: dict[str, int] = field(default_factory=dict)
    """Per record the revision that the change replaced, 0 if it was absent; empty: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One commit of the hub's log, and what it left of the records that it changed."""

    space: str
    place: Place
    origin: str
    seq: int
    commit_id: str
    outcome: str = "applied"
    base: Place = NOWHERE
    seen: dict[str, int] = field(default_factory=dict)
    """Per origin the newest undecided seq that its author had seen."""
    writes: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One row of the hub's log of conflicts. `revision` is that of the commit that met it."""

    space: str
    revision: int
    path: str
    field: str = ""
    kind: str = ""
    state: str = ""
    """open: it waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that was done to the machines: killed, frozen, thawed, ready, calm, quiet."""

    at_s: float
    what: str
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """What a door says of a space when all has come to rest."""

    door: str
    space: str
    place: Place
    pending: int = 0
    digests: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Per collection: digest, number of records."""


Line: TypeAlias = Commit | Read | Told | Decided | Conflict | Mark | Final

_CLASSES: dict[str, type[Any]] = {
    kind.__name__.lower(): kind for kind in (Commit, Read, Told, Decided, Conflict, Mark, Final)
}
_PLACES = frozenset({"place", "decided", "base"})


@dataclass
class History:
    """All lines of one run."""

    commits: list[Commit] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    finals: list[Final] = field(default_factory=list)

    def add(self, line: Line) -> None:
        lists: dict[type[Any], list[Any]] = {
            Commit: self.commits, Read: self.reads, Told: self.told, Decided: self.decided,
            Conflict: self.conflicts, Mark: self.marks, Final: self.finals,
        }  # fmt: skip
        lists[type(line)].append(line)

    def lines(self) -> Iterator[Line]:
        yield from self.marks
        yield from self.commits
        yield from self.reads
        yield from self.told
        yield from self.decided
        yield from self.conflicts
        yield from self.finals

    @property
    def spaces(self) -> list[str]:
        named = {line.space for line in self.commits} | {line.space for line in self.reads}
        named |= {line.space for line in self.told} | {line.space for line in self.decided}
        return sorted(named)


def history_of(*lines: Line) -> History:
    """A history of these lines."""
    found = History()
    for line in lines:
        found.add(line)
    return found


# -- as text -----------------------------------------------------------------


def encode(line: Line) -> str:
    """One line of a file, without its end."""
    said = {"line": type(line).__name__.lower(), **dataclasses.asdict(line)}
    return json.dumps(said, separators=(",", ":"))


def decode(text: str) -> Line:
    """The line that `encode` made. Raises KeyError, TypeError or ValueError for what is none."""
    said: dict[str, Any] = json.loads(text)
    kind = _CLASSES[said.pop("line")]
    line: Line = kind(**{name: _member(name, value) for name, value in said.items()})
    return line


def _member(name: str, value: Any) -> Any:
    if name in _PLACES:
        return tuple(value)
    if name == "ops":
        return tuple(Op(o["kind"], o["path"], o["value"], tuple(o["remove"])) for o in value)
    if name == "expects":
        return tuple(Expect(e["path"], e["kind"], tuple(e["place"]), e["value"]) for e in value)
    if name == "records":
        return {path: _found(record) for path, record in value.items()}
    if name == "paths":
        return tuple(value)
    if name == "digests":
        return {collection: tuple(tally) for collection, tally in value.items()}
    return value


def _found(said: Mapping[str, Any]) -> Found:
    return Found(**{**said, "place": tuple(said["place"])})


def save(path: Path, lines: Iterable[Line]) -> None:
    """Writes a file."""
    with path.open("w") as file:
        file.writelines(encode(line) + "\n" for line in lines)


def load(path: Path) -> History:
    """Reads one."""
    with path.open() as file:
        return history_of(*(decode(text) for text in file if text.strip()))
