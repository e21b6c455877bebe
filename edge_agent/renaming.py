"""New origins for commits that another database may have written under the same names.

A copied card or yesterday's file shares its origin with another database. What both have agreed on
keeps its name; every later commit here moves to a new origin, in order and with seqs from 1, and
keeps its commit id, so that its author can still ask for it, and by which the hub takes it once if
another copy moves it too. Contexts follow: who had seen a moved
commit has now seen it under its new name, and the last one that stayed.

Invariant: a commit has one name at any time, and each name it ever had leads to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge_agent import extras, outbox_rows, statements
from edge_agent.origins import SQL, Counter, Stream, write_counter
from edge_agent.outbox import Outbox
from edge_agent.outbox_rows import DamagedRow, Row
from holdfast.host.sqlite import transact
from sync.commit import Extra, Precondition

CHUNK_COMMITS = 1_000
"""Commits rewritten at once, for the sake of memory; all of them are one transaction."""

Moves = Mapping[bytes, "Move"]
"""By the old origin."""


@dataclass(frozen=True, slots=True)
class Move:
    """Seqs above `keep` of one origin become `seq + shift` of the new one."""

    keep: int
    shift: int


def take_new_origin(
    connection: sqlite3.Connection,
    outbox: Outbox,
    origin: bytes,
    reason: str,
    keep: Mapping[tuple[str, bytes], int],
) -> None:
    """From now on commits are written under `origin`. Per space and old origin, those up to `keep`
    stay as they are and later ones move; where nothing is said, all stay."""
    transact(connection, lambda c: _Renewal(c, outbox, origin, reason).run(keep))
    present = outbox.origin.ordinal
    outbox.reload(connection)
    assert outbox.origin.ordinal > present
    for stream, counter in outbox.counters.items():
        outbox.offered[stream] = min(outbox.offered.get(stream, counter.last_seq), counter.last_seq)


@dataclass(slots=True)
class _Renewal:
    connection: sqlite3.Connection
    outbox: Outbox
    origin: bytes
    reason: str

    @property
    def ordinal(self) -> int:
        return self.outbox.origin.ordinal + 1

    def run(self, keep: Mapping[tuple[str, bytes], int]) -> None:
        self.connection.execute(SQL["begin_origin"], (self.ordinal, self.origin, self.reason))
        ordinals = self.outbox.ordinals
        for space in sorted({space for space, _ in keep}):
            kept = {
                ordinals[origin]: seq
                for (name, origin), seq in keep.items()
                if name == space and origin in ordinals
            }
            self._move_space(space, kept)

    def _move_space(self, space: str, kept: Mapping[int, int]) -> None:
        moves: dict[bytes, Move] = {}
        after = Counter()
        for ordinal in sorted(kept):
            counter = self.outbox.counter(space, ordinal)
            keep = max(kept[ordinal], counter.trimmed_seq)
            if counter.last_seq <= keep:
                continue
            moves[self.outbox.id_of(ordinal)] = Move(keep, after.last_seq - keep)
            after = self._move_stream((space, ordinal), counter, keep, after, moves)
        if moves:
            write_counter(self.connection, (space, self.ordinal), after)

    def _move_stream(
        self, stream: Stream, counter: Counter, keep: int, after: Counter, moves: Moves
    ) -> Counter:
        """Moves one origin's commits in a space behind those moved before."""
        space, old = stream
        shift = after.last_seq - keep
        size = 0
        for start in range(keep, counter.last_seq, CHUNK_COMMITS):
            size += self._move_chunk(stream, start, counter.last_seq, shift, moves)
        self.connection.execute(SQL["delete_above"], (space, old, keep))
        self.connection.execute(SQL["delete_voids_above"], (space, old, keep))
        self.connection.execute(SQL["move_ids"], (self.ordinal, shift, space, old, keep))
        count = counter.last_seq - keep
        self.connection.execute(
            SQL["rename"], (space, old, keep + 1, count, self.ordinal, after.last_seq + 1)
        )
        ids = self.outbox.ids_at(self.connection, space, self.outbox.id_of(old), [keep])
        left = replace(
            counter,
            last_seq=keep,
            last_id=ids.get(keep, b""),
            size_bytes=max(0, counter.size_bytes - size),
        )
        write_counter(self.connection, stream, left)
        return Counter(
            after.last_seq + count, counter.last_id, max(after.last_stamp, counter.last_stamp), 0,
            after.size_bytes + size,
        )  # fmt: skip

    def _move_chunk(
        self, stream: Stream, start: int, last_seq: int, shift: int, moves: Moves
    ) -> int:
        stop = min(start + CHUNK_COMMITS, last_seq)
        present: dict[int, list[Row]] = {}
        for row in self.connection.execute(SQL["read"], (*stream, start, stop)):
            present.setdefault(row[outbox_rows.SEQ], []).append(row)
        moved: list[Row] = []
        for seq in range(start + 1, stop + 1):
            gone = self.outbox.void_at(*stream, seq)
            reason = gone.reason if gone else self._fault(present.get(seq, []))
            if reason:
                void = (stream[0], self.ordinal, seq + shift, 1, reason)
                self.connection.execute(SQL["declare_void"], void)
                continue
            moved += self._renamed(present[seq], shift, moves)
        statements.insert(self.connection, SQL["append"], moved)
        return outbox_rows.size_of(moved)

    def _fault(self, commit: list[Row]) -> str:
        try:
            found = list(outbox_rows.commits_in(commit))
        except DamagedRow as damaged:
            return damaged.reason
        return "" if found else DamagedRow.reason

    def _renamed(self, commit: Sequence[Row], shift: int, moves: Moves) -> list[Row]:
        head = commit[0]
        own = self.outbox.id_of(head[1])
        seen, extra = renamed_context(
            own, head[outbox_rows.SEEN], extras.decode(head[outbox_rows.EXTRA]), moves, self.origin
        )
        if extra.coalesced_by:
            extra = replace(extra, coalesced_by=extra.coalesced_by + shift)
        # Another copy of the file may move the same commit to an origin of its own: from now on
        # only the commit's id tells the hub that the two are one.
        extra = replace(extra, retryable=True)
        rows = []
        for row in commit:
            columns = list(row[: outbox_rows.CHECKSUM])
            columns[1], columns[outbox_rows.SEQ] = self.ordinal, row[outbox_rows.SEQ] + shift
            if row is head:
                columns[outbox_rows.SEEN] = seen
                columns[outbox_rows.EXTRA] = extras.encode(extra)
            rows.append(outbox_rows.sealed(tuple(columns)))
        return rows


def renamed_context(
    own: bytes, seen: int, extra: Extra, moves: Moves, new_origin: bytes
) -> tuple[int, Extra]:
    """What a commit of `own` had seen, in the names after the moves, for an author that is now
    `new_origin`."""
    others: dict[bytes, int] = {}
    mine = 0
    for origin, seq in ((own, seen), *extra.seen):
        move = moves.get(origin)
        if move is not None and seq > move.keep:
            mine = max(mine, seq + move.shift)
            seq = move.keep  # noqa: PLW2901 - of the old origin, the last that stayed
        if seq:
            others[origin] = max(seq, others.get(origin, 0))
    preconditions = tuple(_renamed_version(one, moves, new_origin) for one in extra.preconditions)
    return mine, replace(extra, seen=tuple(others.items()), preconditions=preconditions)


def _renamed_version(wanted: Precondition, moves: Moves, new_origin: bytes) -> Precondition:
    version = wanted.version
    if version is None or not version.pending:
        return wanted
    move = moves.get(version.origin)
    if move is None or version.seq <= move.keep:
        return wanted
    moved = replace(version, origin=new_origin, seq=version.seq + move.shift)
    return replace(wanted, version=moved)
