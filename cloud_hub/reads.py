"""Reading the hub's state: each answer from one consistent snapshot.

Invariant: position and records of an answer are of one moment, and no page
looks at more records than it was allowed to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloud_hub import change_log, commit_ids, epochs, heads, origins, records, settled
from cloud_hub.change_log import LogRow
from cloud_hub.records import StoredRecord
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.timeline import Step, Timeline
from holdfast.host.door import Refusal
from sync import messages as m
from sync.batch import Decided
from sync.commit import Actor, OpId, Outcome, OutcomeKind
from sync.filters import Filter
from sync.position import Lineage, Position
from sync.resolve import Key
from sync.room import SCANNED_BYTES, Room

STEP = 100
"""Records fetched at once for a page: of the largest, some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record as it is, or was."""

    collection: str
    key: str
    value: bytes
    deleted: bool
    revision: int
    origin: bytes
    seq: int
    stamp: int
    actor: Actor


@dataclass(frozen=True, slots=True)
class Page:
    """Records of a list. `next_key` is where to go on; empty at the end."""

    position: Position
    records: tuple[Found, ...]
    next_key: str
    scanned: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a commit; no position: it is not known here."""

    op_id: OpId
    outcome: Outcome
    position: Position | None


class Reads:
    """All raise StorageError, and Refusal SPACE_STOPPED while it is not known which history goes
    on; those that say so, other Refusals."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def get(
        self, space: str, keys: Sequence[Key], as_of: int = 0
    ) -> tuple[Position, list[Found]]:
        """Live records in the order asked for; absent and deleted ones are left out.

        Raises Refusal FUTURE_REVISION, HISTORY_TOO_LONG, COMPACTED.
        """

        async def work(tx: Transaction) -> tuple[Position, list[Found]]:
            now = await _position(tx, space)
            if as_of > now.revision:
                raise Refusal("FUTURE_REVISION", f"{space} is at revision {now.revision}")
            stored = await records.load(tx, space, dict.fromkeys(keys))
            if as_of:
                at = Position(now.epoch, space, as_of)
                return at, await _as_of(tx, space, keys, stored, as_of)
            names = await origins.names(tx, {s.working.origin for s in stored.values()})
            found = [_found(key, stored[key], names) for key in keys if key in stored]
            return now, [record for record in found if not record.deleted]

        return await self._driver.read(work)

    async def page(
        self, space: str, collection: str, prefix: str, after: str, size: int, scan: int,
        wanted: Filter, *, descending: bool = False,
    ) -> Page:  # fmt: skip
        """A page of live records in the order of their keys, or from the greatest down."""
        load = records.page_back if descending else records.page

        async def work(tx: Transaction) -> Page:
            position = await _position(tx, space)
            chosen: list[tuple[str, StoredRecord]] = []
            room, tried, scanned, at = Room(), Room(SCANNED_BYTES), 0, after
            full = more = False
            while not full:
                rows = await load(tx, space, collection, prefix, at, STEP)
                for key, stored in rows:
                    working = stored.working
                    full = len(chosen) == size or scanned == scan
                    if full or not (wanted.is_empty or tried.takes(len(working.value))):
                        full = more = True
                        break
                    if not working.deleted and wanted.matches(key, working.value):
                        if not room.takes(len(working.value)):
                            full = more = True
                            break
                        chosen.append((key, stored))
                    scanned, at = scanned + 1, key
                full = full or len(rows) < STEP
            names = await origins.names(tx, {stored.working.origin for _, stored in chosen})
            found = tuple(_found((collection, key), stored, names) for key, stored in chosen)
            return Page(position, found, at if more else "", scanned)

        return await self._driver.read(work)

    async def history(
        self, space: str, collection: str, key: str, before: int, size: int
    ) -> tuple[list[Step], int]:
        """Commits that changed a record, newest first, beginning at revision `before` (0: the
        newest), and where to go on (0: the end)."""

        async def work(tx: Transaction) -> tuple[list[Step], int]:
            stored = await records.get(tx, space, collection, key)
            if stored is None:
                return [], 0
            steps: list[Step] = []
            start = before or stored.working.revision
            room = Room()
            async for step in Timeline(tx, space).steps(collection, key, start):
                if not room.takes(sum(len(op.payload) for op in step.ops)):
                    return steps, step.revision
                steps.append(step)
                if len(steps) == size:
                    return steps, step.previous
            return steps, 0

        return await self._driver.read(work)

    async def fates(self, space: str, op_ids: Sequence[OpId]) -> list[Fate]:
        """What became of commits, by origin and seq or by a commit id that a client chose."""

        async def work(tx: Transaction) -> list[Fate]:
            await _position(tx, space)
            numbers = await origins.numbers(tx, {o.origin for o in op_ids if o.origin})
            chosen = await commit_ids.lookup(
                tx, space, {o.commit_id for o in op_ids if not o.origin}
            )
            fates = _Fates(tx, space, numbers, chosen)
            return [await fates.of(op_id) for op_id in op_ids]

        return await self._driver.read(work)

    async def decided_through(self, space: str, wanted: Sequence[bytes]) -> dict[bytes, int]:
        """The newest decided seq of origins."""

        async def work(tx: Transaction) -> dict[bytes, int]:
            await _position(tx, space)
            numbers = await origins.numbers(tx, wanted)
            marks = await origins.watermarks(tx, space, numbers.values())
            return {o: marks[n].seq if n in marks else 0 for o, n in numbers.items()}

        return await self._driver.read(work)

    async def settled(
        self, space: str, pending: Mapping[bytes, int], since: int
    ) -> dict[bytes, m.DecidedAt]:
        """When the commits that a session saw undecided were decided, by origin."""

        async def work(tx: Transaction) -> dict[bytes, m.DecidedAt]:
            await _position(tx, space)
            asked = [m.AskDecided(space, origin, seq, since) for origin, seq in pending.items()]
            return {one.origin: await settled.decided_at(tx, one) for one in asked}

        return await self._driver.read(work)

    async def position(self, space: str) -> Position:
        """The head of a space."""

        async def work(tx: Transaction) -> Position:
            return await _position(tx, space)

        return await self._driver.read(work)

    async def standing(self, space: str) -> tuple[Position, Lineage]:
        """The head of a space, and all epochs."""

        async def work(tx: Transaction) -> tuple[Position, Lineage]:
            return await _position(tx, space), await epochs.load(tx)

        return await self._driver.read(work)


async def _position(tx: Transaction, space: str) -> Position:
    head = await heads.read(tx, space)
    if head is not None:
        return Position(head.going().epoch, space, head.revision)
    return Position((await epochs.load(tx)).present.ordinal, space, 0)


async def _as_of(
    tx: Transaction, space: str, keys: Sequence[Key], stored: dict[Key, StoredRecord], at: int
) -> list[Found]:
    timeline, found = Timeline(tx, space), []
    for key in keys:
        if key not in stored:
            continue
        step = await timeline.value_at(*key, stored[key].working.revision, at)
        value = await timeline.rebuild(*key, step.revision) if step else None
        if step is not None and value is not None:
            found.append(
                Found(*key, value.value, False, step.revision, step.op_id.origin, step.op_id.seq,
                      step.stamp, step.actor)
            )  # fmt: skip
    return found


def _found(key: Key, stored: StoredRecord, names: dict[int, bytes]) -> Found:
    record = stored.working
    return Found(
        *key, record.value, record.deleted, record.revision, names[record.origin], record.seq,
        record.stamp, stored.actor,
    )  # fmt: skip


@dataclass(slots=True)
class _Fates:
    """Looks up what became of commits, within one transaction. The last row of each origin is kept
    unpacked: whoever asks for many commits asks for neighbours."""

    tx: Transaction
    space: str
    numbers: dict[bytes, int]
    chosen: dict[bytes, int]
    _kept: dict[int, Decided] = field(default_factory=dict)

    async def of(self, op_id: OpId) -> Fate:
        decided, index = None, 0
        if op_id.origin:
            decided = await self._of_seq(self.numbers.get(op_id.origin, 0), op_id.seq)
            index = op_id.seq - decided.batch.first_seq if decided else 0
        elif op_id.commit_id in self.chosen:
            revision = self.chosen[op_id.commit_id]
            decided = await self._at(revision)
            index = revision - decided.first_revision if decided else 0
        if decided is None:
            return Fate(op_id, Outcome(OutcomeKind.PENDING, "OUTCOME_NOT_RETAINED"), None)
        batch = decided.batch
        name = OpId(batch.origin, batch.first_seq + index, batch.commit_ids[index])
        if op_id.commit_id and any(name.commit_id) and op_id.commit_id != name.commit_id:
            # A copy's commit stands there; the one that was asked for has another name by now.
            return Fate(op_id, Outcome(OutcomeKind.PENDING, "ORIGIN_COPIED"), None)
        position = Position(decided.epoch, self.space, decided.first_revision + index)
        return Fate(name, decided.outcome(index), position)

    async def _of_seq(self, number: int, seq: int) -> Decided | None:
        kept = self._kept.get(number)
        if kept is not None and kept.batch.first_seq <= seq <= kept.batch.last_seq:
            return kept
        return self._keep(await change_log.of_seq(self.tx, self.space, number, seq))

    async def _at(self, revision: int) -> Decided | None:
        for kept in self._kept.values():
            if kept.first_revision <= revision <= kept.last_revision:
                return kept
        return self._keep(await change_log.at(self.tx, self.space, revision))

    def _keep(self, row: LogRow | None) -> Decided | None:
        if row is None:
            return None
        decided = self._kept[row.origin] = row.decided(self.space)
        return decided
