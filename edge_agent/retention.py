"""Letting go, and writing back: what the edge does with its files when nobody waits.

Rows of the outbox may go once a replica that survives loss of power contains their decision. So the
replica is checkpointed first, which syncs it, and only what it contained before counts.

Invariant: whatever a crash leaves of the replica, the outbox still has every commit whose decision
is not in it.
"""

from __future__ import annotations

import sqlite3

from edge_agent import standing as standings
from edge_agent.database import EdgeFiles
from edge_agent.outbox import Stream

CHECKPOINT_ROWS = 20_000
"""Rows changed since the last checkpoint that make one due: a log of some 10 MB, read back quickly
after a crash."""

TRIM_ROUNDS = 16
"""Chunks let go of in one sweep, so that a sweep ends."""


async def sweep(files: EdgeFiles, *, force: bool = False) -> int:
    """Checkpoints what is due, then trims the outbox. Returns how many commits were let go.

    To be called every few seconds; `force` checkpoints whatever there is.
    """
    if force or files.outbox_file.changes_since_checkpoint > CHECKPOINT_ROWS:
        await files.outbox_file.checkpoint()
    if not force and files.replica.changes_since_checkpoint <= CHECKPOINT_ROWS:
        return 0
    decided = await files.replica.run(_decided)
    if not (await files.replica.checkpoint()).complete:
        return 0
    gone = 0
    for _ in range(TRIM_ROUNDS):
        now_ms = files.clock.wall_ms()
        trimmed = await files.in_outbox(lambda c, n=now_ms: files.outbox.trim(c, decided, n))  # type: ignore[misc]
        gone += trimmed
        if not trimmed:
            break
    return gone


def _decided(connection: sqlite3.Connection) -> dict[Stream, int]:
    """The newest decided seq per space and own origin."""
    return {
        (space, ordinal): own.decided_seq
        for space in standings.spaces(connection)
        for ordinal, own in standings.load(connection, space).own.items()
    }
