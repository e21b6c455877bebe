"""Letting go, and writing back: what the edge does with its files when nobody waits.

Rows of the outbox may go once a replica that survives loss of power contains their decision. So the
replica is checkpointed first, which syncs it, and only what it contained before counts. And they
may go only when they have left the window in which they could be offered again, should the hub be
restored from a backup.

Invariant: whatever a crash leaves of the replica, the outbox still has every commit whose decision
is not in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile

from edge_agent import outbox_rows
from edge_agent import standing as standings
from edge_agent.database import EdgeFiles
from edge_agent.origins import SQL, Counter, Stream, write_counter
from edge_agent.outbox import Outbox
from holdfast.host.sqlite import transact
from sync.clock import unix_ms_of

WINDOW_BYTES = 256 << 20
"""Decided rows are kept to be offered again as long as the outbox is no larger than this."""

WINDOW_MS = 7 * 24 * 3_600_000
"""And no longer than this: a hub is restored within a week or it is not this hub any more."""

TRIM_COMMITS = 1_000
"""Let go in one transaction: some milliseconds, which a commit may have to wait for."""

CHECKPOINT_ROWS = 20_000
"""Rows changed since the last checkpoint that make one due: a log of some 10 MB, read back quickly
after a crash."""

CHECKPOINT_BLOBS = 64
"""The same for blobs, which may have 1 MB each."""

TRIM_ROUNDS = 16
"""Chunks let go of in one sweep, so that a sweep ends."""

Decided = Mapping[Stream, tuple[int, bytes]]
"""Per space and own origin the newest seq that a replica contains the decision of, and its id."""


async def sweep(files: EdgeFiles, *, force: bool = False) -> int:
    """Checkpoints what is due, then trims the outbox. Returns how many commits were let go.

    To be called every few seconds; `force` checkpoints whatever there is.
    """
    if force or files.outbox_file.changes_since_checkpoint > CHECKPOINT_ROWS:
        await files.outbox_file.checkpoint()
    if force or files.blobs.file.changes_since_checkpoint > CHECKPOINT_BLOBS:
        await files.blobs.file.checkpoint()
    if not force and files.replica.changes_since_checkpoint <= CHECKPOINT_ROWS:
        return 0
    decided = await files.replica.run(_decided)
    if not (await files.replica.checkpoint()).complete:
        return 0
    gone = 0
    for _ in range(TRIM_ROUNDS):
        now_ms = files.clock.wall_ms()
        trimmed = await files.in_outbox(lambda c, n=now_ms: trim(c, files.outbox, decided, n))  # type: ignore[misc]
        gone += trimmed
        if not trimmed:
            break
    return gone


def _decided(connection: sqlite3.Connection) -> Decided:
    return {
        (space, ordinal): (own.decided_seq, own.decided_id)
        for space in standings.spaces(connection)
        for ordinal, own in standings.load(connection, space).own.items()
    }


def trim(connection: sqlite3.Connection, outbox: Outbox, decided: Decided, now_ms: int) -> int:
    """Lets go of decided commits that have left the window, at most TRIM_COMMITS per stream.
    Returns how many.

    Where the id at a decided seq is another's, a copy has written, and nothing is let go. The
    transaction is not synced: rows that come back are trimmed again.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        return sum(
            _trim_stream(connection, outbox, stream, seq, now_ms)
            for stream, (seq, commit_id) in decided.items()
            if outbox.agrees(connection, stream, seq, commit_id)
        )
    finally:
        connection.execute("PRAGMA synchronous = FULL")


def _trim_stream(
    connection: sqlite3.Connection, outbox: Outbox, stream: Stream, decided_seq: int, now_ms: int
) -> int:
    counter = outbox.counter(*stream)
    candidates = connection.execute(
        SQL["trim_candidates"], (*stream, counter.trimmed_seq, decided_seq, TRIM_COMMITS)
    ).fetchall()
    crowded = outbox.size_bytes > WINDOW_BYTES
    oldest_ms = now_ms - WINDOW_MS
    old = takewhile(lambda row: crowded or unix_ms_of(row[1]) < oldest_ms, candidates)
    gone = [seq for seq, _ in old]
    if not gone:
        return 0
    until = gone[-1]

    def work(c: sqlite3.Connection) -> Counter:
        content, rows = c.execute(SQL["trim_size"], (*stream, until)).fetchone()
        c.execute(SQL["trim_ids"], (*stream, until))
        c.execute(SQL["trim_rows"], (*stream, until))
        left = counter.size_bytes - content - rows * outbox_rows.ROW_BYTES
        after = replace(counter, trimmed_seq=until, size_bytes=max(0, left))
        write_counter(c, stream, after)
        return after

    outbox.counters[stream] = transact(connection, work)
    return len(gone)
