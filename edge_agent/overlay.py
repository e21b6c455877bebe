"""The view of an edge's own undecided commits: the hub's records with pending operations on top.

A record without pending operations has no row here. One with them has the value that the hub's
record gets when its pending operations are applied in order, by the same function that the hub's
decision uses. An operation that does not fit any more has no effect in the view; the hub will say
what becomes of it.

Invariant: for every record, overlay = pending operations applied to the hub's record, in the order
(ordinal, seq, idx); both tables change in the transaction that changes either.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_agent import standing as standings
from edge_agent import statements, weaving
from edge_agent.standing import SQL, Standing
from edge_agent.states import (
    HubRecord,
    Name,
    Overlaid,
    by_collection,
    hub_records,
    live_value,
    overlaid,
)
from edge_agent.weaving import SPLICES
from sync.apply import apply
from sync.batch import Batch
from sync.commit import Kind
from sync.position import Cursor
from sync.values import InvalidValue


@dataclass(frozen=True, slots=True)
class Prepared:
    """The records of a batch after it, computed from the view as it was at `cursor` with `seen`
    pending."""

    cursor: Cursor
    seen: tuple[tuple[bytes, int], ...]
    records: Mapping[Name, Overlaid]

    def fits(self, standing: Standing) -> bool:
        """Whether the view is still the one they were computed from."""
        return (self.cursor, self.seen) == (standing.cursor, standing.seen)


@dataclass(frozen=True, slots=True)
class Writer:
    """The commit that an operation belongs to."""

    ordinal: int
    seq: int
    claimed: int
    actor_id: str
    actor_kind: int


def step(
    over: dict[Name, Overlaid],
    hub: Mapping[Name, HubRecord],
    name: Name,
    kind: int,
    payload: bytes,
    by: Writer,
) -> Overlaid:
    """Applies one pending operation to `over`, and returns the record after it. A splice is one of
    the document as it is in `over`."""
    live = live_value(hub, over, name)
    try:
        value = apply(kind, payload, live)
    except InvalidValue:
        value = live
    last = value
    if value is None:
        before = over.get(name) or hub.get(name)
        last = before.value if before is not None else None
    after = over[name] = Overlaid(
        by.ordinal, by.seq, by.claimed, by.actor_id, by.actor_kind, value is None, last
    )
    return after


def extend(
    connection: sqlite3.Connection,
    ordinal: int,
    batch: Batch,
    emptied: Sequence[int] = (),
    prepared: Prepared | None = None,
) -> bool:
    """Puts commits of the outbox on top of the view, in a transaction of the caller.

    Strong commits among them are left out. `emptied` are seqs of earlier commits that these
    overwrite. `prepared` is used if the cursor still stands where it was computed. What the view
    has already, or the hub has decided meanwhile, is skipped. False: a splice was written on an
    earlier revision than the cursor's, and others have edited since; only a replica that begins
    anew can show it.
    """
    standing = standings.load(connection, batch.space)
    own, fits = standing.owned(ordinal, batch.origin), True
    skip = max(own.decided_seq, own.overlay_seq) - batch.first_seq + 1
    if skip < len(batch):
        fresh = batch if skip <= 0 else batch.slice(skip, len(batch))
        for seq in emptied:
            connection.execute(SQL["empty_pending"], (batch.space, ordinal, seq))
        statements.insert(
            connection, SQL["add_pending"], _pending_rows(fresh, ordinal, standing.cursor)
        )
        fits = weaving.extend(connection, standing.cursor, ordinal, fresh)
        if skip <= 0 and prepared is not None and prepared.fits(standing):
            after = prepared.records
        else:
            after = _on_top(connection, ordinal, fresh, from_start=bool(emptied))
        _write(connection, batch.space, after)
    own.overlay_seq = max(own.overlay_seq, _newest_shown(batch))
    standings.save(connection, standing)
    return fits


def settle(
    connection: sqlite3.Connection, space: str, ordinal: int, seq: int
) -> list[tuple[int, int, str, str, int]]:
    """Takes operations that the hub has decided out of the pending ones, and returns them as (seq,
    idx, collection, key, kind). `refresh` is to follow."""
    return connection.execute(SQL["settle_pending"], (space, ordinal, seq)).fetchall()


def refresh(
    connection: sqlite3.Connection,
    space: str,
    changed: Iterable[Name],
    settled: Iterable[Name] = (),
) -> None:
    """Makes the view true again after the hub's records `changed` otherwise than by deciding own
    commits as they were written; `settled` have lost pending operations in that way, so their
    values stand."""
    changed = set(changed)
    if changed:
        _write(connection, space, replayed(connection, space, changed))
    for collection, keys in by_collection(changed.union(settled)).items():
        connection.execute(SQL["drop_overlay"], (space, collection, json.dumps(keys)))


def replayed(
    connection: sqlite3.Connection,
    space: str,
    names: Iterable[Name],
    without: frozenset[tuple[int, int]] = frozenset(),
) -> dict[Name, Overlaid]:
    """The named records that have pending operations, made anew from the hub's. `without` leaves
    out commits (ordinal, seq)."""
    names = set(names)
    hub: dict[Name, HubRecord] | None = None
    over: dict[Name, Overlaid] = {}
    spliced: set[Name] = set()
    for collection, keys in by_collection(names).items():
        rows = connection.execute(SQL["pending_of_records"], (space, collection, json.dumps(keys)))
        for key, kind, payload, *by, _ in rows:
            name = (collection, key)
            if hub is None:
                hub = hub_records(connection, space, names)
            if (by[0], by[1]) in without:
                continue
            if kind in SPLICES:  # what it does by now is in the weave
                spliced.add(name)
                kind, payload = _MARKS[kind]  # noqa: PLW2901 - marks the record as written
            step(over, hub, name, kind, payload, Writer(*by))
    if spliced:
        weaving.show(connection, space, spliced, over)
    return over


_MARKS = {Kind.SPLICE: (Kind.NONE, b""), Kind.SPLICE_CREATE: (Kind.SPLICE_CREATE, b"{}")}
"""In the place of splices: the first leaves a record as it is, the other makes it be."""


def depth(connection: sqlite3.Connection, space: str, name: Name) -> int:
    """How many operations are pending on a record."""
    (count,) = connection.execute(SQL["pending_depth"], (space, *name)).fetchone()
    return int(count)


def clear(connection: sqlite3.Connection, space: str, strangers: Iterable[int] = ()) -> None:
    """Forgets the view of a space, to be put together again from the outbox; `strangers` are
    ordinals that mean nothing any more."""
    for ordinal in strangers:
        connection.execute(SQL["forget_stranger"], (space, ordinal))
    connection.execute(SQL["forget_overlay"], (space,))
    connection.execute(SQL["forget_pending"], (space,))
    connection.execute(SQL["forget_weaves"], (space,))
    standing = standings.load(connection, space)
    for own in standing.own.values():
        own.overlay_seq = min(own.overlay_seq, own.decided_seq)
    standings.save(connection, standing)


def _on_top(
    connection: sqlite3.Connection, ordinal: int, batch: Batch, *, from_start: bool
) -> dict[Name, Overlaid]:
    names = set(zip(batch.collections, batch.keys, strict=True))
    if from_start:
        return replayed(connection, batch.space, names)
    hub = hub_records(connection, batch.space, names)
    over = overlaid(connection, batch.space, names)
    if not SPLICES.isdisjoint(batch.kinds):
        return replayed(connection, batch.space, names)
    starts = batch.op_starts()
    for index, actor in enumerate(batch.actors):
        if batch.extra(index).strong:
            continue
        seq, claimed = batch.first_seq + index, batch.claimed[index]
        by = Writer(ordinal, seq, claimed, actor.id, int(actor.kind))
        for op in range(starts[index], starts[index + 1]):
            name = (batch.collections[op], batch.keys[op])
            step(over, hub, name, batch.kinds[op], batch.payloads[op], by)
    return over


def _pending_rows(batch: Batch, ordinal: int, cursor: Cursor) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    starts = batch.op_starts()
    for index, actor in enumerate(batch.actors):
        if batch.extra(index).strong:
            continue
        seq, first = batch.first_seq + index, starts[index]
        by = (batch.claimed[index], actor.id, int(actor.kind))
        rows += [
            (batch.space, ordinal, seq, op - first, batch.collections[op], batch.keys[op],
             batch.kinds[op], batch.payloads[op], *by,
             weaving.waits_for(batch, index, op, cursor))
            for op in range(first, starts[index + 1])
        ]  # fmt: skip
    return rows


def _newest_shown(batch: Batch) -> int:
    """The newest seq that the view contains; a strong commit is not shown while it is undecided."""
    shown = (i for i in reversed(range(len(batch))) if not batch.extra(i).strong)
    return batch.first_seq + next(shown, -batch.first_seq)


def _write(connection: sqlite3.Connection, space: str, records: Mapping[Name, Overlaid]) -> None:
    rows = [
        (space, *name, r.ordinal, r.seq, r.claimed, r.actor_id, r.actor_kind, r.deleted, r.value)
        for name, r in records.items()
    ]
    statements.insert(connection, SQL["put_overlay"], rows)
