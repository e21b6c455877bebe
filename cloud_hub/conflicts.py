"""The log of conflicts: what was written concurrently, which version stands, and the other one.

Rows are written in the transaction that decides. A conflict's id begins with its revision, so it is
found without an index of ids, and goes on with what its commit's name and its number within the
commit make of it: a history that was lost has no ids in common with the one that took its place.

Invariant: nothing that lost is forgotten: both values are in the row. What a person said later is
added; nothing else of a row ever changes but its state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from cloud_hub.storage.driver import Row, Transaction
from sync.batch import Decided
from sync.clock import unix_ms_of
from sync.commit import Actor, ActorKind
from sync.context import Part
from sync.position import ID_BYTES
from sync.working import OPEN_KINDS, Conflict

REVISION_BYTES = 8
"""Of an id, in front: the revision."""

NEWEST = (2**63 - 1, 0)
"""Where a list of conflicts, newest first, begins."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A conflict in the log. `idx` numbers the conflicts of one revision; `actor` wrote their
    commit, which claimed a time that less the hub's is `skew_ms`; `state` is auto, open, resolved
    or undone; `answer` what a person said (see sync.inbox), empty before. The batch is not kept, so
    the conflict's own `index` is 0 when it is read."""

    space: str
    idx: int
    id: bytes
    conflict: Conflict
    state: str
    skew_ms: int
    actor: Actor
    claimed: int
    answer: bytes = b""

    @property
    def place(self) -> tuple[int, int]:
        """Its place in the list: (revision, idx)."""
        return self.conflict.revision, self.idx


@dataclass(frozen=True, slots=True)
class Counts:
    """Conflicts of a space: all, and those that wait for a person."""

    total: int
    open: int


def logged(decided: Decided, conflicts: Sequence[Conflict], hub_ms: int) -> list[Logged]:
    """Rows for the conflicts of one batch; `hub_ms` is the hub's wall clock when it decided."""
    batch = decided.batch
    numbers: dict[int, int] = {}
    rows = []
    for conflict in conflicts:
        idx = numbers.get(conflict.revision, 0)
        numbers[conflict.revision] = idx + 1
        claimed = batch.claimed[conflict.index]
        rows.append(
            Logged(
                batch.space, idx, _id(batch.space, batch.origin, conflict, idx), conflict,
                conflict.state, unix_ms_of(claimed) - hub_ms, batch.actors[conflict.index], claimed,
            )
        )  # fmt: skip
    return rows


def _id(space: str, origin: bytes, conflict: Conflict, idx: int) -> bytes:
    name = origin + conflict.theirs.seq.to_bytes(8, "big") + idx.to_bytes(4, "big")
    rest = blake2b(name + space.encode(), digest_size=ID_BYTES - REVISION_BYTES).digest()
    return conflict.revision.to_bytes(REVISION_BYTES, "big") + rest


async def insert(tx: Transaction, space: str, rows: Sequence[Logged]) -> None:
    """Adds rows of one space."""
    values = [_values(row) for row in rows]
    await tx.write_rows("conflicts_insert", list(zip(*values, strict=True)) or ((),), space)


async def of_id(tx: Transaction, space: str, id_: bytes) -> Logged | None:
    """One conflict; None if there is none."""
    revision = int.from_bytes(id_[:REVISION_BYTES], "big")
    if len(id_) != ID_BYTES or revision > NEWEST[0]:
        return None
    rows = await tx.fetch("conflicts_at", space, revision)
    return next((row for row in map(_logged, rows) if row.id == id_), None)


async def answer(tx: Transaction, space: str, answers: Sequence[tuple[bytes, str, bytes]]) -> None:
    """Notes states and answers, by id."""
    for id_, state, said in answers:
        revision = int.from_bytes(id_[:REVISION_BYTES], "big")
        await tx.execute("conflicts_answer", space, revision, id_, state, said)


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
        row.state, conflict.reason, row.skew_ms, conflict.op, conflict.base, conflict.left,
        row.actor.id, int(row.actor.kind), row.claimed, conflict.result,
        conflict.version, conflict.detail,
    )  # fmt: skip


def _logged(row: Row) -> Logged:
    space, revision, idx, id_, collection, key, field, kind, *rest = row
    ours, ours_value, theirs, theirs_value = rest[:4], rest[4], rest[5:8], rest[8]
    winner, algorithm, state, reason, skew_ms, op, base, left = rest[9:17]
    actor_id, actor_kind, claimed, answer, result, version, detail = rest[17:]
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
        op=op,
        base=base,
        left=left,
        result=result,
        version=version,
        detail=detail,
        waits=state != "auto" and kind not in OPEN_KINDS,
    )
    actor = Actor(actor_id, ActorKind(actor_kind))
    return Logged(space, idx, id_, conflict, state, skew_ms, actor, claimed, answer or b"")
