"""One group of submissions, in one transaction.

Lock the head, load what the group touches, decide (deciding.py), write: records,
log, conflicts, watermarks, commit ids, digests, head. Statements are set-based;
none is per change. The work may run again when the database asks for it, so it
begins from what it has read and keeps nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cloud_hub import (
    change_log,
    commit_ids,
    conflicts,
    digests,
    epochs,
    heads,
    origins,
    policies,
    records,
)
from cloud_hub.change_log import LogRow
from cloud_hub.deciding import Decider, Entry, First, Loaded
from cloud_hub.digests import NOTHING, Tally
from cloud_hub.fanout import Head
from cloud_hub.records import StoredRecord
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.submissions import Answer, Pushed, Requested, Submission, Voided
from holdfast.host.clock import Clock
from holdfast.host.door import Refusal
from sync import codec, digest
from sync.clock import unix_ms_of
from sync.commit import Actor
from sync.messages import CollectionDigest
from sync.policy import Priority
from sync.position import Lineage, Position, UnknownEpoch
from sync.resolve import Key

RANKS = {Priority.CONTROL: 0, Priority.STATE: 1, Priority.BULK: 2}
"""In which order spaces are drained."""


@dataclass(frozen=True, slots=True)
class DecidedGroup:
    """What became of a group: an answer or refusal for each, in order, and the new rows."""

    answers: tuple[Answer | Refusal, ...]
    rows: tuple[LogRow, ...]
    head: Head

    @property
    def commits(self) -> int:
        return sum(map(len, self.rows))


class Transactor:
    """Decides groups. `origin` is this hub process's own; `new_token` makes 16 random bytes."""

    def __init__(
        self,
        driver: Driver,
        clock: Clock,
        origin: bytes,
        new_token: Callable[[], bytes],
        codec_name: str,
    ) -> None:
        self._driver, self._clock = driver, clock
        self._origin, self._new_token, self._codec = origin, new_token, codec_name

    async def decide(self, space: str, group: Sequence[Submission]) -> DecidedGroup:
        """Decides a group durably. Raises StorageError; nothing is stored then."""

        async def work(tx: Transaction) -> DecidedGroup:
            return await _Run(self, tx, space, group).run()

        return await self._driver.write(work)

    @property
    def origin(self) -> bytes:
        return self._origin

    def now_ms(self) -> int:
        """The hub's wall clock."""
        return self._clock.wall_ms()

    def token(self) -> bytes:
        """A token for a head."""
        return self._new_token()

    @property
    def codec_name(self) -> str:
        return self._codec


