"""Makes the two files agree: at start, and whenever one of them was begun anew.

The outbox is written first, the view of its commits after; between the two the process may die.
And either file may be put back as it was yesterday. Every case ends the same way: the outbox is the
truth about what was acknowledged, the replica about what was decided, and the view is put together
from both.

Invariant: afterwards the view contains every undecided commit of the outbox once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from edge_agent import overlay, renaming, replica
from edge_agent import standing as standings
from edge_agent.database import EdgeFiles
from edge_agent.outbox import Outbox
from edge_agent.outbox_rows import DamagedRow
from edge_agent.standing import Standing
from edge_agent.tail import Arrival
from sync.batch import Batch, Decided
from sync.commit import OutcomeKind
from sync.messages import Scope, VoidRange


async def reconcile(files: EdgeFiles) -> None:
    """Makes the files agree. The caller holds `files.writing`, or nothing else runs yet."""
    found = await files.replica.snapshot(_standings)
    if await files.in_outbox(lambda c: _behind(c, files.outbox, found)):
        await _take_new_origin(files, "OUTBOX_RESTORED", {})
    for standing in found:
        strangers = _strangers(files, standing)
        if strangers or _has_more(files, standing):
            await files.replica.transaction(
                lambda c, s=standing.space, o=strangers: overlay.clear(c, s, o)  # type: ignore[misc]
            )
    for space in files.outbox.spaces:
        await catch_up(files, space)


async def take_new_origin(
    files: EdgeFiles, reason: str, keep: Mapping[tuple[str, bytes], int]
) -> None:
    """From now on commits have a new origin; per space and origin, those above `keep` too."""
    async with files.writing:
        await _take_new_origin(files, reason, keep)
        await reconcile(files)


async def part_from_copies(files: EdgeFiles, arrivals: Sequence[Arrival]) -> bool:
    """Looks whether decided commits of this edge's origins are this outbox's. If another database
    wrote them, its own undecided ones take a new origin. Returns whether that was so."""
    ordinals = files.outbox.ordinals
    batches = [arrival.decided for arrival in arrivals if arrival.decided.batch.origin in ordinals]
    if not batches:
        return False
    keep = await files.in_outbox(lambda c: _parted(c, files.outbox, batches))
    if keep:
        await take_new_origin(files, "ORIGIN_COPIED", keep)
    return bool(keep)


def _parted(
    connection: sqlite3.Connection, outbox: Outbox, batches: Sequence[Decided]
) -> dict[tuple[str, bytes], int]:
    """Per space and origin the last seq up to which decided commits are those of the outbox, where
    they are not all."""
    keep: dict[tuple[str, bytes], int] = {}
    for decided in batches:
        batch = decided.batch
        last = outbox.counter(batch.space, outbox.ordinals[batch.origin]).last_seq
        shared = _shared(connection, outbox, decided, last)
        ahead = batch.origin == outbox.origin.id and batch.last_seq > last
        if shared < min(batch.last_seq, last) or ahead:
            key = (batch.space, batch.origin)
            keep[key] = min(shared, keep.get(key, shared))
    return keep


def _shared(connection: sqlite3.Connection, outbox: Outbox, decided: Decided, last_seq: int) -> int:
    """The last seq, of a batch's and at most `last_seq`, by which both mean the same commit."""
    batch = decided.batch
    newest = min(batch.last_seq, last_seq)
    differing: list[int] = []
    for first in (newest, batch.first_seq):  # as a rule a look at the newest is enough
        if first < batch.first_seq:
            return newest
        seqs = range(first, newest + 1)
        ours = outbox.ids_at(connection, batch.space, batch.origin, seqs)
        differing = [
            seq
            for seq in seqs
            if ours.get(seq, b"") not in (b"", batch.commit_ids[seq - batch.first_seq])
            and decided.outcome(seq - batch.first_seq).kind is not OutcomeKind.LOST
        ]
        if not differing:
            return newest
    return differing[0] - 1


async def reset_replica(files: EdgeFiles, space: str, reason: str) -> None:
    """Begins the replica of a space from zero, counted by reason."""
    async with files.writing:
        await files.replica.run(lambda c: replica.reset(c, space))
        await files.count_rebuild(reason)
        await catch_up(files, space)


async def follow_scope(files: EdgeFiles, space: str, scope: Scope) -> None:
    """Notes what of a space is replicated. A copy of another part begins from zero: at its cursor
    it lacks what was not in its scope, and would call it absent. Only once the hub is there."""
    wanted = standings.scope_name(scope)
    async with files.writing:
        standing = await files.replica.run(lambda c: standings.load(c, space))
        if standing.scope == wanted:
            return
        if standing.cursor.revision:
            await files.replica.run(lambda c: replica.reset(c, space))
            await files.count_rebuild("SCOPE_CHANGED")
        await files.replica.transaction(lambda c: _note_scope(c, space, wanted))
        await catch_up(files, space)


