"""The log of conflicts: what was written concurrently, which version stands, and the other one.

Rows are written in the transaction that decides. A conflict's id is made of its commit's name and
its number within the commit, so the same decision has the same id wherever it is found.

Invariant: nothing that lost is forgotten: both values are in the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from cloud_hub.storage.driver import Row, Transaction
from sync.context import Part
from sync.position import ID_BYTES
from sync.working import Conflict

NEWEST = (2**63 - 1, 0)
"""Where a list of conflicts, newest first, begins."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A conflict in the log. `idx` numbers the conflicts of one revision; `skew_ms` is the claimed
    time of their commit less the hub's; `state` is auto, open, resolved or undone. The batch is not
    kept, so the conflict's own `index` is 0 when it is read."""

    space: str
    idx: int
    id: bytes
    conflict: Conflict
    state: str
    skew_ms: int

    @property
    def place(self) -> tuple[int, int]:
        """Its place in the list: (revision, idx)."""
        return self.conflict.revision, self.idx


@dataclass(frozen=True, slots=True)
class Counts:
    """Conflicts of a space: all, and those that wait for a person."""

    total: int
    open: int


def logged(
    space: str, origin: bytes, conflicts: Sequence[Conflict], skews_ms: Sequence[int]
) -> list[Logged]:
    """Rows for the conflicts of one batch; `origin` is the batch's, `skews_ms` its commits'."""
    numbers: dict[int, int] = {}
    rows = []
    for conflict in conflicts:
        idx = numbers.get(conflict.revision, 0)
        numbers[conflict.revision] = idx + 1
        name = origin + conflict.theirs.seq.to_bytes(8, "big") + idx.to_bytes(4, "big")
        id_ = blake2b(name + space.encode(), digest_size=ID_BYTES).digest()
        skew_ms = skews_ms[conflict.index]
        rows.append(Logged(space, idx, id_, conflict, conflict.state, skew_ms))
    return rows


async def insert(tx: Transaction, space: str, rows: Sequence[Logged]) -> None:
    """Adds rows of one space."""
    values = [_values(row) for row in rows]
    await tx.write_rows("conflicts_insert", list(zip(*values, strict=True)) or ((),), space)


async def page(
    tx: Transaction, space: str, before: tuple[int, int], limit: int, *, open_only: bool = False
) -> list[Logged]:
    """Up to `limit` rows, newest first, beginning before a place (NEWEST for the first page)."""
    query = "conflicts_list_open" if open_only else "conflicts_list"
    return [_logged(row) for row in await tx.fetch(query, space, *before, limit)]


async def count(tx: Transaction, space: str) -> Counts:
    """How many conflicts a space has. Costs a pass over their index."""
    return Counts(*(await tx.fetch("conflicts_count", space))[0])


def _values(row: Logged) -> tuple[int | str | bytes | None, ...]:
    conflict = row.conflict
    ours = conflict.ours or (None, None, None, None)
    return (
        conflict.revision, row.idx, row.id, conflict.collection, conflict.key,
        conflict.field.encode(), conflict.kind, *ours, conflict.ours_value,
        *conflict.theirs[1:], conflict.theirs_value, conflict.winner, conflict.algorithm,
        row.state, conflict.reason, row.skew_ms,
    )  # fmt: skip


def _logged(row: Row) -> Logged:
    space, revision, idx, id_, collection, key, field, kind, *rest = row
    ours, ours_value, theirs, theirs_value = rest[:4], rest[4], rest[5:8], rest[8]
    winner, algorithm, state, reason, skew_ms = rest[9:]
    conflict = Conflict(
        index=0,
        revision=revision,
        collection=collection,
        key=key,
        field=field.decode(),
        kind=kind,
        ours=None if ours[0] is None else Part(*ours),
        ours_value=ours_value,
        theirs=Part(revision, *theirs),
        theirs_value=theirs_value,
        winner=winner,
        algorithm=algorithm,
        reason=reason,
    )
    return Logged(space, idx, id_, conflict, state, skew_ms)