class _Run:
    """One attempt."""

    def __init__(
        self, transactor: Transactor, tx: Transaction, space: str, group: Sequence[Submission]
    ) -> None:
        self._t, self._tx, self._space, self._group = transactor, tx, space, group
        self._now_ms = transactor.now_ms()
        self._stored: dict[Key, StoredRecord] = {}

    async def run(self) -> DecidedGroup:
        head = await heads.lock(self._tx, self._space)
        lineage = await epochs.load(self._tx)
        loaded = await self._load(head, lineage)
        decider = Decider(loaded, self._t.origin, self._now_ms)
        answers = tuple(_answer(decider, submission) for submission in self._group)
        if decider.entries:
            return await self._write(head, decider, answers)
        return DecidedGroup(answers, (), await self._published(head, loaded))

    # -- what the group touches ----------------------------------------------

    async def _load(self, head: heads.Head, lineage: Lineage) -> Loaded:
        numbers = await origins.register(self._tx, self._origins())
        marks = await origins.watermarks(self._tx, self._space, numbers.values())
        self._stored = await records.load(self._tx, self._space, self._keys())
        working = {key: stored.working for key, stored in self._stored.items()}
        in_force = await policies.load(self._tx, self._space)
        names = {number: origin for origin, number in numbers.items()}
        missing = self._origins_of_parts() - names.keys()
        if missing:
            names.update(await origins.names(self._tx, missing))
        return Loaded(
            space=self._space,
            lineage=lineage,
            revision=head.revision,
            marks=dict(marks),
            records=working,
            policies=in_force,
            names=names,
            numbers=numbers,
            floors=await self._floors(head, lineage),
            firsts=await self._firsts(),
        )

    def _origins(self) -> dict[bytes, str]:
        found: dict[bytes, str] = {}
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
                    found.setdefault(self._t.origin, "")
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
        """Origins that a tie may be broken by."""
        found: set[int] = set()
        for stored in self._stored.values():
            record = stored.working
            found.update((record.origin, record.whole.origin))
            found.update(part.origin for part in record.parts.values())
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

    # -- what became of it ---------------------------------------------------

    async def _write(
        self, before: heads.Head, decider: Decider, answers: tuple[Answer | Refusal, ...]
    ) -> DecidedGroup:
        space, tx = self._space, self._tx
        stamp_max = before.stamp_max
        token, log = self._t.token(), []
        for entry in decider.entries:
            stamp_max = max(stamp_max, *entry.decided.stamps)
            log.append(self._log_row(entry, token, stamp_max))
        head = heads.Head(space, before.epoch, decider.revision, token, stamp_max)
        await change_log.append(tx, space, log)
        changed = self._changed(before.revision, decider)
        await records.save(tx, space, changed)
        await self._save_digests(changed)
        await self._save_conflicts(decider.entries)
        await self._save_commit_ids(decider.entries)
        marks = {entry.origin: decider.loaded.marks[entry.origin] for entry in decider.entries}
        await origins.save_watermarks(tx, space, marks)
        await heads.advance(tx, head)
        return DecidedGroup(answers, tuple(log), await self._published(head, decider.loaded))

    def _log_row(self, entry: Entry, token: bytes, stamp_max: int) -> LogRow:
        decided, pushed = entry.decided, entry.edge_block
        if pushed is not None:
            block, block_bytes = pushed.push.block, pushed.push.block_bytes
            codec_name = pushed.codec
        else:
            plain = codec.encode_block(decided.batch)
            codec_name = self._t.codec_name
            block, block_bytes = codec.pack(plain, codec_name), len(plain)
        return LogRow(
            first_revision=decided.first_revision,
            last_revision=decided.last_revision,
            epoch=decided.epoch,
            origin=entry.origin,
            origin_id=decided.batch.origin,
            first_seq=decided.batch.first_seq,
            last_seq=decided.batch.last_seq,
            token=token,
            stamp_max=stamp_max,
            decided_ms=self._now_ms,
            header=codec.encode_header(decided),
            block=block,
            block_bytes=block_bytes,
            codec=codec_name,
        )

    def _changed(self, before: int, decider: Decider) -> dict[Key, StoredRecord]:
        """Records that the group wrote, with their digests and last writers."""
        firsts = [entry.decided.first_revision for entry in decider.entries]
        changed: dict[Key, StoredRecord] = {}
        for key, record in decider.loaded.records.items():
            if record.revision <= before:
                continue
            entry = decider.entries[bisect_right(firsts, record.revision) - 1].decided
            actor: Actor = entry.batch.actors[record.revision - entry.first_revision]
            value = (
                digest.EMPTY
                if record.deleted
                else digest.record_digest(self._space, *key, record.revision, record.value)
            )
            changed[key] = StoredRecord(record, value, actor)
        return changed

    async def _save_digests(self, changed: dict[Key, StoredRecord]) -> None:
        collections = {key[0] for key in changed}
        was_live = {key for key, stored in self._stored.items() if stored.digest != digest.EMPTY}
        tallies = await digests.load(self._tx, self._space, collections)
        for key, after in changed.items():
            tally = tallies.get(key[0], NOTHING)
            was = self._stored.get(key)
            removed = digest.remove(tally.digest, was.digest) if was else tally.digest
            count = tally.records - (key in was_live) + (not after.working.deleted)
            tallies[key[0]] = Tally(digest.combine(removed, after.digest), count)
        if tallies:
            await digests.save(self._tx, self._space, tallies)

    async def _save_conflicts(self, entries: Iterable[Entry]) -> None:
        rows: list[conflicts.Logged] = []
        for entry in entries:
            batch = entry.decided.batch
            if entry.conflicts:
                skews = [unix_ms_of(claimed) - self._now_ms for claimed in batch.claimed]
                rows += conflicts.logged(self._space, batch.origin, entry.conflicts, skews)
        if rows:
            await conflicts.insert(self._tx, self._space, rows)

    async def _save_commit_ids(self, entries: Iterable[Entry]) -> None:
        fresh: dict[bytes, int] = {}
        for entry in entries:
            decided = entry.decided
            for index, extra in decided.batch.extras.items():
                repeated = decided.outcome(index).by_origin and not extra.coalesced_by
                commit_id = decided.batch.commit_ids[index]
                if extra.retryable and not repeated:
                    fresh.setdefault(commit_id, decided.first_revision + index)
        known = await commit_ids.lookup(self._tx, self._space, fresh) if fresh else {}
        new = {commit_id: at for commit_id, at in fresh.items() if commit_id not in known}
        if new:
            await commit_ids.insert(self._tx, self._space, new, self._now_ms)

    async def _published(self, head: heads.Head, loaded: Loaded) -> Head:
        tallies = await digests.of_space(self._tx, self._space)
        rank = RANKS[loaded.policies.space.priority]
        return Head(
            head.epoch,
            head.revision,
            head.token,
            tuple(CollectionDigest(n, t.digest, t.records) for n, t in sorted(tallies.items())),
            rank,
        )


def _answer(decider: Decider, submission: Submission) -> Answer | Refusal:
    match submission:
        case Pushed():
            return decider.push(submission)
        case Voided():
            return decider.void(submission)
        case Requested():
            try:
                return decider.request(submission)
            except Refusal as refusal:
                return refusal


def _effective(lineage: Lineage, position: Position) -> int:
    try:
        return lineage.effective(position)
    except UnknownEpoch:
        return 0
