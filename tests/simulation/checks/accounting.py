"""Every acknowledged commit is accounted for, and whatever lost is still to be had.

A commit ends as applied, merged, superseded, rejected, coalesced or lost. Each value that it asked
for is looked for where a person would look: in what took effect at its revision, in the log of
conflicts at that revision, in what stood there before. A coalesced commit gave its values up, and
names a later one that has taken their place.

Invariant: what was asked is known from clients alone, what was decided from the hub's files alone.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.v1 import record_pb2 as record
from sync.commit import Kind, OutcomeKind
from tests.blackbox.hub_rows import Entry, LogOp, Name
from tests.simulation.evidence import ConflictRow, Evidence, Space
from tests.simulation.history import Wanted

NO_ID = bytes(16)
SUMMED = {"tallies": "sum"}
"""Collections that are only added to, and the field."""

GATHERED = {"crews": "members"}
"""Collections to whose sets elements are only added."""

REACHED = {"marks": {"high": max, "low": min}}
"""Collections whose marks are never removed."""

COUNTED = frozenset({"sum", "used", "count"})
"""Fields with the rule `counter`: what is put there is taken as a difference."""

ADDITIONS = frozenset({Kind.ADD, Kind.ADD_CREATE, Kind.SET_ADD, Kind.SET_ADD_CREATE})

EFFECTIVE = (OutcomeKind.APPLIED, OutcomeKind.MERGED)


@dataclass
class Account:
    """What was counted."""

    outcomes: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    """Per where it was found."""
    conflicts: Counter[str] = field(default_factory=Counter)
    """Rows in their log, per kind and state."""
    gaps: list[str] = field(default_factory=list)


def nothing_is_unaccounted_for(found: Evidence) -> list[str]:
    """No acknowledged commit without an end, no value that is nowhere, no sum that is another."""
    return account_of(found).gaps


def account_of(found: Evidence) -> Account:
    """All commits of a run."""
    account = Account()
    books = {name: _Book(space) for name, space in found.spaces.items()}
    for wanted in found.history.wanted:
        _enter(account, wanted, books[wanted.space], found.damaged)
    for book in books.values():
        account.gaps += book.totals()
        account.conflicts.update(f"{row.kind}, {row.state}" for row in book.space.conflicts)
    return account


def _enter(account: Account, wanted: Wanted, book: _Book, damaged: set[bytes]) -> None:
    ids = {one.commit_id for one in wanted.acknowledged} | {wanted.commit_id} - {b""}
    entry = next((book.first[one] for one in sorted(ids) if one in book.first), None)
    if entry is not None:
        book.taken.append((wanted, entry))
    if not wanted.acknowledged:
        return
    if entry is None:
        gone = bool(wanted.may_be_lost) or not ids.isdisjoint(damaged)
        account.outcomes["taken away by a fault" if gone else "nowhere"] += 1
        if not gone:
            account.gaps.append(f"commit {wanted.number} was acknowledged, and has no end")
        return
    kind = entry.outcome.kind
    account.outcomes[kind.name.lower()] += 1
    if kind is OutcomeKind.LOST:
        return
    if kind is OutcomeKind.COALESCED:
        if not book.later(entry):
            account.gaps.append(f"commit {wanted.number} is coalesced, and nothing came after it")
        return
    for name, part, value in _asked(wanted):
        where = book.place_of(entry, name, part, value)
        account.values[where] += 1
        if where == "nowhere":
            account.gaps.append(
                f"commit {wanted.number}, {kind.name.lower()} at {entry.revision}, wrote"
                f" {'/'.join(name)} {part}={value}, which is nowhere"
            )


def _asked(wanted: Wanted) -> Iterator[tuple[Name, str, Any]]:
    """The values of fields that a commit asked for."""
    last: dict[tuple[Name, str], Any] = {}
    for op in wanted.ops:
        name, action = (op.collection, op.key), op.WhichOneof("action")
        if action in ("put", "delete"):
            last = {place: value for place, value in last.items() if place[0] != name}
        if action in ("put", "patch"):
            content = json.loads(op.put.json if action == "put" else op.patch.json)
            last.update({(name, part): value for part, value in content.items()})
            for part in op.patch.remove if action == "patch" else ():
                last.pop((name, part), None)
        elif action == "add":
            for part in op.add.deltas:
                last.pop((name, part), None)  # a sum: what is added is judged by totals
    for (name, part), value in last.items():
        if part not in COUNTED:
            yield name, part, value


class _Book:
    """What the hub has of one space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.first: dict[bytes, Entry] = {}
        self.taken: list[tuple[Wanted, Entry]] = []
        self._newest: dict[bytes, int] = defaultdict(int)
        self._rows: dict[int, list[ConflictRow]] = defaultdict(list)
        self._had: dict[tuple[Name, str], set[str]] = defaultdict(set)
        for entry in space.entries:
            if entry.commit_id != NO_ID:
                self.first.setdefault(entry.commit_id, entry)
            self._newest[entry.origin] = max(self._newest[entry.origin], entry.seq)
            for op in entry.ops:
                for part, value in _written(op):
                    self._had[(op.collection, op.key), part].add(_text(value))
        for row in space.conflicts:
            self._rows[row.revision].append(row)

    def later(self, entry: Entry) -> bool:
        """Whether its origin has decided commits above it."""
        return self._newest[entry.origin] > entry.seq

    def place_of(self, entry: Entry, name: Name, part: str, value: Any) -> str:
        """Where a value is to be found."""
        for op in entry.ops:
            if (op.collection, op.key) == name and (part, _text(value)) in {
                (member, _text(one)) for member, one in _written(op)
            }:
                return "in effect"
        for row in self._rows[entry.revision]:
            if (row.collection, row.key) == name and _holds(row, part, value):
                return "in the log of conflicts"
        if _text(value) in self._had[name, part]:
            return "in the record's history"
        return "nowhere"

    def totals(self) -> Iterator[str]:
        """Sums, sets and marks against what was asked of them."""
        wants = {entry.commit_id: wanted for wanted, entry in self.taken}
        sums: Counter[Name] = Counter()
        yield from self._lost_additions()
        members: dict[Name, set[int]] = defaultdict(set)
        marks: dict[tuple[Name, str], set[int]] = defaultdict(set)
        for entry in self.first.values():
            wanted = wants.get(entry.commit_id)
            if wanted is None or entry.outcome.kind not in EFFECTIVE:
                # Nobody was answered; or a part lost, and each part that did is in a conflict.
                for op in entry.ops:
                    if op.collection in SUMMED and op.kind in (Kind.ADD, Kind.ADD_CREATE):
                        added = json.loads(op.payload).get(SUMMED[op.collection], 0)
                        sums[op.collection, op.key] += added
                continue
            for asked in wanted.ops:
                _total(asked, sums, members, marks)
        yield from self._differences(sums, members, marks)

    def _lost_additions(self) -> Iterator[str]:
        """What was to be added and is not, is in a conflict."""
        for wanted, entry in self.taken:
            if entry.outcome.kind not in (OutcomeKind.SUPERSEDED, OutcomeKind.REJECTED):
                continue
            kept = {(op.collection, op.key) for op in entry.ops if op.kind in ADDITIONS}
            kept |= {(row.collection, row.key) for row in self._rows[entry.revision]}
            for op in wanted.ops:
                adds = op.WhichOneof("action") in ("add", "set_add")
                if adds and (op.collection, op.key) not in kept and not self._refused(entry):
                    yield f"commit {wanted.number} at {entry.revision} adds nothing to {op.key}"

    def _refused(self, entry: Entry) -> bool:
        """Whether the commit was rejected as a whole, with a conflict that says so."""
        return entry.outcome.kind is OutcomeKind.REJECTED and bool(self._rows[entry.revision])

    def _differences(
        self, sums: Counter[Name], members: dict[Name, set[int]],
        marks: dict[tuple[Name, str], set[int]],
    ) -> Iterator[str]:  # fmt: skip
        for name, total in sums.items():
            if self._value(name).get(SUMMED[name[0]], 0) != total:
                yield f"{self.space.name}: {name} is {self._value(name)}, added were {total}"
        for name, elements in members.items():
            missing = elements - set(self._value(name).get(GATHERED[name[0]], ()))
            if missing:
                yield f"{self.space.name}: {name} lacks {sorted(missing)[:5]}"
        for (name, part), values in marks.items():
            reached = REACHED[name[0]][part](values)
            stands = self._value(name).get(part)
            if stands is None or REACHED[name[0]][part](reached, stands) != stands:
                yield f"{self.space.name}: {name} {part} is {stands}, reached was {reached}"

    def _value(self, name: Name) -> dict[str, Any]:
        _, deleted, value = self.space.records.get(name, (0, True, b""))
        found: dict[str, Any] = {} if deleted else json.loads(value)
        return found


