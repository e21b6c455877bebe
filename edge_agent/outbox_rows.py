"""Commits as rows of the outbox, and rows as batches again.

A batch is made from the columns of its rows, with no object per change. Every row carries a CRC of
all its columns: disks return other bytes than they were given, and an outbox that believed them
would send a commit that nobody wrote.

Invariant: what is read has been written so, or DamagedRow says where it was not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from zlib import crc32

from edge_agent import extras
from sync.batch import MAX_OPS, Batch
from sync.commit import NO_EXTRA, Actor, ActorKind, Extra

Row = tuple[Any, ...]
"""The columns of the table, in their order."""

SEQ, IDX, COMMIT_ID, BASE_EPOCH, BASE, SEEN, CLAIMED, ACTOR_ID, ACTOR_KIND = range(2, 11)
EXTRA, OPS, COLLECTION, KEY, KIND, PAYLOAD, CHECKSUM = range(11, 18)

ROW_BYTES = 128
"""What a row takes beside its key and payload, roughly: for the caps, which are about disks."""


_NO_HEAD: Row = (None,) * 9
"""What rows after the first of a commit have in the columns that belong to the commit."""


class DamagedRow(Exception):
    """A commit of the outbox is not as it was written, or is gone. It is never skipped in silence:
    whoever meets it declares the seq void, by name, and raises an alarm."""

    reason = "OUTBOX_DAMAGED"

    def __init__(self, space: str, ordinal: int, seq: int) -> None:
        super().__init__(f"commit {seq} of the space {space} in the outbox is damaged")
        self.space, self.ordinal, self.seq = space, ordinal, seq


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the outbox to read at once."""

    commits: int
    payload_bytes: int
    """Keys and extras count as well."""


def checksum(row: Sequence[Any]) -> int:
    """CRC-32 over a row's columns, all but the checksum itself."""
    (
        space, ordinal, seq, idx, commit_id, base_epoch, base, seen, claimed, actor_id, actor_kind,
        extra, ops, collection, key, kind, payload,
    ) = row[:CHECKSUM]  # fmt: skip
    text = f"{space}\n{ordinal}\n{seq}\n{idx}\n{collection}\n{key}\n{kind}\n{payload is None}"
    if commit_id is not None:
        text += (
            f"\n{base_epoch}\n{base}\n{seen}\n{claimed}\n{actor_id}\n{actor_kind}\n{extra}\n{ops}"
        )
    elif row[COMMIT_ID:COLLECTION] != _NO_HEAD:
        return -1  # only the first row of a commit has anything there: this one is damaged
    return crc32(payload or b"", crc32(commit_id or b"", crc32(text.encode())))


def rows_of(batch: Batch, ordinal: int) -> list[Row]:
    """The rows of a batch."""
    rows: list[Row] = []
    space, op = batch.space, 0
    for index, count in enumerate(batch.op_counts):
        seq, actor = batch.first_seq + index, batch.actors[index]
        head: Row = (
            batch.commit_ids[index], batch.base_epoch, batch.bases[index], batch.seens[index],
            batch.claimed[index], actor.id, int(actor.kind), extras.encode(batch.extra(index)),
            count,
        )  # fmt: skip
        if not count:
            rows.append(sealed((space, ordinal, seq, 0, *head, None, None, None, None)))
        for idx in range(count):
            rows.append(
                sealed(
                    (space, ordinal, seq, idx, *(_NO_HEAD if idx else head),
                     batch.collections[op], batch.keys[op], batch.kinds[op], batch.payloads[op])
                )
            )  # fmt: skip
            op += 1
    return rows


def sealed(row: Row) -> Row:
    """The row with its checksum."""
    return (*row, checksum(row))


def emptied(head: Row, by_seq: int) -> Row:
    """What is left of a commit that a later one overwrites wholly: its name."""
    extra = extras.decode(head[EXTRA])
    left = Extra(
        seen=extra.seen, correlation_id=extra.correlation_id, causation_id=extra.causation_id,
        retryable=extra.retryable, coalesced_by=by_seq,
    )  # fmt: skip
    text = extras.encode(left)
    return sealed((*head[:EXTRA], text, 0, None, None, None, None))


def size_of(rows: Iterable[Row]) -> int:
    """What rows count for against the caps, in bytes."""
    return sum(ROW_BYTES + len(row[PAYLOAD] or b"") + len(row[KEY] or "") for row in rows)


