"""The edge's promises: commits acknowledged to an agent, until the hub's decision is safely here.

Reading never removes a row; trimming does, and only what a synced replica contains the decision of.
What is pending is told by the replica's watermark, never by a mark of this file: so neither a lost
acknowledgement nor a replica set back by loss of power doubles or drops a commit.

The functions run in the thread of outbox.db and are handed its connection. Besides the file they
keep its few counters in memory, changed only after a transaction has been committed.

Invariants, per space and origin: seqs have no gap from 1 to `last_seq`; trimmed_seq <= last_seq;
a row above `offered` has never left this process, so its content may still be emptied.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from edge_agent import outbox_rows, statements
from edge_agent.origins import NOTHING, Counter, Origin, Renaming, Stream, write_counter
from edge_agent.outbox_rows import DamagedRow, Limits
from holdfast.host.refusal import Refusal
from holdfast.host.sqlite import transact
from sync.batch import MAX_COMMITS, MAX_PAYLOAD_BYTES, Batch
from sync.commit import Commit
from sync.messages import VoidRange
from sync.position import Epoch

SQL = statements.load("outbox")

LIMIT_BYTES = 1 << 30
"""The most that an outbox takes: days of telemetry, and still little of a small disk."""

TRIMMED = "WRITES_LOST"
"""Why commits that were decided and let go cannot be offered to a hub that lost its history."""

READ = Limits(commits=MAX_COMMITS, payload_bytes=MAX_PAYLOAD_BYTES)


@dataclass(frozen=True, slots=True)
class Emptying:
    """A commit whose every record `by_seq` overwrites."""

    space: str
    seq: int
    by_seq: int


@dataclass(frozen=True, slots=True)
class ChosenId:
    """A commit id that a client chose, with the fingerprint of what it asked for."""

    space: str
    commit_id: bytes
    seq: int
    fingerprint: bytes


@dataclass(slots=True)
class Outbox:
    """What is known of outbox.db without asking it, and what can be done with it."""

    edge: str
    origins: list[Origin]
    limit_bytes: int = LIMIT_BYTES
    counters: dict[Stream, Counter] = field(default_factory=dict)
    offered: dict[Stream, int] = field(default_factory=dict)
    renamings: list[Renaming] = field(default_factory=list)
    voids: dict[Stream, list[VoidRange]] = field(default_factory=dict)
    lineage: tuple[Epoch, ...] = ()

    # -- the file ------------------------------------------------------------

    @classmethod
    def load(cls, connection: sqlite3.Connection, edge: str, new_id: Callable[[], bytes]) -> Outbox:
        """The outbox of this file, which gets its identity the first time."""
        if connection.execute(SQL["identity"]).fetchone() is None:
            transact(connection, lambda c: _begin(c, edge, new_id()))
        (name,) = connection.execute(SQL["identity"]).fetchone()
        outbox = cls(name, [])
        outbox.reload(connection)
        # Whether a row left the last process is not on disk: assume it did.
        outbox.offered = {stream: c.last_seq for stream, c in outbox.counters.items()}
        return outbox

    def reload(self, connection: sqlite3.Connection) -> None:
        """Reads again what is kept in memory."""
        self.origins = [Origin(*row) for row in connection.execute(SQL["origins"])]
        self.counters = {
            (row[0], row[1]): Counter(*row[2:]) for row in connection.execute(SQL["counters"])
        }
        self.renamings = [Renaming(*row) for row in connection.execute(SQL["renamed"])]
        self.voids = {}
        for space, ordinal, first, count, reason in connection.execute(SQL["voids"]):
            gone = VoidRange(space, self.id_of(ordinal), first, count, reason)
            self.voids.setdefault((space, ordinal), []).append(gone)
        self.lineage = tuple(
            Epoch(ordinal, id_, parent, json.loads(forks))
            for ordinal, id_, parent, forks in connection.execute(SQL["epochs"])
        )

    # -- what is known -------------------------------------------------------

    @property
    def origin(self) -> Origin:
        """The one that writes."""
        return self.origins[-1]

    @property
    def ordinals(self) -> dict[bytes, int]:
        """All origins that this database has had."""
        return {origin.id: origin.ordinal for origin in self.origins}

    @property
    def size_bytes(self) -> int:
        """What counts against the limit."""
        return sum(counter.size_bytes for counter in self.counters.values())

    @property
    def spaces(self) -> list[str]:
        """Spaces that were ever written to here, sorted."""
        return sorted({space for space, _ in self.counters})

    def id_of(self, ordinal: int) -> bytes:
        return next(origin.id for origin in self.origins if origin.ordinal == ordinal)

    def counter(self, space: str, ordinal: int) -> Counter:
        return self.counters.get((space, ordinal), NOTHING)

    def streams(self, space: str) -> list[int]:
        """Ordinals of the origins that have written to a space, in the order of their lives."""
        return sorted(ordinal for name, ordinal in self.counters if name == space)

    def last_stamp(self) -> int:
        """The greatest stamp ever given: where the clock goes on."""
        return max((counter.last_stamp for counter in self.counters.values()), default=0)

    def present_name(self, space: str, origin: bytes, seq: int) -> tuple[bytes, int]:
        """What a commit is called now, that was called so when it was acknowledged."""
        ordinal = self.ordinals.get(origin)
        for moved in self.renamings:
            past = seq - moved.old_first_seq
            if (moved.space, moved.old_ordinal) == (space, ordinal) and 0 <= past < moved.count:
                name = self.id_of(moved.new_ordinal)
                return self.present_name(space, name, moved.new_first_seq + past)
        return origin, seq

    # -- reading -------------------------------------------------------------

    def read(
        self,
        connection: sqlite3.Connection,
        space: str,
        origin: bytes,
        after_seq: int,
        limits: Limits = READ,
        *,
        offer: bool = False,
    ) -> Batch | VoidRange | None:
        """The commits after a seq, or that they will never come; None if there are none.

        With `offer` they count as offered from now on, and those let go long since, which only a
        hub that lost its history asks for, are said to be lost. Raises DamagedRow if the very next
        commit is damaged.
        """
        ordinal = self.ordinals[origin]
        counter = self.counter(space, ordinal)
        if offer and after_seq < counter.trimmed_seq:
            count = min(counter.trimmed_seq - after_seq, MAX_COMMITS)
            return VoidRange(space, origin, after_seq + 1, count, TRIMMED)
        first = max(after_seq, counter.trimmed_seq) + 1
        if first > counter.last_seq:
            return None
        gone = self.void_at(space, ordinal, first)
        if gone is not None:
            return self._rest_of(connection, gone, first)
        last = first - 1 + limits.commits
        for void in self.voids.get((space, ordinal), ()):  # rows of void seqs may still be here
            last = min(last, void.first_seq - 1) if void.first_seq > first else last
        cursor = connection.execute(SQL["read"], (space, ordinal, first - 1, last))
        commits = outbox_rows.gather(cursor, first, limits)
        if not commits:
            raise DamagedRow(space, ordinal, first)
        batch = outbox_rows.batch_of_rows(space, origin, commits)
        if offer:
            self.mark_offered(space, origin, batch.last_seq)
        return batch

    def _rest_of(self, connection: sqlite3.Connection, gone: VoidRange, first: int) -> VoidRange:
        """A void range from a seq on, with the commit ids where all of them are known."""
        seqs = range(first, min(gone.first_seq + gone.count, first + MAX_COMMITS))
        ids = self.ids_at(connection, gone.space, gone.origin, seqs)
        known = (
            tuple(ids[seq] for seq in seqs) if len(ids) == len(seqs) and all(ids.values()) else ()
        )
        return replace(gone, first_seq=first, count=len(seqs), commit_ids=known)

    def peek(
        self, connection: sqlite3.Connection, space: str, origin: bytes, seq: int
    ) -> Commit | None:
        """One commit; None if it is damaged, or not here."""
        place = (space, self.ordinals[origin], seq - 1, seq)
        try:
            commits = list(outbox_rows.commits_in(connection.execute(SQL["read"], place)))
        except DamagedRow:
            return None
        return outbox_rows.batch_of_rows(space, origin, commits).commit(0) if commits else None

    def mark_offered(self, space: str, origin: bytes, seq: int) -> None:
        """From now on these rows are never emptied. In the outbox's thread, so that no commit can
        come between reading rows and marking them."""
        stream = (space, self.ordinals[origin])
        self.offered[stream] = max(seq, self.offered.get(stream, 0))

    def void_at(self, space: str, ordinal: int, seq: int) -> VoidRange | None:
        for gone in self.voids.get((space, ordinal), ()):
            if gone.first_seq <= seq < gone.first_seq + gone.count:
                return gone
        return None

    def ids_at(
        self, connection: sqlite3.Connection, space: str, origin: bytes, seqs: Iterable[int]
    ) -> dict[int, bytes]:
        """Commit ids at these seqs; those that are no longer here are absent."""
        ordinal = self.ordinals[origin]
        wanted = json.dumps(list(seqs))
        found = dict(connection.execute(SQL["ids_at"], (space, ordinal, wanted)).fetchall())
        counter = self.counter(space, ordinal)
        if counter.last_id and counter.last_seq in seqs:
            found.setdefault(counter.last_seq, counter.last_id)
        return found

    def emptied(
        self, connection: sqlite3.Connection, space: str, ordinal: int, after_seq: int, seq: int
    ) -> list[int]:
        """The commits above one seq and up to another that later ones have emptied."""
        rows = connection.execute(SQL["emptied"], (space, ordinal, after_seq, seq))
        return [row[0] for row in rows]

    def lowest_base(
        self, connection: sqlite3.Connection, space: str, ordinal: int, decided_seq: int
    ) -> int | None:
        """The lowest base of commits above a seq; None if there are none."""
        if self.counter(space, ordinal).last_seq <= decided_seq:
            return None
        found = connection.execute(SQL["lowest_base"], (space, ordinal, decided_seq)).fetchone()
        return None if found[0] is None else int(found[0])

    def find_id(
        self, connection: sqlite3.Connection, space: str, commit_id: bytes
    ) -> tuple[int, int, bytes] | None:
        """Ordinal, seq and fingerprint of the commit that has an id which a client chose."""
        found = connection.execute(SQL["find_id"], (space, commit_id)).fetchone()
        return None if found is None else (found[0], found[1], found[2])

    # -- writing -------------------------------------------------------------

    def append(
        self,
        connection: sqlite3.Connection,
        batches: Sequence[Batch],
        emptyings: Sequence[Emptying] = (),
        chosen: Sequence[ChosenId] = (),
    ) -> None:
        """Takes commits of the present origin; durable when it returns, and none of it otherwise.

        Raises Refusal OUTBOX_FULL before anything is written.
        """
        ordinal = self.origin.ordinal
        after = dict(self.counters)
        rows: list[outbox_rows.Row] = []
        for batch in batches:
            stream = (batch.space, ordinal)
            before = after.get(stream, NOTHING)
            assert batch.origin == self.origin.id, "written under an origin of the past"
            assert batch.first_seq == before.last_seq + 1, (batch.first_seq, before)
            these = outbox_rows.rows_of(batch, ordinal)
            rows += these
            after[stream] = replace(
                before, last_seq=batch.last_seq, last_id=batch.commit_ids[-1],
                last_stamp=max(before.last_stamp, *batch.claimed),
                size_bytes=before.size_bytes + outbox_rows.size_of(these),
            )  # fmt: skip
        if sum(counter.size_bytes for counter in after.values()) > self.limit_bytes:
            raise Refusal("OUTBOX_FULL")

        def work(c: sqlite3.Connection) -> None:
            statements.insert(c, SQL["append"], rows)
            for emptying in emptyings:
                self._empty(c, emptying, after)
            for one in chosen:
                c.execute(
                    SQL["remember_id"],
                    (one.space, one.commit_id, ordinal, one.seq, one.fingerprint),
                )
            for space in {batch.space for batch in batches}:
                write_counter(c, (space, ordinal), after[space, ordinal])

        transact(connection, work)
        self.counters = after

    def _empty(
        self, connection: sqlite3.Connection, emptying: Emptying, after: dict[Stream, Counter]
    ) -> None:
        ordinal = self.origin.ordinal
        stream = (emptying.space, ordinal)
        assert emptying.seq > self.offered.get(stream, 0), "emptied after it was offered"
        place = (emptying.space, ordinal, emptying.seq)
        rows = connection.execute(
            SQL["read"], (emptying.space, ordinal, emptying.seq - 1, emptying.seq)
        ).fetchall()
        (commit,) = outbox_rows.commits_in(rows)
        left = outbox_rows.emptied(commit[0], emptying.by_seq)
        connection.execute(SQL["empty_operations"], place)
        connection.execute(SQL["append"], left)
        freed = outbox_rows.size_of(commit) - outbox_rows.size_of([left])
        after[stream] = replace(after[stream], size_bytes=after[stream].size_bytes - freed)

    def declare_void(
        self, connection: sqlite3.Connection, space: str, ordinal: int, first_seq: int, count: int,
        reason: str,
    ) -> VoidRange:  # fmt: skip
        """Says, durably, that these seqs will never come, and why."""
        row = (space, ordinal, first_seq, count, reason)
        transact(connection, lambda c: c.execute(SQL["declare_void"], row))
        gone = VoidRange(space, self.id_of(ordinal), first_seq, count, reason)
        self.voids.setdefault((space, ordinal), []).append(gone)
        return gone

    def void_damaged(self, connection: sqlite3.Connection, damaged: DamagedRow) -> VoidRange:
        """Declares a damaged commit, or all that are missing from there on, void."""
        space, ordinal, seq = damaged.space, damaged.ordinal, damaged.seq
        counter = self.counter(space, ordinal)
        following = connection.execute(
            SQL["read"] + " LIMIT 1", (space, ordinal, seq - 1, counter.last_seq)
        ).fetchone()
        until = counter.last_seq + 1 if following is None else following[outbox_rows.SEQ]
        count = max(1, until - seq)
        return self.declare_void(connection, space, ordinal, seq, count, damaged.reason)

    def learn_lineage(self, connection: sqlite3.Connection, lineage: Sequence[Epoch]) -> None:
        """Keeps the hub's table of histories."""
        if tuple(lineage) == self.lineage:
            return

        def work(c: sqlite3.Connection) -> None:
            for one in lineage:
                forks = json.dumps(dict(one.forks))
                c.execute(SQL["learn_epoch"], (one.ordinal, one.id, one.parent, forks))

        transact(connection, work)
        self.reload(connection)

    def agrees(
        self, connection: sqlite3.Connection, stream: Stream, seq: int, commit_id: bytes
    ) -> bool:
        """Whether a commit decided under this name is, as far as can be told, the one here."""
        space, ordinal = stream
        if seq > self.counter(*stream).last_seq:
            return False
        ours = self.ids_at(connection, space, self.id_of(ordinal), [seq]).get(seq, b"")
        unknown = not ours or not any(commit_id) or self.void_at(space, ordinal, seq) is not None
        return unknown or ours == commit_id


def _begin(connection: sqlite3.Connection, edge: str, origin: bytes) -> None:
    connection.execute(SQL["begin_identity"], (edge,))
    connection.execute(SQL["begin_origin"], (1, origin, ""))
