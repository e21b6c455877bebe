"""One group of submissions, in one transaction.

Lock the head, load what the group touches (loading.py), decide (deciding.py),
write: records, log, conflicts, watermarks, commit ids, digests, head. Statements
are set-based; none is per change. The work may run again when the database asks
for it: what was kept from before is used by the first attempt only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloud_hub import (
    change_log,
    commit_ids,
    conflicts,
    digests,
    forks,
    heads,
    inbox,
    origins,
    policies,
    records,
    texts,
)
from cloud_hub.change_log import LogRow
from cloud_hub.deciding import Decider, Entry
from cloud_hub.digests import NOTHING, Tally
from cloud_hub.fanout import Head
from cloud_hub.hot import HotSpaces, Kept
from cloud_hub.loading import Loader
from cloud_hub.records import StoredRecord
from cloud_hub.storage.driver import Driver, StorageUnavailable, Transaction
from cloud_hub.submissions import Answer, Pushed, Requested, Submission, Voided
from holdfast.host import failpoints
from holdfast.host.clock import Clock
from holdfast.host.door import Refusal
from sync import codec, digest
from sync.body import Body
from sync.commit import Actor
from sync.messages import CollectionDigest
from sync.policy import POLICIES, Priority
from sync.resolve import Key, Working

RANKS = {Priority.CONTROL: 0, Priority.STATE: 1, Priority.BULK: 2}
"""In which order spaces are drained."""

BEFORE_END = failpoints.declare("hub.transaction.written")
"""Everything is written and nothing is durable; on SQLite in the thread that writes."""

SETTLINGS = 3
"""Transactions for one group, where COMMIT goes unanswered each time: a database in that state is
better left to those who ask again later."""


class Contradicted(Exception):
    """The history in the database is not the one that this process has told of."""

    reason = "SPACE_STOPPED"

    def __init__(self, sign: forks.Sign) -> None:
        super().__init__(f"{sign.space}: revision {sign.revision} is not what it was")
        self.sign = sign


Bases = Mapping[Key, tuple[int, Body | None]]
"""Revision and live value of records."""


@dataclass(frozen=True, slots=True)
class DecidedGroup:
    """What became of a group: an answer or refusal for each, in order, and the new rows.

    `before` holds the records that it touched as they were: their revisions and live values.
    `follows` is the revision and token of the head that the group was decided on.
    """

    space: str
    answers: tuple[Answer | Refusal, ...]
    rows: tuple[LogRow, ...]
    head: Head
    before: Bases
    follows: tuple[int, bytes]

    @property
    def commits(self) -> int:
        return sum(map(len, self.rows))


class Transactor:
    """Decides groups. `origin` is this hub process's own; `new_token` makes 16 random bytes.

    `known` is the head of a space that this process has told its readers of."""

    def __init__(
        self,
        driver: Driver,
        clock: Clock,
        origin: bytes,
        new_token: Callable[[], bytes],
        codec_name: str,
        known: Callable[[str], Head | None] = lambda _space: None,
    ) -> None:
        self._driver, self._clock, self._known = driver, clock, known
        self._origin, self._new_token, self._codec = origin, new_token, codec_name
        self.hot = HotSpaces()

    async def decide(self, space: str, group: Sequence[Submission]) -> DecidedGroup:
        """Decides a group durably. Raises StorageError; nothing is stored then, unless it says
        that the outcome is unknown. Raises Refusal SPACE_STOPPED, Contradicted."""
        attempts: list[tuple[DecidedGroup, Kept]] = []

        async def work(tx: Transaction) -> tuple[DecidedGroup, Kept]:
            head = (await heads.lock(tx, space)).going()
            await self._compare(tx, head)
            for attempt in attempts:
                if await _happened(tx, attempt[0]):
                    return attempt
            result = await _Run(self, tx, head, group).run()
            last[:] = [result]
            return result

        last: list[tuple[DecidedGroup, Kept]] = []
        while True:
            try:
                decided, kept = await self._driver.write(work)
            except StorageUnavailable as error:
                # COMMIT was sent, and no answer came. Whoever gets the head's lock next sees
                # whether it happened: by the token, which no other transaction has.
                if error.outcome_unknown:
                    attempts += last
                if attempts and (not error.outcome_unknown or len(attempts) >= SETTLINGS):
                    message = f"lost while committing, and not to be asked since: {error.message}"
                    raise StorageUnavailable(message, outcome_unknown=True) from error
                if not error.outcome_unknown:
                    raise
            else:
                self.hot.put(space, kept)
                return decided

    async def _compare(self, tx: Transaction, head: heads.Head) -> None:
        """What this process knows of the space must be of the history that it writes to."""
        known = self._known(head.space)
        if known is None:
            return
        witness = f"hub process {self._origin.hex()[:8]}"
        sign = await forks.contradiction(
            tx, head, witness, known.epoch, known.revision, known.token
        )
        if sign is not None:
            raise Contradicted(sign)

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


async def _happened(tx: Transaction, attempt: DecidedGroup) -> bool:
    """Whether a transaction, whose end nobody has heard of, is in the log; under the head's lock,
    so it is over."""
    if not attempt.rows:
        return False
    row = attempt.rows[-1]
    token = await change_log.token_at(tx, attempt.space, row.last_revision)
    return token == row.token


class _Run:
    """One attempt, under the lock of `head`."""

    def __init__(
        self, transactor: Transactor, tx: Transaction, head: heads.Head,
        group: Sequence[Submission],
    ) -> None:  # fmt: skip
        self._t, self._tx, self._head, self._group = transactor, tx, head, group
        self._space = head.space
        self._now_ms = transactor.now_ms()

    async def run(self) -> tuple[DecidedGroup, Kept]:
        """What became of the group, and what is kept when it is durable."""
        head = self._head
        loader = Loader(self._tx, head, self._group, self._t.origin, self._t.hot.take(head))
        kept, loaded = await loader.load()
        bases = {key: (w.revision, _before(w)) for key, w in loaded.records.items()}
        decider = Decider(loaded, self._t.origin, self._now_ms)
        answers = tuple(_answer(decider, submission) for submission in self._group)
        epoch, names = head.epoch, loaded.names
        waiting = await inbox.opened(self._tx, epoch, decider.entries, self._now_ms, names, bases)
        decider.own(waiting, self._t.token)
        if not decider.entries:
            kept.keep_records(loader.stored)
            here = (head.revision, head.token)
            published = _published(head, kept)
            return DecidedGroup(self._space, answers, (), published, {}, here), kept
        return await self._write(head, decider, answers, loader.stored, kept, bases)

    # -- what became of it ---------------------------------------------------

    async def _write(
        self, before: heads.Head, decider: Decider, answers: tuple[Answer | Refusal, ...],
        stored: dict[Key, StoredRecord], kept: Kept, bases: Bases,
    ) -> tuple[DecidedGroup, Kept]:  # fmt: skip
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
        await texts.save(tx, space, decider.loaded.texts)
        await self._save_digests(stored, changed, kept)
        await self._save_conflicts(decider.entries)
        await inbox.save_answers(tx, space, changed)
        await self._save_commit_ids(decider.entries)
        marks = {entry.origin: decider.loaded.marks[entry.origin] for entry in decider.entries}
        await origins.save_watermarks(tx, space, marks)
        await heads.advance(tx, head)
        BEFORE_END()
        kept.revision, kept.token = head.revision, head.token
        kept.keep_records({**stored, **changed})
        if any(collection == POLICIES for collection, _ in changed):
            kept.policies = await policies.load(tx, space)
        follows = (before.revision, before.token)
        published = _published(head, kept)
        return DecidedGroup(space, answers, tuple(log), published, bases, follows), kept

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
                else digest.record_digest(self._space, *key, record.revision, record.body.outline)
            )
            changed[key] = StoredRecord(record, value, actor)
        return changed

    async def _save_digests(
        self, stored: dict[Key, StoredRecord], changed: dict[Key, StoredRecord], kept: Kept
    ) -> None:
        tallies = kept.tallies
        for key, after in changed.items():
            digest_before, count = tallies.get(key[0], NOTHING)
            was = stored.get(key)
            if was is not None and was.digest != digest.EMPTY:
                digest_before, count = digest.remove(digest_before, was.digest), count - 1
            live = not after.working.deleted
            tallies[key[0]] = Tally(digest.combine(digest_before, after.digest), count + live)
        if changed:
            touched = {collection: tallies[collection] for collection, _ in changed}
            await digests.save(self._tx, self._space, touched)

    async def _save_conflicts(self, entries: Iterable[Entry]) -> None:
        rows: list[conflicts.Logged] = []
        for entry in entries:
            if entry.conflicts:
                rows += conflicts.logged(entry.decided, entry.conflicts, self._now_ms)
        if rows:
            await conflicts.insert(self._tx, self._space, rows)

    async def _save_commit_ids(self, entries: Iterable[Entry]) -> None:
        """Where ids that clients chose were decided; the first place of an id stays."""
        fresh: dict[bytes, int] = {}
        for entry in entries:
            decided = entry.decided
            for index, extra in decided.batch.extras.items():
                if extra.retryable:
                    commit_id = decided.batch.commit_ids[index]
                    fresh.setdefault(commit_id, decided.first_revision + index)
        if fresh:
            await commit_ids.insert(self._tx, self._space, fresh, self._now_ms)


def _before(record: Working) -> Body | None:
    """The live value of a record that will be written to."""
    return None if record.deleted else record.body.copy()


def _published(head: heads.Head, kept: Kept) -> Head:
    rank = RANKS[kept.policies.space.priority]
    tallies = sorted(kept.tallies.items())
    found = tuple(CollectionDigest(name, tally.digest, tally.records) for name, tally in tallies)
    return Head(head.epoch, head.revision, head.token, found, rank)


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
