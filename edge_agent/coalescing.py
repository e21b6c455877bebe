"""Emptying commits that a later one overwrites, where a policy allows it: for telemetry.

While a device is away its records are written again and again, and only the last value is wanted. A
commit that was never offered to the hub, has no preconditions, and put nothing but records that a
new one puts wholly, is emptied: it keeps its name, and its outcome says which commit took its
place. The new one is then reduced against the state that the emptied one was written on, so that
nothing of it is lost.

Invariant: the view after the new commit is the same whether or not another was emptied.
"""

from __future__ import annotations

import sqlite3

from edge_agent import overlay
from edge_agent.outbox import Outbox
from edge_agent.outbox_rows import DamagedRow, Limits
from edge_agent.requests import Write
from edge_agent.space_view import SpaceView
from edge_agent.states import HubRecord, Name, Overlaid
from sync.batch import Batch
from sync.reduce import Put

MAX_PENDING = 16
"""Pending operations on a record beyond which emptying one is not worth replaying the others."""

_ONE = Limits(commits=1, payload_bytes=1)


def superfluous(
    view_connection: sqlite3.Connection,
    outbox_connection: sqlite3.Connection,
    outbox: Outbox,
    view: SpaceView,
    write: Write,
) -> tuple[list[int], dict[Name, Overlaid]]:
    """Seqs of the commits that a write makes superfluous, and its records as if those had not
    been."""
    names = {(one.collection, one.key) for one in write.requests}
    if not _may_coalesce(view, write) or not names.isdisjoint(view.touched):
        return [], {}
    ordinal = outbox.origin.ordinal
    candidates = _candidates(view_connection, outbox, view, names)
    victims = [seq for seq in candidates if _only_of(outbox_connection, outbox, view, seq, names)]
    if not victims:
        return [], {}
    gone = frozenset((ordinal, seq) for seq in victims)
    found = overlay.replayed(view_connection, view.standing.space, names, without=gone)
    before = {
        name: found.get(name) or _as_decided(view.hub.get(name))
        for name in names
        if name in view.over
    }
    return victims, before


def _may_coalesce(view: SpaceView, write: Write) -> bool:
    if write.context is not None or write.preconditions:
        return False
    return all(
        isinstance(one, Put) and view.policies.of(one.collection).coalesce for one in write.requests
    )


def _candidates(
    connection: sqlite3.Connection, outbox: Outbox, view: SpaceView, names: set[Name]
) -> list[int]:
    """Commits that were not offered, and are the newest pending one of some of the records."""
    space, ordinal = view.standing.space, outbox.origin.ordinal
    offered = outbox.offered.get((space, ordinal), 0)
    seqs = set()
    for name in names:
        pending = view.over.get(name)
        if pending is None or pending.ordinal != ordinal or pending.seq <= offered:
            continue
        if overlay.depth(connection, space, name) > MAX_PENDING:
            return []
        seqs.add(pending.seq)
    return sorted(seqs)


def _only_of(
    connection: sqlite3.Connection, outbox: Outbox, view: SpaceView, seq: int, names: set[Name]
) -> bool:
    """Whether a commit is about nothing but these records, and the newest pending one of each."""
    space = view.standing.space
    try:
        found = outbox.read(connection, space, outbox.origin.id, seq - 1, _ONE)
    except DamagedRow:
        return False
    if not isinstance(found, Batch) or found.extra(0).preconditions:
        return False
    theirs = set(zip(found.collections, found.keys, strict=True))
    newest = all(name in view.over and view.over[name].seq == seq for name in theirs)
    return bool(theirs) and theirs <= names and newest


def _as_decided(record: HubRecord | None) -> Overlaid:
    """The record without anything pending, in the shape of one with."""
    if record is None:
        return Overlaid(0, 0, 0, "", 0, True, None)
    return Overlaid(
        0, 0, record.stamp, record.actor_id, record.actor_kind, record.deleted, record.value
    )
