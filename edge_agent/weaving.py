"""Weaves in the transactions that change the view: when own splices come, and when the hub's do.

A splice of the outbox is on the revision that its author's view stood at. A replica that begins
anew comes by that revision later: until then the splice waits, and is in the view from then on,
woven as it was before.

Invariant: a pending splice is in a weave exactly if it does not wait.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_agent.states import SQL, Name, Overlaid, hub_records
from edge_agent.woven import SPLICES, Weaves, tag
from sync import splices
from sync.batch import Batch, Decided
from sync.commit import Kind
from sync.position import Cursor

__all__ = ["SPLICES", "Followed", "extend", "show", "waits_for"]


def waits_for(batch: Batch, index: int, op: int, cursor: Cursor) -> int:
    """The revision that a splice waits for before it can be shown; 0 if it need not."""
    if batch.kinds[op] not in SPLICES or batch.bases[index] <= cursor.revision:
        return 0
    return batch.bases[index]


def extend(connection: sqlite3.Connection, cursor: Cursor, ordinal: int, batch: Batch) -> bool:
    """Weaves what was just put on top. False if a splice is on an earlier revision than the
    cursor's, and its record has been written since."""
    weaves = Weaves(connection, batch.space)
    weaves.load(zip(batch.collections, batch.keys, strict=True))
    if SPLICES.isdisjoint(batch.kinds) and not any(weaves.found.values()):
        return True
    fits, starts = True, batch.op_starts()
    for index in range(len(batch)):
        if batch.extra(index).strong:
            continue  # seen undecided by nobody
        for op in range(starts[index], starts[index + 1]):
            record, kind = (batch.collections[op], batch.keys[op]), batch.kinds[op]
            if kind not in SPLICES:
                weaves.wrote(record, kind, batch.payloads[op])
            elif not waits_for(batch, index, op, cursor):
                name = tag(ordinal, batch.first_seq + index, op - starts[index])
                weaves.write(record, splices.decode(batch.payloads[op]), name)
                fits = fits and not _passed(connection, batch, index, record, cursor)
    weaves.save()
    return fits


def _passed(
    connection: sqlite3.Connection, batch: Batch, index: int, record: Name, cursor: Cursor
) -> bool:
    if batch.bases[index] >= cursor.revision:
        return False
    found = hub_records(connection, batch.space, [record]).get(record)
    return found is not None and found.revision > batch.bases[index]


def show(
    connection: sqlite3.Connection, space: str, names: set[Name], over: dict[Name, Overlaid]
) -> None:
    """Puts the pending splices of these records into their views."""
    weaves = Weaves(connection, space)
    weaves.load(names)
    for name in names:
        after = over[name]
        if not after.deleted:
            after.value = weaves.shown(name, after.value)


@dataclass(slots=True)
class Followed:
    """The weaves of a space while decided commits are applied. `moved` collects the records whose
    views are to be made anew."""

    connection: sqlite3.Connection
    space: str
    moved: set[Name] = field(default_factory=set)
    _weaves: Weaves = field(init=False)
    _waiting: list[tuple[int, int, int, str, str, int, bytes, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._weaves = Weaves(self.connection, self.space)
        rows = self.connection.execute(SQL["waiting_pending"], (self.space,)).fetchall()
        self._waiting = [(*row[:7], row[10]) for row in rows]

    def load(self, names: set[Name]) -> None:
        """Loads what is woven of these records, and of those that wait."""
        self._weaves.load(names | {(row[3], row[4]) for row in self._waiting})

    @property
    def idle(self) -> bool:
        """Whether nothing is woven or waits, so that nobody need follow."""
        return not self._waiting and not any(self._weaves.found.values())

    def reach(self, revision: int) -> None:
        """The replica stands at a revision: what waited for it is shown from now on."""
        while self._waiting and self._waiting[0][7] <= revision:
            ordinal, seq, idx, collection, key, _, payload, _ = self._waiting.pop(0)
            record = (collection, key)
            self._weaves.write(record, splices.decode(payload), tag(ordinal, seq, idx))
            self.connection.execute(SQL["wake_pending"], (self.space, ordinal, seq, idx))
            self.moved.add(record)

    def follow(self, decided: Decided, op: int, name: int) -> None:
        """An operation is decided; `name` is the own pending one that it would be, 0 for others'.

        What is not pending here, or does not show, is as if others had done it: it shows now.
        """
        batch = decided.batch
        record, kind = (batch.collections[op], batch.keys[op]), batch.kinds[op]
        if not self._weaves.of(record):
            return
        effect = splices.decode(batch.payloads[op]) if kind in SPLICES else None
        if name and self._weaves.knows(record, name):
            if not self._weaves.decided(record, name, effect, stands=kind != Kind.NONE):
                self.moved.add(record)
        elif kind != Kind.NONE:
            self.moved.add(record)
            if effect is not None:
                self._weaves.foreign(record, effect)
            else:
                self._weaves.replaced(record, kind, batch.payloads[op])

    def gone(self, ordinal: int, rows: Iterable[tuple[int, int, str, str, int]]) -> None:
        """Own operations are decided, and nothing of them is replicated here."""
        for seq, idx, collection, key, _ in rows:
            record, name = (collection, key), tag(ordinal, seq, idx)
            self._weaves.load([record])
            if self._weaves.knows(record, name):
                self._weaves.decided(record, name, None, stands=False)

    def save(self) -> None:
        """Writes the weaves, within the transaction that applied the decisions."""
        self._weaves.save()