async def replace_replica(files: EdgeFiles, reason: str) -> None:
    """Sets a damaged replica aside and begins one from zero."""
    async with files.writing:
        await files.replace_replica(reason)
        await reconcile(files)


async def catch_up(files: EdgeFiles, space: str) -> None:
    """Puts commits of the outbox that the view lacks on top of it.

    A splice among them may have been written on an earlier state than the replica's: then it shows
    only in a replica that comes by that state again, from the beginning.
    """
    if not await _caught_up(files, space):
        await files.replica.run(lambda c: replica.reset(c, space))
        await files.count_rebuild("SPLICES_REPLAYED")
        await _caught_up(files, space)


async def _caught_up(files: EdgeFiles, space: str) -> bool:
    fits = True
    for ordinal in files.outbox.streams(space):
        decided, after = await files.replica.run(lambda c, o=ordinal: _view_seqs(c, space, o))  # type: ignore[misc]
        origin = files.outbox.id_of(ordinal)
        if files.outbox.counter(space, ordinal).last_seq <= after:
            continue
        # What the view lacks may have emptied commits that it has.
        emptied = await files.in_outbox(
            lambda c, o=ordinal, d=decided, a=after: files.outbox.emptied(c, space, o, d, a)  # type: ignore[misc]
        )
        while True:
            found = await _next(files, space, origin, after)
            if found is None:
                break
            if isinstance(found, Batch):
                batch = found
                fits &= await files.replica.transaction(
                    lambda c, o=ordinal, b=batch, e=emptied: overlay.extend(c, o, b, e)  # type: ignore[misc]
                )
                after = found.last_seq
            else:
                after = found.first_seq + found.count - 1
    return fits


async def void_damaged(files: EdgeFiles, damaged: DamagedRow) -> None:
    """Declares a damaged commit lost, durably and with an alarm: what cannot be read cannot be
    sent, and nothing behind it may wait for ever."""
    await files.in_outbox(lambda c: files.outbox.void_damaged(c, damaged))
    files.alarms.raise_(damaged.reason, f"{damaged}; it is declared lost")


async def _next(
    files: EdgeFiles, space: str, origin: bytes, after: int
) -> Batch | VoidRange | None:
    while True:
        try:
            return await files.in_outbox(lambda c: files.outbox.read(c, space, origin, after))
        except DamagedRow as damaged:
            await void_damaged(files, damaged)


async def _take_new_origin(
    files: EdgeFiles, reason: str, keep: Mapping[tuple[str, bytes], int]
) -> None:
    origin = files.new_id()
    await files.in_outbox(lambda c: renaming.take_new_origin(c, files.outbox, origin, reason, keep))
    files.alarms.raise_(reason, f"commits are written under the new origin {origin.hex()}")


def _note_scope(connection: sqlite3.Connection, space: str, wanted: str) -> None:
    standing = standings.load(connection, space)
    standing.scope = wanted
    standings.save(connection, standing)


def _standings(connection: sqlite3.Connection) -> list[Standing]:
    return [standings.load(connection, space) for space in standings.spaces(connection)]


def _view_seqs(connection: sqlite3.Connection, space: str, ordinal: int) -> tuple[int, int]:
    """Up to where an origin's commits are decided, and up to where they are in the view."""
    own = standings.load(connection, space).own.get(ordinal)
    return (0, 0) if own is None else (own.decided_seq, max(own.decided_seq, own.overlay_seq))


def _behind(connection: sqlite3.Connection, outbox: Outbox, found: Sequence[Standing]) -> bool:
    """Whether the replica knows of commits that the outbox does not, or has by another id: seqs
    that were used must not be used again for others."""
    present = outbox.origin
    for standing in found:
        if max(standing.own, default=0) > present.ordinal:
            return True
        own = standing.own.get(present.ordinal)
        if own is None or own.origin != present.id:
            continue
        stream = (standing.space, present.ordinal)
        if own.overlay_seq > outbox.counter(*stream).last_seq:
            return True
        if own.decided_seq and not outbox.agrees(
            connection, stream, own.decided_seq, own.decided_id
        ):
            return True
    return False


def _strangers(files: EdgeFiles, standing: Standing) -> list[int]:
    """Ordinals by which the replica means origins of another outbox."""
    ours = {origin.ordinal: origin.id for origin in files.outbox.origins}
    return [n for n, own in standing.own.items() if ours.get(n) != own.origin]


def _has_more(files: EdgeFiles, standing: Standing) -> bool:
    """Whether the view contains commits that the outbox has under another name, or not at all."""
    return any(
        own.newest_pending > files.outbox.counter(standing.space, ordinal).last_seq
        for ordinal, own in standing.own.items()
    )
