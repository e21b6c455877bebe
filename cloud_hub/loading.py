"""What a group of submissions touches, read before it is decided.

Set-based: one statement for each kind of thing, none per submission; and only
what is not kept from the transaction before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from cloud_hub import (
    change_log,
    commit_ids,
    digests,
    epochs,
    heads,
    origins,
    policies,
    records,
    texts,
)
from cloud_hub.hot import Kept
from cloud_hub.judging import Loaded
from cloud_hub.records import StoredRecord
from cloud_hub.repeats import First
from cloud_hub.storage.driver import Transaction
from cloud_hub.submissions import Pushed, Requested, Submission, Voided
from sync.batch import Batch
from sync.context import parts_of
from sync.position import Lineage, Position, UnknownEpoch
from sync.reduce import SpliceFields
from sync.resolve import Key
from sync.splicing import SPLICES
from sync.texts import Texts


class Loader:
    """Loads for one group. `own` is the hub process's origin; `kept` what is valid already."""

    def __init__(
        self, tx: Transaction, head: heads.Head, group: Sequence[Submission], own: bytes,
        kept: Kept | None,
    ) -> None:  # fmt: skip
        self._tx, self._head, self._group, self._own = tx, head, group, own
        self._space = head.space
        self._kept = kept
        self.stored: dict[Key, StoredRecord] = {}

    async def load(self) -> tuple[Kept, Loaded]:
        """What is kept from now on, and what the group is decided on."""
        kept = self._kept or await self._begin()
        numbers = await self._numbers(kept)
        await self._load_records(kept)
        names = origins.both_names({number: origin for origin, number in numbers.items()})
        missing = self._origins_of_parts() - names.keys()
        if missing:
            names.update(await origins.names(self._tx, missing))
        loaded = Loaded(
            space=self._space,
            lineage=kept.lineage,
            revision=self._head.revision,
            stamp_max=self._head.stamp_max,
            marks=kept.marks,
            records={key: stored.working for key, stored in self.stored.items()},
            policies=kept.policies,
            names=names,
            numbers=numbers,
            floors=await self._floors(self._head, kept.lineage),
            firsts=await self._firsts(),
            texts=await self._texts(kept.lineage, numbers),
        )
        return kept, loaded

    async def _begin(self) -> Kept:
        """Nothing is kept: read what every group needs."""
        tx, space = self._tx, self._space
        return Kept(
            self._head.revision,
            self._head.token,
            await epochs.load(tx),
            await policies.load(tx, space),
            await digests.of_space(tx, space),
        )

    async def _numbers(self, kept: Kept) -> dict[bytes, int]:
        """The numbers of the group's origins, new ones registered; their watermarks are kept."""
        wanted = self._origins()
        fresh = {origin: edge for origin, edge in wanted.items() if origin not in kept.numbers}
        if fresh:
            numbers = await origins.register(self._tx, fresh)
            marks = await origins.watermarks(self._tx, self._space, numbers.values())
            kept.numbers.update(numbers)
            kept.marks.update(marks)
        return {origin: kept.numbers[origin] for origin in wanted}

    async def _load_records(self, kept: Kept) -> None:
        wanted = self._keys()
        known = ((key, kept.record(key)) for key in wanted)
        self.stored = {key: record for key, record in known if record is not None}
        missing = wanted - self.stored.keys()
        if missing:
            self.stored.update(await records.load(self._tx, self._space, missing))

    def _origins(self) -> dict[bytes, str]:
        found = {self._own: ""}  # it may have to write because of what the others wrote
        for submission in self._group:
            match submission:
                case Pushed(batch=batch, edge=edge):
                    for extra in batch.extras.values():
                        found.update((origin, found.get(origin, "")) for origin, _ in extra.seen)
                        for wanted in extra.preconditions:
                            if wanted.version is not None and wanted.version.origin:
                                found.setdefault(wanted.version.origin, "")
                    found[batch.origin] = edge
                case Voided(gone=gone):
                    found.setdefault(gone.origin, "")
                case Requested():
                    seen = submission.context.seen if submission.context else ()
                    found.update((origin, found.get(origin, "")) for origin, _ in seen)
        return found

    def _keys(self) -> set[Key]:
        keys: set[Key] = set()
        for submission in self._group:
            match submission:
                case Pushed(batch=batch):
                    keys.update(zip(batch.collections, batch.keys, strict=True))
                    for extra in batch.extras.values():
                        keys.update((p.collection, p.key) for p in extra.preconditions)
                case Requested(requests=requests, preconditions=preconditions):
                    keys.update((r.collection, r.key) for r in requests)
                    keys.update((p.collection, p.key) for p in preconditions)
                case Voided():
                    pass
        return keys

    def _origins_of_parts(self) -> set[int]:
        """Origins that a tie may be broken by, or that a loser may be told to have lost by."""
        found: set[int] = set()
        for stored in self.stored.values():
            record = stored.working
            found.update((record.origin, record.whole.origin))
            if record.gone is not None:
                found.add(record.gone.origin)
            for stamped in record.parts.values():
                found.update(part.origin for part in parts_of(stamped))
        return found

    async def _floors(self, head: heads.Head, lineage: Lineage) -> dict[int, int]:
        """The greatest stamp at or below each base of the group."""
        bases = {0} | self._bases(lineage)
        below = {base for base in bases if 0 < base < head.revision}
        floors = dict.fromkeys((base for base in bases if base >= head.revision), head.stamp_max)
        floors[0] = 0
        if not below:
            return floors
        marks = await change_log.stamps_below(self._tx, self._space, below)
        for base in below:
            mark = marks.get(base)
            floors[base] = mark.stamp if mark else 0
            if mark is None or mark.revision != base:
                floors[base] = max(floors[base], await self._stamp_within(base))
        return floors

    async def _texts(self, lineage: Lineage, numbers: Mapping[bytes, int]) -> Texts:
        """What splices of the group have to be placed beside."""
        bases: dict[Key, int] = {}

        def note(key: Key, base: Position) -> None:
            here = _effective(lineage, base)
            bases[key] = min(here, bases.get(key, here))

        for submission in self._group:
            if isinstance(submission, Pushed):
                batch = submission.batch
                for index, op in _splices(batch):
                    base = Position(batch.base_epoch, self._space, batch.bases[index])
                    note((batch.collections[op], batch.keys[op]), base)
            elif isinstance(submission, Requested) and submission.context is not None:
                for request in submission.requests:
                    if isinstance(request, SpliceFields):
                        note((request.collection, request.key), submission.context.base)
        if not bases:
            return Texts()
        revisions = {key: one.working.revision for key, one in self.stored.items()}
        return await texts.load(self._tx, self._space, bases, revisions, numbers.values())

    def _bases(self, lineage: Lineage) -> set[int]:
        found: set[int] = set()
        for submission in self._group:
            if isinstance(submission, Pushed):
                batch = submission.batch
                for base in set(batch.bases):
                    found.add(_effective(lineage, Position(batch.base_epoch, self._space, base)))
            elif isinstance(submission, Requested) and submission.context is not None:
                found.add(_effective(lineage, submission.context.base))
        return found

    async def _stamp_within(self, base: int) -> int:
        """The greatest stamp of the row that holds `base`, up to it."""
        row = await change_log.at(self._tx, self._space, base)
        if row is None:
            return 0
        stamps = row.decided(self._space).stamps
        return max(stamps[: base - row.first_revision + 1])

    async def _firsts(self) -> dict[bytes, First]:
        """Where commit ids of the group, as far as clients chose them, were decided first."""
        wanted: set[bytes] = set()
        for submission in self._group:
            match submission:
                case Pushed(batch=batch):
                    wanted.update(
                        batch.commit_ids[i] for i, e in batch.extras.items() if e.retryable
                    )
                case Requested(commit_id=commit_id, retryable=True):
                    wanted.add(commit_id)
                case _:
                    pass
        if not wanted:
            return {}
        found: dict[bytes, First] = {}
        for commit_id, revision in (await commit_ids.lookup(self._tx, self._space, wanted)).items():
            row = await change_log.at(self._tx, self._space, revision)
            if row is not None:
                index = revision - row.first_revision
                outcome = row.decided(self._space).outcome(index)
                found[commit_id] = First(row.origin_id, row.first_seq + index, revision, outcome)
        return found


def _splices(batch: Batch) -> Iterator[tuple[int, int]]:
    """The splices of a batch: places of their commits and of the operations."""
    starts: list[int] = []
    for op, kind in enumerate(batch.kinds):
        if kind in SPLICES:
            starts = starts or batch.op_starts()
            yield bisect_right(starts, op) - 1, op


def _effective(lineage: Lineage, position: Position) -> int:
    try:
        return lineage.effective(position)
    except UnknownEpoch:
        return 0
