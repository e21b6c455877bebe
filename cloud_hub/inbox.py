"""Conflicts that wait for a person, put into the inbox by the transaction that finds them.

The hub writes the entry as a commit of its own, right after the commit that is in conflict: so an
edge learns of it as of everything else, and what it says is explained by the log. Here the entries
are made, from the conflict and from what the log still says of its authors and their base; and here
answers find their way back into the log of conflicts.

Invariant: an open row in the log of conflicts has an entry, written in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cloud_hub import conflicts
from cloud_hub.conflicts import Logged
from cloud_hub.deciding import Entry as DecidedEntry
from cloud_hub.own_commits import Draft
from cloud_hub.records import StoredRecord
from cloud_hub.storage.driver import Transaction
from cloud_hub.timeline import Timeline
from holdfast.host.door import Refusal
from sync import inbox
from sync.body import Body
from sync.clock import SUSPECT_SKEW_MS
from sync.commit import Actor
from sync.context import Part
from sync.inbox import Entry, Side, State
from sync.names import inbox_of, is_inbox
from sync.resolve import Key

EXPLAINED = 32
"""Entries of one transaction for which the log is asked who wrote before, and on what; the rest go
without. It is read while the head of the space is locked."""

BASE_STEPS = 200
"""Changes of a record followed back to its base, for the same reason: some milliseconds."""


async def opened(
    tx: Transaction, epoch: int, entries: Sequence[DecidedEntry], hub_ms: int,
    names: Mapping[int, bytes], before: Mapping[Key, tuple[int, Body | None]],
) -> list[Draft]:  # fmt: skip
    """The entries of what the group has opened. `before` holds the revisions that its records had
    before it."""
    found: list[Draft] = []
    for entry in entries:
        waiting = [
            row
            for row in conflicts.logged(entry.decided, entry.conflicts, hub_ms)
            if row.state == State.OPEN
        ]
        for row in waiting:
            base, actor, claimed = None, None, 0
            if len(found) < EXPLAINED:
                history = History(tx, row.space, entries)
                newest = before.get((row.conflict.collection, row.conflict.key), (0, None))[0]
                base = await history.base_of(row, newest)
                actor, claimed = await history.author_of(row.conflict.ours)
            made = entry_of(row, epoch, names, base, actor, claimed)
            cause = entry.decided.batch.commit_ids[row.conflict.index]
            place = inbox_of(row.conflict.collection)
            found.append(Draft(place, row.id.hex(), inbox.encode(made), cause))
    return found


async def save_answers(tx: Transaction, space: str, changed: Mapping[Key, StoredRecord]) -> None:
    """What persons said in this transaction, into the log of conflicts."""
    answers = []
    for (collection, key), stored in changed.items():
        if is_inbox(collection) and not stored.working.deleted:
            entry = inbox.decode(key, stored.working.value)
            if entry.answer is not None:
                answers.append((entry.id, entry.state, inbox.answer_text(entry.answer)))
    if answers:
        await conflicts.answer(tx, space, answers)


def entry_of(
    row: Logged, epoch: int, names: Mapping[int, bytes], base: bytes | None,
    ours_actor: Actor | None, ours_claimed: int,
) -> Entry:  # fmt: skip
    """A row of the log of conflicts as an entry."""
    conflict, ours = row.conflict, None
    if conflict.ours is not None:
        ours = _side(conflict.ours, names, ours_actor, ours_claimed, conflict.ours_value)
    return Entry(
        id=row.id,
        collection=conflict.collection,
        key=conflict.key,
        field=conflict.field,
        kind=conflict.kind,
        algorithm=conflict.algorithm,
        winner=conflict.winner,
        reason=conflict.reason,
        detail=conflict.detail,
        state=State(row.state),
        revision=conflict.revision,
        epoch=epoch,
        left=conflict.left,
        op=conflict.op,
        ours=ours,
        theirs=_side(conflict.theirs, names, row.actor, row.claimed, conflict.theirs_value),
        base=base,
        result=conflict.result,
        rule_version=conflict.version,
        clock_suspect=abs(row.skew_ms) > SUSPECT_SKEW_MS,
        answer=inbox.answer_from(row.answer) if row.answer else None,
    )


def _side(
    part: Part, names: Mapping[int, bytes], actor: Actor | None, claimed: int, value: bytes | None
) -> Side:
    return Side(names.get(part.origin, b""), part.seq, part.stamp, claimed, actor, value)


class History:
    """What the log says of a conflict. `fresh` are batches that are not in the database yet."""

    def __init__(self, tx: Transaction, space: str, fresh: Iterable[DecidedEntry] = ()) -> None:
        self._timeline = Timeline(tx, space)
        self._fresh = [entry.decided for entry in fresh]

    async def author_of(self, part: Part | None) -> tuple[Actor | None, int]:
        """Who wrote a part, and the time that was claimed; (None, 0) if nobody knows."""
        if part is None:
            return None, 0
        for decided in self._fresh:
            if decided.first_revision <= part.revision <= decided.last_revision:
                index = part.revision - decided.first_revision
                return decided.batch.actors[index], decided.batch.claimed[index]
        try:
            return await self._timeline.author(part.revision)
        except Refusal:
            return None, 0

    async def base_of(self, row: Logged, newest: int) -> bytes | None:
        """The value that the author had seen of the field or record, whose newest revision in the
        database is `newest`; None if there was none, or if it lies too far back."""
        conflict = row.conflict
        if not conflict.base or not newest:
            return None
        name = (conflict.collection, conflict.key)
        try:
            step = await self._timeline.value_at(*name, newest, conflict.base, BASE_STEPS)
            if step is None:
                return None
            value = await self._timeline.rebuild(*name, step.revision, BASE_STEPS)
        except Refusal:
            return None
        return inbox.part_of(value.value if value else None, conflict.field)
