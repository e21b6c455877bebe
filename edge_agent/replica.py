"""The edge's copy: the hub's history up to a cursor.

Decided batches are applied in the order of revisions, with no rule: the hub has decided once, and
what it made of each operation is in the batch. Records, digests, tail, the watermark of own
commits, the view of what is pending, and the cursor change in one transaction, so a crash at any
point leaves a replica that was true at some revision; the hub sends the rest again.

Invariant: the cursor never skips a revision that was sent, nor takes one twice.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent import overlay, statements, tail
from edge_agent import standing as standings
from edge_agent.standing import SQL, Standing
from edge_agent.states import HubRecord, Name, hub_records
from edge_agent.tail import Arrival, Images
from edge_agent.weaving import Followed
from edge_agent.woven import tag
from holdfast.host.sqlite import transact
from sync import digest as digests
from sync import splices
from sync.apply import apply as apply_op
from sync.batch import Decided
from sync.body import Body, outline
from sync.commit import Kind, OutcomeKind
from sync.messages import Bookmark
from sync.policy import POLICIES
from sync.position import Cursor
from sync.values import InvalidValue


class OutOfOrder(Exception):
    """Changes that do not follow what is here: a revision is missing, or comes again."""

    reason = "PROTOCOL_VIOLATION"


class Diverged(Exception):
    """A decided operation does not fit the record here: this replica is not the hub's history."""

    reason = "REPLICA_DAMAGED"


@dataclass(frozen=True, slots=True)
class Applied:
    """What a transaction of `apply` did. `images` are per arrival, None where too large.

    `decided` holds, for own origins, the newest seq that is now known decided, and its id."""

    space: str
    before: Cursor
    cursor: Cursor
    images: tuple[Images | None, ...]
    decided: Mapping[bytes, tuple[int, bytes]]
    policies_changed: bool


@dataclass(frozen=True, slots=True)
class Marked:
    """What a bookmark showed. `equal` is None where nothing could be compared; else `different`
    names the collections whose digests are not the hub's."""

    cursor: Cursor
    equal: bool | None
    different: tuple[str, ...] = ()


def apply(
    connection: sqlite3.Connection,
    space: str,
    arrivals: Sequence[Arrival],
    ordinals: Mapping[bytes, int],
    *,
    whole: bool = True,
    tail_limit_bytes: int = tail.LIMIT_BYTES,
) -> Applied:
    """Applies decided batches of one space, in one transaction.

    `ordinals` are this edge's own origins. With `whole` scope no revision may be missing; otherwise
    revisions without anything of the scope may have been left out. Raises OutOfOrder and Diverged;
    then nothing has changed.
    """
    return transact(
        connection,
        lambda c: _Adoption(c, standings.load(c, space), ordinals, whole).run(
            arrivals, tail_limit_bytes
        ),
    )