def commits_in(cursor: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows of one commit after the other. A damaged one raises DamagedRow in its turn."""
    commit: list[Row] = []
    for row in cursor:
        if commit and row[SEQ] != commit[0][SEQ]:
            yield _checked(commit)
            commit = []
        commit.append(row)
    if commit:
        yield _checked(commit)


def _checked(commit: list[Row]) -> list[Row]:
    head = commit[0]
    whole = head[IDX] == 0 and len(commit) == max(1, head[OPS] or 0)
    if not whole or any(row[CHECKSUM] != checksum(row) for row in commit):
        raise DamagedRow(head[0], head[1], head[SEQ])
    return commit


def gather(cursor: sqlite3.Cursor, first_seq: int, limits: Limits) -> list[list[Row]]:
    """The commits from `first_seq` on that fit one batch: without a gap, bases of one epoch, within
    the limits (at least one). Raises DamagedRow only for the first."""
    found: list[list[Row]] = []
    ops = payload_bytes = 0
    try:
        rows = cursor.fetchmany(limits.commits + 1)
        if 1 < len(rows) <= limits.commits and _single(rows, first_seq, limits):
            return [[row] for row in rows]
        for commit in commits_in(chain(rows, cursor)):
            head = commit[0]
            if head[SEQ] != first_seq + len(found):
                break
            ops += head[OPS]
            payload_bytes += sum(map(_weight, commit))
            over = ops > MAX_OPS or payload_bytes > limits.payload_bytes
            if found and (over or head[BASE_EPOCH] != found[0][0][BASE_EPOCH]):
                break
            found.append(commit)
            if len(found) == limits.commits:
                break
    except DamagedRow:
        if not found:
            raise
    finally:
        cursor.close()
    return found


def _weight(row: Row) -> int:
    """What a row adds to a block, roughly: long keys and extras fill one as payloads do."""
    key, payload, extra = row[KEY] or "", row[PAYLOAD] or b"", row[EXTRA] or ""
    return len(payload) + len(extra) + (len(key) if key.isascii() else 4 * len(key))


def _single(rows: Sequence[Row], first_seq: int, limits: Limits) -> bool:
    """Whether these, all that there are, are sound commits of one operation each that fit one
    batch: the usual case, seen by column. Otherwise a look at each commit tells what they are."""
    seqs, idxs, epochs, ops, payloads = (
        [row[column] for row in rows] for column in (SEQ, IDX, BASE_EPOCH, OPS, PAYLOAD)
    )
    return (
        seqs == list(range(first_seq, first_seq + len(rows)))
        and not any(idxs)
        and ops.count(1) == len(rows)
        and epochs.count(epochs[0]) == len(rows)
        and len(rows) <= MAX_OPS
        and None not in payloads
        and sum(map(_weight, rows)) <= limits.payload_bytes
        and [row[CHECKSUM] for row in rows] == [checksum(row) for row in rows]
    )


def batch_of_rows(space: str, origin: bytes, commits: Sequence[Sequence[Row]]) -> Batch:
    """The batch of consecutive commits."""
    heads = list(zip(*(commit[0] for commit in commits), strict=True))
    rows = [row for commit in commits for row in commit if row[KIND] is not None]
    columns = heads
    if len(rows) != len(commits) or None in heads[KIND]:
        columns = list(zip(*rows, strict=True)) if rows else [()] * (CHECKSUM + 1)
    actors = {pair: Actor(pair[0], ActorKind(pair[1])) for pair in
              set(zip(heads[ACTOR_ID], heads[ACTOR_KIND], strict=True))}  # fmt: skip
    decoded = ((i, extras.decode(text)) for i, text in enumerate(heads[EXTRA]) if text is not None)
    return Batch(
        space=space,
        origin=origin,
        first_seq=heads[SEQ][0],
        base_epoch=heads[BASE_EPOCH][0],
        commit_ids=heads[COMMIT_ID],
        bases=heads[BASE],
        seens=heads[SEEN],
        claimed=heads[CLAIMED],
        actors=tuple(
            [actors[pair] for pair in zip(heads[ACTOR_ID], heads[ACTOR_KIND], strict=True)]
        ),
        op_counts=heads[OPS],
        collections=columns[COLLECTION],
        keys=columns[KEY],
        kinds=bytes(columns[KIND]),
        payloads=columns[PAYLOAD],
        extras={i: extra for i, extra in decoded if extra != NO_EXTRA},
    )
