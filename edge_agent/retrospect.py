"""Looking back from a replica: the history of a record, and what became of commits.

Both are answered from the tail as far as it reaches; beyond it the hub knows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent import standing as standings
from edge_agent import states, tail
from edge_agent.database import EdgeFiles
from edge_agent.outbox import Outbox
from edge_agent.tail import Kept
from holdfast.host.refusal import Refusal
from sync.commit import NO_EXTRA, Actor, ActorKind, Extra, Kind, Op, OpId, Outcome, OutcomeKind
from sync.position import Position
from sync.room import Room

MAX_ENTRIES = 1_000
DEFAULT_ENTRIES = 100
MAX_BATCHES = 200
"""Batches unpacked for one page of history: each costs up to some milliseconds."""

PENDING = Outcome(OutcomeKind.PENDING)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a commit. `position` is None while it is pending. `outcome` is None if this
    edge does not know, and `unknown` says why."""

    op_id: OpId
    outcome: Outcome | None
    position: Position | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One commit in the history of a record, with its operations on that record."""

    decision: Decision
    actor: Actor
    stamp: int
    claimed: int
    ops: tuple[Op, ...]
    previous: int
    extra: Extra


@dataclass(frozen=True, slots=True)
class History:
    """A page, newest first. Go on with `next_revision` unless it is zero; `complete` is false where
    the rest is only at the hub."""

    entries: tuple[Entry, ...]
    next_revision: int
    complete: bool


async def history(
    files: EdgeFiles, space: str, collection: str, key: str, page_size: int = 0, before: int = 0
) -> History:
    """A page of a record's history, from its newest decided commit, or from the revision `before`
    that the page before named. Raises Refusal PAGE_SIZE_INVALID."""
    if not 0 <= page_size <= MAX_ENTRIES:
        raise Refusal("PAGE_SIZE_INVALID")
    return await files.reader.snapshot(
        lambda c: _history(c, space, (collection, key), page_size or DEFAULT_ENTRIES, before)
    )


async def pending(files: EdgeFiles, space: str, name: states.Name) -> tuple[Entry, ...]:
    """What this edge has done to a record and the hub has not decided, newest first; without the
    ids of its commits, and without what more there is of them."""
    return await files.reader.snapshot(lambda c: _pending(c, space, name))


def _pending(connection: sqlite3.Connection, space: str, name: states.Name) -> tuple[Entry, ...]:
    own = standings.load(connection, space).own
    place = (space, name[0], json.dumps([name[1]]))
    found: dict[tuple[int, int], Entry] = {}
    for _, kind, payload, ordinal, seq, claimed, actor_id, actor_kind, _ in connection.execute(
        standings.SQL["pending_of_records"], place
    ):
        op_id = OpId(own[ordinal].origin, seq, b"")
        ops: tuple[Op, ...] = (Op(Kind(kind), *name, payload),)
        if (ordinal, seq) in found:
            ops = found[ordinal, seq].ops + ops
        actor = Actor(actor_id, ActorKind(actor_kind))
        decision = Decision(op_id, PENDING)
        found[ordinal, seq] = Entry(decision, actor, 0, claimed, ops, 0, NO_EXTRA)
    return tuple(reversed(found.values()))


def _history(
    connection: sqlite3.Connection, space: str, name: states.Name, size: int, before: int
) -> History:
    revision = before
    if not revision:
        record = states.hub_records(connection, space, [name]).get(name)
        if record is None:
            return History((), 0, complete=True)  # never decided, as at the hub
        revision = record.revision
    entries: list[Entry] = []
    kept: Kept | None = None
    batches, room = 0, Room()
    while revision and len(entries) < size:
        if kept is None or revision < kept.decided.first_revision:
            batches += 1
            if batches > MAX_BATCHES:
                break
            kept = tail.at(connection, space, revision)
            if kept is None:
                return History(tuple(entries), 0, complete=False)
        entry = _entry(kept, space, name, revision)
        if not room.takes(sum(len(op.payload) for op in entry.ops)):
            break
        entries.append(entry)
        revision = entry.previous
    return History(tuple(entries), revision, complete=True)


def _entry(kept: Kept, space: str, name: states.Name, revision: int) -> Entry:
    decided, batch = kept.decided, kept.decided.batch
    index = revision - decided.first_revision
    start = sum(batch.op_counts[:index])
    places = [
        op
        for op in range(start, start + batch.op_counts[index])
        if (batch.collections[op], batch.keys[op]) == name and batch.kinds[op] != Kind.NONE
    ]
    before = [decided.previous[op] for op in places if decided.previous[op] != revision]
    return Entry(
        _decision(kept, space, index), batch.actors[index], decided.stamps[index],
        batch.claimed[index], tuple(batch.op(op) for op in places), before[0] if before else 0,
        batch.extra(index),
    )  # fmt: skip


def _decision(kept: Kept, space: str, index: int) -> Decision:
    decided, batch = kept.decided, kept.decided.batch
    op_id = OpId(batch.origin, batch.first_seq + index, batch.commit_ids[index])
    position = Position(decided.epoch, space, decided.first_revision + index)
    return Decision(op_id, decided.outcome(index), position)


async def outcomes(files: EdgeFiles, space: str, op_ids: Sequence[OpId]) -> tuple[Decision, ...]:
    """What became of commits, in the order asked. Origin and seq, or a commit id that the client
    chose (seq zero), name a commit; old names are followed."""
    named = await files.in_outbox(lambda c: [_named(c, files.outbox, space, one) for one in op_ids])
    found = await files.reader.snapshot(lambda c: _outcomes(c, files.outbox, space, named))
    emptied = [d for d in found if d.outcome is PENDING]
    if not emptied:
        return tuple(found)
    by_place = await files.in_outbox(
        lambda c: [_waiting(c, files.outbox, space, d) for d in emptied]
    )
    changed = dict(zip(map(id, emptied), by_place, strict=True))
    return tuple(changed.get(id(d), d) for d in found)


def _named(connection: sqlite3.Connection, outbox: Outbox, space: str, asked: OpId) -> OpId:
    """The present name of a commit."""
    if asked.seq == 0 and asked.commit_id:
        found = outbox.find_id(connection, space, asked.commit_id)
        if found is None:
            return asked
        return OpId(outbox.id_of(found[0]), found[1], asked.commit_id)
    origin, seq = outbox.present_name(space, asked.origin, asked.seq)
    return OpId(origin, seq, asked.commit_id)


def _outcomes(
    connection: sqlite3.Connection, outbox: Outbox, space: str, named: Sequence[OpId]
) -> list[Decision]:
    # Whoever asks for many commits asks for neighbours: the last batch of each origin is kept.
    kept: dict[bytes, Kept] = {}
    return [_outcome(connection, outbox, space, one, kept) for one in named]


def _outcome(
    connection: sqlite3.Connection, outbox: Outbox, space: str, named: OpId,
    last: dict[bytes, Kept],
) -> Decision:  # fmt: skip
    if named.seq == 0:
        return Decision(named, None, unknown="COMMIT_UNKNOWN")
    ordinal = outbox.ordinals.get(named.origin)
    own = standings.load(connection, space).own.get(ordinal or 0)
    decided_seq = own.decided_seq if own is not None else 0
    if ordinal is not None and named.seq > decided_seq:
        if named.seq > outbox.counter(space, ordinal).last_seq:
            return Decision(named, None, unknown="COMMIT_UNKNOWN")
        return Decision(named, PENDING)
    kept = last.get(named.origin)
    if kept is None or not 0 <= named.seq - kept.decided.batch.first_seq < len(kept.decided.batch):
        kept = tail.of_seq(connection, space, named.origin, named.seq)
    if kept is None:
        reason = "COMMIT_UNKNOWN" if ordinal is None else "OUTCOME_NOT_RETAINED"
        return Decision(named, None, unknown=reason)
    last[named.origin] = kept
    decision = _decision(kept, space, named.seq - kept.decided.batch.first_seq)
    theirs = decision.op_id.commit_id
    if named.commit_id and any(theirs) and named.commit_id != theirs:  # a lost one has none
        return Decision(named, None, unknown="ORIGIN_COPIED")
    return decision


def _waiting(
    connection: sqlite3.Connection, outbox: Outbox, space: str, decision: Decision
) -> Decision:
    """What is known of a pending commit before the hub has said it: emptied, or void."""
    named = decision.op_id
    ordinal = outbox.ordinals[named.origin]
    gone = outbox.void_at(space, ordinal, named.seq)
    if gone is not None:
        return Decision(named, Outcome(OutcomeKind.LOST, gone.reason))
    commit = outbox.peek(connection, space, named.origin, named.seq)
    if commit is None:
        return decision
    if named.commit_id and named.commit_id != commit.id:
        return Decision(named, None, unknown="COMMIT_UNKNOWN")
    op_id = OpId(named.origin, named.seq, commit.id)
    if commit.extra.coalesced_by:
        by_seq = commit.extra.coalesced_by
        return Decision(op_id, Outcome(OutcomeKind.COALESCED, "", named.origin, by_seq))
    return Decision(op_id, PENDING)