@dataclass(slots=True)
class _Adoption:
    """One transaction of applying."""

    connection: sqlite3.Connection
    standing: Standing
    ordinals: Mapping[bytes, int]
    whole: bool
    records: dict[Name, HubRecord] = field(default_factory=dict)
    before: dict[Name, tuple[bool, int]] = field(default_factory=dict)
    changed: set[Name] = field(default_factory=set)
    settled: set[Name] = field(default_factory=set)
    documents: dict[Name, Body] = field(default_factory=dict)
    """Records that were patched, parsed: the next patch of the same one need not parse it again."""
    image_bytes: int = 0
    weaves: Followed = field(init=False)

    def run(self, arrivals: Sequence[Arrival], tail_limit_bytes: int) -> Applied:
        start = self.standing.cursor
        self._load(arrivals)
        decided: dict[bytes, tuple[int, bytes]] = {}
        images: list[Images | None] = []
        for arrival in arrivals:
            self._follow(arrival.decided)
            images.append(self._apply(arrival.decided))
            self._settle(arrival.decided, decided)
            token = arrival.changes.cursor_token
            self.standing.cursor = Cursor(
                arrival.decided.epoch, arrival.decided.last_revision, token
            )
            tail.keep(self.connection, self.standing, arrival, images[-1])
        policies_changed = any(name[0] == POLICIES for name in self.records)
        if policies_changed:
            self.standing.policies_revision = self.standing.cursor.revision
        self._write()
        self.weaves.reach(self.standing.cursor.revision)
        self.weaves.save()
        changed = self.changed | self.weaves.moved
        overlay.refresh(self.connection, self.standing.space, changed, self.settled)
        tail.trim(self.connection, self.standing, tail_limit_bytes)
        standings.save(self.connection, self.standing)
        return Applied(
            self.standing.space, start, self.standing.cursor, tuple(images), decided,
            policies_changed,
        )  # fmt: skip

    def _load(self, arrivals: Sequence[Arrival]) -> None:
        names: set[Name] = set()
        for arrival in arrivals:
            batch = arrival.decided.batch
            names.update(zip(batch.collections, batch.keys, strict=True))
        self.records = hub_records(self.connection, self.standing.space, names)
        self.weaves = Followed(self.connection, self.standing.space)
        self.weaves.load(names)
        self.before = {
            name: (not record.deleted, record.digest) for name, record in self.records.items()
        }

    def _follow(self, decided: Decided) -> None:
        """Checks that a batch is the next."""
        cursor, first = self.standing.cursor, decided.first_revision
        follows = first == cursor.revision + 1 or (not self.whole and first > cursor.revision)
        if (
            not follows
            or decided.epoch < cursor.epoch
            or decided.batch.space != self.standing.space
        ):
            raise OutOfOrder(
                f"{decided.batch.space}: revision {first} of epoch {decided.epoch} does not follow"
                f" {cursor.revision} of epoch {cursor.epoch}"
            )

    # -- records -------------------------------------------------------------

    def _apply(self, decided: Decided) -> Images | None:
        batch, records = decided.batch, self.records
        images: list[bytes | None] = []
        strong = {index for index, extra in batch.extras.items() if extra.strong}
        if not self.weaves.idle:
            self._weave(decided)
        op = 0
        for index, count in enumerate(batch.op_counts):
            actor, seq = batch.actors[index], batch.first_seq + index
            revision, stamp = decided.first_revision + index, decided.stamps[index]
            for _ in range(count):
                kind, name = batch.kinds[op], (batch.collections[op], batch.keys[op])
                image = None
                if kind != Kind.NONE:
                    record = records.get(name)
                    image = self._value_after(name, kind, batch.payloads[op], record, batch.plain)
                    if record is None:
                        records[name] = HubRecord(
                            revision, batch.origin, seq, stamp, 0, actor.id, int(actor.kind),
                            kind == Kind.DELETE, 0, image,
                        )  # fmt: skip
                    else:
                        record.other = _other(record, batch.origin)
                        record.revision, record.origin, record.seq = revision, batch.origin, seq
                        record.stamp, record.actor_id = stamp, actor.id
                        record.actor_kind = int(actor.kind)
                        record.deleted, record.digest = kind == Kind.DELETE, 0
                        record.value = image
                    if index in strong:  # seen undecided by nobody, as at the hub
                        records[name].other = revision
                    self.image_bytes += len(image)
                if self.image_bytes <= tail.MAX_IMAGES_BYTES:  # beyond, none is kept
                    images.append(image)
                op += 1
        kept = self.image_bytes <= tail.MAX_IMAGES_BYTES
        self.image_bytes = 0
        return tuple(images) if kept else None

    def _weave(self, decided: Decided) -> None:
        """Texts and lists with pending edits follow, commit by commit."""
        batch, starts = decided.batch, decided.batch.op_starts()
        ordinal = self.ordinals.get(batch.origin)
        for index in range(len(batch)):
            self.weaves.reach(decided.first_revision + index - 1)
            for op in range(starts[index], starts[index + 1]):
                name = 0
                if ordinal is not None:
                    name = tag(ordinal, batch.first_seq + index, op - starts[index])
                self.weaves.follow(decided, op, name)

    def _value_after(
        self, name: Name, kind: int, payload: bytes, record: HubRecord | None, plain: bool
    ) -> bytes:
        """The value that an operation leaves; a deletion leaves the last one."""
        live = None if record is None else record.live
        try:
            if kind in _INTO and live is not None:
                document = self.documents.get(name)
                if document is None:
                    document = self.documents[name] = Body(live)
                if kind == Kind.PATCH:
                    document.merge(payload, plain=plain)
                else:
                    document.splice(splices.decode(payload))
                return document.value
            self.documents.pop(name, None)
            value = (
                record.value if kind == Kind.DELETE and record else apply_op(kind, payload, live)
            )
        except InvalidValue as error:
            raise Diverged(f"an operation does not fit the record: {error}") from error
        if value is None:
            raise Diverged("an operation is on a record that is not here")
        return value

    def _write(self) -> None:
        """Writes every record that changed, once, and the digests."""
        space, rows = self.standing.space, []
        sums: dict[str, list[int]] = {}
        for name, record in self.records.items():
            live_before, old = self.before.get(name, (False, 0))
            if record.digest and record.digest == old:
                continue  # loaded, and left as it was
            value = record.value
            new = digests.record_digest(space, *name, record.revision, outline(value))
            record.digest = digests.to_signed(new)
            total = sums.setdefault(name[0], [digests.EMPTY, 0])
            if live_before:
                total[0] = digests.remove(total[0], digests.from_signed(old))
            if not record.deleted:
                total[0] = digests.combine(total[0], new)
            total[1] += (not record.deleted) - live_before
            rows.append(
                (space, *name, record.revision, record.origin, record.seq, record.stamp,
                 record.other, record.actor_id, record.actor_kind, record.deleted, record.digest,
                 value)
            )  # fmt: skip
        statements.insert(self.connection, SQL["put_record"], rows)
        self._write_digests(sums)

    def _write_digests(self, sums: Mapping[str, Sequence[int]]) -> None:
        space = self.standing.space
        known = {row[0]: row[1:] for row in self.connection.execute(SQL["digests"], (space,))}
        for collection, (change, live) in sums.items():
            signed, count = known.get(collection, (0, 0))
            digest = digests.combine(digests.from_signed(signed), change)
            row = (space, collection, digests.to_signed(digest), count + live)
            self.connection.execute(SQL["set_digest"], row)

    # -- own commits ---------------------------------------------------------

    def _settle(self, decided: Decided, out: dict[bytes, tuple[int, bytes]]) -> None:
        """Notes which own commits a batch decides, and which records' views it disturbs."""
        batch = decided.batch
        ordinal = self.ordinals.get(batch.origin)
        if ordinal is None:
            if self.standing.seen:
                self.changed.update(zip(batch.collections, batch.keys, strict=True))
            return
        own = self.standing.owned(ordinal, batch.origin)
        gone = overlay.settle(self.connection, batch.space, ordinal, batch.last_seq)
        if gone or self.standing.seen:
            self._disturb(decided, gone)
        if batch.last_seq > own.decided_seq:
            own.decided_seq, own.decided_id = batch.last_seq, batch.commit_ids[-1]
            out[batch.origin] = (own.decided_seq, own.decided_id)

    def _disturb(self, decided: Decided, gone: Sequence[tuple[int, int, str, str, int]]) -> None:
        """Sorts the records of an own batch. Where the hub took a commit as it was written, the
        view stands: what was pending is now decided, and makes the same. A repeat of what was
        decided elsewhere has that outcome, and no effect of its own."""
        batch = decided.batch
        if (
            not decided.outcomes
            and Kind.NONE not in batch.kinds
            and batch.op_counts.count(1) == len(batch)
        ):
            seqs = sorted([seq for seq, *_ in gone])
            if seqs == list(range(batch.first_seq, batch.last_seq + 1)):
                self.settled.update([(collection, key) for _, _, collection, key, _ in gone])
                return
        ops_of, starts = Counter(seq for seq, *_ in gone), batch.op_starts()
        as_written = {
            batch.first_seq + index
            for index, count in enumerate(batch.op_counts)
            if decided.outcome(index).kind is OutcomeKind.APPLIED
            and ops_of[batch.first_seq + index] == count
            and Kind.NONE not in batch.kinds[starts[index] : starts[index + 1]]
        }
        for seq, _, collection, key, _ in gone:
            (self.settled if seq in as_written else self.changed).add((collection, key))
        for index in range(len(batch)):
            if batch.first_seq + index not in as_written:
                ops = slice(starts[index], starts[index + 1])
                self.changed.update(zip(batch.collections[ops], batch.keys[ops], strict=True))


