"""Commit ids that clients chose in order to be able to retry at any door.

Only those are kept: what a door chose by itself is told apart by origin and seq. After seven days
an id is forgotten, and a door then refuses a retry that old.

Invariant: an id stands for at most one decided commit of a space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloud_hub.storage.driver import Transaction

KEPT_MS = 7 * 24 * 3_600_000
"""Longer than a client that means to retry stays away, and bounded for the table's sake."""

EXPIRED_AT_ONCE = 500
"""Rows per transaction: some milliseconds, so that no commit waits for forgetting."""


async def lookup(tx: Transaction, space: str, ids: Iterable[bytes]) -> dict[bytes, int]:
    """The revisions at which commits of these ids were decided; others are left out."""
    rows = await tx.fetch_by("commit_ids_lookup", (sorted(set(ids)),), space)
    return dict(rows)


async def insert(
    tx: Transaction, space: str, revisions: Mapping[bytes, int], decided_ms: int
) -> None:
    """Notes ids with their revisions, under the space's locked head; one that is there already
    keeps its first."""
    columns = (list(revisions), list(revisions.values()))
    await tx.write_rows("commit_ids_insert", columns, space, decided_ms)


async def expire(tx: Transaction, before_ms: int, limit: int = EXPIRED_AT_ONCE) -> int:
    """Forgets up to `limit` ids decided before a time, the oldest first. Returns how many."""
    return len(await tx.fetch("commit_ids_expire", before_ms, limit))
