"""The newest revision of each space: the row by which writers of a space take turns.

The revision comes from this row and never from a sequence: sequences do not commit in order, so a
reader of the log would skip what commits late. Whoever holds the lock is the only one to give
revisions in the space, and whoever gets it next sees all that was written under it.

Invariant: a head's revision is the last one of the log, and its token that of the last log row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cloud_hub.storage.driver import Transaction
from holdfast.host.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Head:
    """Where a space is. `token` is empty at revision 0, else 16 random bytes, new with every
    transaction; `stamp_max` is the greatest stamp in the space.

    `stopped` is empty, or why nothing is decided or told of the space until a new epoch is
    declared: `fork` (somebody has seen another history), or `timeline` (the database is not the
    one that the epoch was declared in, found by comparing as the head was read)."""

    space: str
    epoch: int
    revision: int
    token: bytes
    stamp_max: int
    stopped: str = ""

    def going(self) -> Head:
        """Itself. Raises Refusal SPACE_STOPPED."""
        if self.stopped:
            raise Refusal("SPACE_STOPPED", f"{self.space}: {WHY[self.stopped]}")
        return self


WHY = {
    "fork": "the history here is not the one that was told before",
    "timeline": "the database was promoted or restored, and may have lost its newest commits",
}
"""For people: why a space is stopped."""


async def lock(tx: Transaction, space: str) -> Head:
    """The head, locked to the end of the transaction; the space begins if it does not exist.

    Who locks several does so in the order of their names, so that nobody waits in a circle. Before
    the first epoch exists there can be no space.
    """
    rows = await tx.fetch("heads_lock", space)
    if not rows:
        await tx.fetch("epochs_hold")  # nobody declares an epoch that would pass this space by
        await tx.execute("heads_create", space)
        rows = await tx.fetch("heads_lock", space)
    return Head(*rows[0])


async def advance(tx: Transaction, head: Head) -> None:
    """Writes a locked head anew."""
    await tx.execute(
        "heads_advance", head.space, head.epoch, head.revision, head.token, head.stamp_max
    )


async def stop(tx: Transaction, space: str) -> None:
    """Has nothing decided in a space until a new epoch is declared."""
    await tx.execute("heads_stop", space, "fork")


async def read(tx: Transaction, space: str) -> Head | None:
    """The head as it is, not locked; None if the space does not exist."""
    return (await read_many(tx, (space,))).get(space)


async def read_many(tx: Transaction, spaces: Sequence[str]) -> dict[str, Head]:
    """The heads of those spaces that exist."""
    return {row[0]: Head(*row) for row in await tx.fetch_by("heads_of", (spaces,))}


async def page(tx: Transaction, after: str, limit: int) -> list[Head]:
    """Up to `limit` heads by name, beginning after a name ("" for the first)."""
    return [Head(*row) for row in await tx.fetch("heads_list", after, limit)]