def _total(
    op: record.Op, sums: Counter[Name], members: dict[Name, set[int]],
    marks: dict[tuple[Name, str], set[int]],
) -> None:  # fmt: skip
    name, action = (op.collection, op.key), op.WhichOneof("action")
    if action == "add" and op.collection in SUMMED:
        sums[name] += op.add.deltas[SUMMED[op.collection]]
    elif action == "set_add" and op.collection in GATHERED:
        members[name] |= {json.loads(element) for element in op.set_add.elements}
    elif action == "patch" and op.collection in REACHED:
        for part, value in json.loads(op.patch.json).items():
            if part in REACHED[op.collection]:
                marks[name, part].add(value)


def _written(op: LogOp) -> Iterator[tuple[str, Any]]:
    """The values of fields that an operation of the log sets."""
    if op.kind in VALUED:
        yield from json.loads(op.payload).items()


VALUED = frozenset(
    {Kind.CREATE, Kind.REPLACE, Kind.PATCH, Kind.MAX, Kind.MAX_CREATE, Kind.MIN, Kind.MIN_CREATE}
)


def _holds(row: ConflictRow, part: str, value: Any) -> bool:
    """Whether a row keeps the value: as that of the field, or in the operations on the record."""
    if row.theirs_value is None:
        return False
    kept = json.loads(row.theirs_value)
    if row.field:
        return row.field == part and _text(kept) == _text(value)
    if not isinstance(kept, dict):
        return False
    payloads = [kept, *(one.get("payload") for one in kept.get("operations", ()))]
    return any(
        isinstance(one, dict) and part in one and _text(one[part]) == _text(value)
        for one in payloads
    )


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
