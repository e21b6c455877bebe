"""The hub's table of histories.

A new epoch is declared where the tail of the one before may have been lost, before anything is
decided in it. It is one table for all spaces, with the fork of each.

Invariant: rows are only added, each before anything is decided in it. The first epoch is there
before the first space.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from cloud_hub import forks, heads
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
    await tx.execute("epochs_insert", FIRST, epoch_id, 0, now_ms, "the beginning", "")
    return await load(tx)


async def declare(
    tx: Transaction, epoch_id: bytes, now_ms: int, reason: str, actor: str, *, if_needed: bool
) -> Lineage:
    """All epochs, after declaring a new one.

    It forks every space at its head, or lower where somebody has seen another history. Every head
    is locked, so that nothing is decided in the old epoch while the new one begins. `if_needed`:
    only if a space is stopped, since another process may have been faster. An id that is there
    already is not declared again.
    """
    await tx.fetch("epochs_hold_alone")
    lineage = await load(tx)
    if any(epoch.id == epoch_id for epoch in lineage.epochs):
        return lineage
    held = await _hold_all(tx)
    timeline = await tx.fetch("epochs_timeline")
    last = await listed(tx, lineage.present.ordinal - 1, 1)
    moved = last[0].timeline != timeline[0][0]
    if if_needed and not moved and not any(head.stopped for head in held):
        return lineage
    parent = lineage.present.ordinal
    least, seen = await forks.shared(tx, parent)
    ordinal = max(parent, seen) + 1  # never one that somebody knows from a history that is gone
    shared = {h.space: min(h.revision, least.get(h.space, h.revision)) for h in held}
    await tx.execute("epochs_insert", ordinal, epoch_id, parent, now_ms, reason, actor)
    await tx.write_rows("epoch_forks_insert", (list(shared), list(shared.values())), ordinal)
    await tx.execute("heads_enter_epoch", ordinal)
    return await load(tx)


async def _hold_all(tx: Transaction) -> list[heads.Head]:
    held: list[heads.Head] = []
    while page := await heads.page(tx, held[-1].space if held else "", _HEADS_AT_ONCE):
        held += [await heads.lock(tx, head.space) for head in page]
    return held


@dataclass(frozen=True, slots=True)
class Entry:
    """An epoch as the table has it, for people."""

    ordinal: int
    id: bytes
    parent: int
    created_ms: int
    timeline: int
    reason: str
    actor: str


async def listed(tx: Transaction, after: int, limit: int) -> list[Entry]:
    """Epochs after an ordinal, oldest first."""
    return [Entry(*row) for row in await tx.fetch("epochs_listed", after, limit)]