_INTO = frozenset({Kind.PATCH, Kind.SPLICE})
"""What changes a document that is there."""


def _other(record: HubRecord | None, origin: bytes) -> int:
    """As at the hub: the greatest revision by another origin than the last writer's."""
    if record is None:
        return 0
    return record.other if record.origin == origin else record.revision


# -- bookmarks, and beginning again ------------------------------------------


def mark(
    connection: sqlite3.Connection,
    bookmark: Bookmark,
    ordinals: Mapping[bytes, int],
    *,
    whole: bool = True,
) -> Marked:
    """Moves the cursor to a bookmark, and compares digests where it stands.

    Raises OutOfOrder if changes before it are missing.
    """
    return transact(connection, lambda c: _mark(c, bookmark, ordinals, whole))


def _mark(
    connection: sqlite3.Connection, bookmark: Bookmark, ordinals: Mapping[bytes, int], whole: bool
) -> Marked:
    standing = standings.load(connection, bookmark.space)
    here, there = standing.cursor, bookmark.cursor
    if there.epoch < here.epoch or (whole and there.revision > here.revision):
        raise OutOfOrder(f"{bookmark.space}: changes before a bookmark at {there} are missing")
    if there.revision < here.revision:
        return Marked(here, None)
    changed: set[Name] = set()
    weaves = Followed(connection, bookmark.space)
    for state in bookmark.origins:
        ordinal = ordinals.get(state.origin)
        own = standing.owned(ordinal, state.origin) if ordinal is not None else None
        if ordinal is not None and own is not None and state.seq > own.decided_seq:
            gone = overlay.settle(connection, bookmark.space, ordinal, state.seq)
            changed.update((collection, key) for _, _, collection, key, _ in gone)
            weaves.gone(ordinal, gone)
            own.decided_seq, own.decided_id = state.seq, state.commit_id
    standing.cursor = there
    weaves.load(set())
    weaves.reach(there.revision)
    weaves.save()
    overlay.refresh(connection, bookmark.space, changed | weaves.moved)
    standings.save(connection, standing)
    different = _different(connection, bookmark)
    equal = None if different is None else not different
    return Marked(there, equal, different or ())


def _different(connection: sqlite3.Connection, bookmark: Bookmark) -> tuple[str, ...] | None:
    if not bookmark.digests:
        return None
    theirs = {d.collection: (d.digest, d.records) for d in bookmark.digests if d.records}
    ours = {
        collection: (digests.from_signed(signed), count)
        for collection, signed, count in connection.execute(SQL["digests"], (bookmark.space,))
        if count
    }
    return tuple(sorted(c for c in theirs.keys() | ours.keys() if theirs.get(c) != ours.get(c)))


def reset(connection: sqlite3.Connection, space: str) -> None:
    """Begins a space from zero. Its view is to be put together again from the outbox."""

    def work(c: sqlite3.Connection) -> None:
        for name in ("records", "digests", "tail", "overlay", "pending", "weaves", "own", "cursor"):
            c.execute(SQL[f"forget_{name}"], (space,))

    transact(connection, work)
