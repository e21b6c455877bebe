"""The hub's table of histories.

A new epoch is declared where the tail of the one before may have been lost, before anything is
decided in it. It is one table for all spaces, with the fork of each.

Invariant: rows are only added. The first epoch is there before the first space.
"""

from __future__ import annotations

from collections import defaultdict

from cloud_hub import heads
from cloud_hub.storage.driver import Transaction
from sync.position import Epoch, Lineage

FIRST = 1
"""The ordinal of a database's first epoch; 0 is the epoch of who has never heard from a hub."""

_HEADS_AT_ONCE = 1_000
"""Heads read by one query while an epoch is declared."""


async def load(tx: Transaction) -> Lineage:
    """All epochs, oldest first. There is one since `begin`."""
    forks: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for ordinal, space, revision in await tx.fetch("epoch_forks_all"):
        forks[ordinal][space] = revision
    rows = await tx.fetch("epochs_all")
    return Lineage(tuple(Epoch(row[0], row[1], row[2], forks[row[0]]) for row in rows))


async def begin(tx: Transaction, epoch_id: bytes, now_ms: int) -> Lineage:
    """All epochs, after making the first one, with this id, if there was none."""
    await tx.execute("epochs_insert", FIRST, epoch_id, 0, now_ms)
    return await load(tx)


async def declare(tx: Transaction, epoch_id: bytes, now_ms: int) -> Lineage:
    """All epochs, after declaring a new one that forks every space at its head.

    Every head is locked, so that nothing is decided in the old epoch while the new one begins.
    """
    forks: dict[str, int] = {}
    while page := await heads.page(tx, max(forks, default=""), _HEADS_AT_ONCE):
        for head in page:
            forks[head.space] = (await heads.lock(tx, head.space)).revision
    parent = (await load(tx)).present.ordinal
    await tx.execute("epochs_insert", parent + 1, epoch_id, parent, now_ms)
    await tx.write_rows("epoch_forks_insert", (list(forks), list(forks.values())), parent + 1)
    await tx.execute("heads_enter_epoch", parent + 1)
    return await load(tx)
