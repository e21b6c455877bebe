"""The rows of a hub's log, as they lie in either of its databases, as lines of a history.

Invariant: values are found by replaying the log (replay.py), never by asking the hub for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cloud_hub.change_log import LogRow
from sync.commit import Extra, Kind, Outcome
from tests.blackbox.history import Decided
from tests.blackbox.replay import Replay

Name = tuple[str, str]

LOG = """
SELECT first_revision, last_revision, epoch, origin, id, first_seq, last_seq, token, stamp_max,
       decided_ms, header, block, block_bytes, codec
FROM log JOIN origins ON origins.number = log.origin WHERE space = ? ORDER BY first_revision
"""


@dataclass(frozen=True, slots=True)
class LogOp:
    """One operation as it took effect."""

    kind: int
    collection: str
    key: str
    payload: bytes
    previous: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One decided commit."""

    revision: int
    epoch: int
    origin: bytes
    seq: int
    commit_id: bytes
    base_epoch: int
    base: int
    seen: int
    claimed: int
    stamp: int
    outcome: Outcome
    extra: Extra
    ops: tuple[LogOp, ...]


def entries_of(row: LogRow, space: str) -> list[Entry]:
    """The commits of a row of the log."""
    decided = row.decided(space)
    batch, starts = decided.batch, decided.batch.op_starts()
    return [
        Entry(
            decided.first_revision + i, decided.epoch, batch.origin, batch.first_seq + i,
            batch.commit_ids[i], batch.base_epoch, batch.bases[i], batch.seens[i],
            batch.claimed[i], decided.stamps[i], decided.outcome(i), batch.extra(i),
            tuple(
                LogOp(batch.kinds[op], batch.collections[op], batch.keys[op], batch.payloads[op],
                      decided.previous[op])
                for op in range(starts[i], starts[i + 1])
            ),
        )
        for i in range(len(batch))
    ]  # fmt: skip


def decided_lines(space: str, entries: Iterable[Entry]) -> list[Decided]:
    """The log of a space as lines of a history."""
    entries = list(entries)
    replay = Replay(entries)
    return [
        Decided(
            space=space,
            place=(entry.epoch, entry.revision),
            origin=entry.origin.hex(),
            seq=entry.seq,
            commit_id=entry.commit_id.hex() if any(entry.commit_id) else "",
            outcome=entry.outcome.kind.name.lower(),
            base=(entry.base_epoch, entry.base),
            seen={
                **({entry.origin.hex(): entry.seen} if entry.seen else {}),
                **{origin.hex(): seq for origin, seq in entry.extra.seen},
            },
            writes={
                f"{op.collection}/{op.key}": replay.at((op.collection, op.key), entry.revision)
                for op in entry.ops
                if op.kind != Kind.NONE
            },
        )
        for entry in entries
    ]
