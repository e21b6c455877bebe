"""What showed that the history of a space is not the one that was told before.

A database file, a snapshot or a standby that went back has no memory of what it lost; those who had
been told do. A replica comes with a proof that it was at a revision which is not there, or which
has another token now; a hub process remembers the head that it told last. Each such sign is kept,
for the epoch that follows and for people.

Invariant: a space with a sign of its present epoch is stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud_hub import change_log, heads
from cloud_hub.heads import Head
from cloud_hub.storage.driver import Transaction

MAX_HELD_CHARS = 2_000
"""Of what a replica says it held: enough to name some tens of records."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Who had seen what. At most `shared` of it can be of this history."""

    space: str
    witness: str
    epoch: int
    revision: int
    shared: int
    seen_ms: int = 0
    held: str = ""


async def contradiction(
    tx: Transaction, head: Head, witness: str, epoch: int, revision: int, token: bytes
) -> Sign | None:
    """The sign, if somebody was rightly told (epoch, revision, token) and this history is another.

    Only the present epoch is judged: an older one has its fork, and whoever is above that is told
    so. What was told of a later epoch than the present one is of a history that is gone.
    """
    if epoch < head.epoch or not revision:
        return None
    if epoch > head.epoch or revision > head.revision:
        return Sign(head.space, witness, epoch, revision, min(revision, head.revision))
    here = head.token
    if revision < head.revision:
        here = await change_log.token_at(tx, head.space, revision)
    if not here or here == token:  # without a row there is nothing to compare with any more
        return None
    return Sign(head.space, witness, epoch, revision, revision - 1)


async def note(tx: Transaction, sign: Sign, now_ms: int) -> None:
    """Keeps a sign. What a replica held is added to it when the replica says so."""
    await tx.execute(
        "fork_signs_note", sign.space, sign.witness, sign.epoch, sign.revision, sign.shared, now_ms,
        sign.held[:MAX_HELD_CHARS],
    )  # fmt: skip


async def stop(tx: Transaction, sign: Sign, now_ms: int) -> None:
    """Stops a space for a sign, unless an epoch has been declared since it was seen."""
    head = await heads.lock(tx, sign.space)
    if head.epoch <= sign.epoch:
        await note(tx, sign, now_ms)
        await heads.stop(tx, sign.space)


async def shared(tx: Transaction, epoch: int) -> tuple[dict[str, int], int]:
    """By space the greatest revision that all signs since an epoch leave, and the greatest ordinal
    that any of them names."""
    rows = await tx.fetch("fork_signs_since", epoch)
    return {space: least for space, least, _ in rows}, max((row[2] for row in rows), default=0)


Place = tuple[str, str, int, int]
BEGINNING: Place = ("", "", -1, -1)


async def page(tx: Transaction, after: Place, limit: int) -> list[Sign]:
    """Signs in the order of space and witness."""
    return [Sign(*row) for row in await tx.fetch("fork_signs_list", *after, limit)]
