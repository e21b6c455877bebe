"""What a record was, and how it came to be: walks the log backwards.

Every change in the log names the revision of the record before it, so a record's
history is a chain, and no index of changes has to be written with them. The
value at a revision is found by going back to a change that holds the whole
record and applying what followed.

Invariant: a chain ends at 0, and each step goes to a lower revision.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeAlias

from cloud_hub import change_log
from cloud_hub.storage.driver import Transaction
from holdfast.host.door import Refusal
from sync.apply import apply_to
from sync.batch import Decided
from sync.body import Body
from sync.commit import Actor, Extra, Kind, Op, OpId, Outcome

MAX_STEPS = 10_000
"""Changes looked at for one answer: about a second."""

KEPT_ROWS = 8
"""Rows kept decoded while walking: neighbours in a chain are often in one row."""

_WHOLE = frozenset({Kind.CREATE, Kind.REPLACE})


@dataclass(frozen=True, slots=True)
class Step:
    """One commit in the history of a record, with its operations on this record."""

    revision: int
    previous: int
    op_id: OpId
    outcome: Outcome
    actor: Actor
    stamp: int
    claimed: int
    ops: tuple[Op, ...]
    extra: Extra


Rows: TypeAlias = OrderedDict[int, Decided]
"""Rows of one space, unpacked, by their first revisions."""


class Timeline:
    """Walks within one transaction. `rows` are kept from an earlier walk."""

    def __init__(self, tx: Transaction, space: str, rows: Rows | None = None) -> None:
        self._tx, self._space = tx, space
        self._rows: Rows = OrderedDict() if rows is None else rows

    async def steps(self, collection: str, key: str, revision: int) -> AsyncIterator[Step]:
        """The chain of a record from a revision that changed it, newest first."""
        while revision:
            decided = await self._decided(revision)
            step = _step(decided, revision, collection, key)
            yield step
            assert step.previous < revision, (collection, key, revision)
            revision = step.previous

    async def author(self, revision: int) -> tuple[Actor, int]:
        """Who wrote a commit, and the time that was claimed. Raises Refusal COMPACTED."""
        decided = await self._decided(revision)
        index = revision - decided.first_revision
        return decided.batch.actors[index], decided.batch.claimed[index]

    async def value_at(
        self, collection: str, key: str, newest: int, at: int, max_steps: int = 0
    ) -> Step | None:
        """The change that made the record what it was at revision `at`, None if it was not yet.
        Looks at `max_steps` changes at most, zero: MAX_STEPS.

        Raises Refusal HISTORY_TOO_LONG.
        """
        count = 0
        async for step in self.steps(collection, key, newest):
            if step.revision <= at:
                return step
            count += 1
            if count > (max_steps or MAX_STEPS):
                raise _too_long(collection, key)
        return None

    async def rebuild(
        self, collection: str, key: str, revision: int, max_steps: int = 0
    ) -> Body | None:
        """The live value that the change at `revision` left; None if it deleted the record.

        Raises Refusal HISTORY_TOO_LONG.
        """
        pending: list[Op] = []
        count = 0
        async for step in self.steps(collection, key, revision):
            pending.extend(reversed(step.ops))
            if any(op.kind in _WHOLE or op.kind == Kind.DELETE for op in step.ops):
                break
            count += 1
            if count > (max_steps or MAX_STEPS):
                raise _too_long(collection, key)
        live: Body | None = None
        for op in reversed(pending):
            live = apply_to(live, op.kind, op.payload)
        return live

    async def _decided(self, revision: int) -> Decided:
        for decided in self._rows.values():
            if decided.first_revision <= revision <= decided.last_revision:
                return decided
        row = await change_log.at(self._tx, self._space, revision)
        if row is None:
            raise Refusal("COMPACTED", f"revision {revision} is no longer in the log")
        decided = row.decided(self._space)
        self._rows[decided.first_revision] = decided
        if len(self._rows) > KEPT_ROWS:
            self._rows.popitem(last=False)
        return decided


def _step(decided: Decided, revision: int, collection: str, key: str) -> Step:
    batch, index = decided.batch, revision - decided.first_revision
    start = sum(batch.op_counts[:index])
    mine = [
        i
        for i in range(start, start + batch.op_counts[index])
        if batch.keys[i] == key and batch.collections[i] == collection and batch.kinds[i]
    ]
    if not mine:  # the chain never leads there, but somebody may have made up a page token
        raise Refusal(
            "PAGE_TOKEN_INVALID", f"revision {revision} did not change {collection}/{key}"
        )
    return Step(
        revision=revision,
        previous=decided.previous[mine[0]],
        op_id=OpId(batch.origin, batch.first_seq + index, batch.commit_ids[index]),
        outcome=decided.outcome(index),
        actor=batch.actors[index],
        stamp=decided.stamps[index],
        claimed=batch.claimed[index],
        ops=tuple(batch.op(i) for i in mine),
        extra=batch.extra(index),
    )


def _too_long(collection: str, key: str) -> Refusal:
    message = f"{collection}/{key} has more than {MAX_STEPS} changes since then"
    return Refusal("HISTORY_TOO_LONG", message)
