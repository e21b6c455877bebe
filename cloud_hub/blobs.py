"""Contents of checkpoints in the hub's database: chunks by hash, and which threads need them.

Whoever keeps a blob that is here already holds its row until it has noted the need, and whoever
deletes locks the rows first and looks after that: so of two processes one waits for the other, and
nothing goes that somebody has just come to need.

Invariant: that of sync.blobs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cloud_hub.storage.driver import Columns, Driver, Row, Transaction
from sync.blobs import MAX_NAMES, BaseMoved, Standing, asked_of, fresh, standing_of
from sync.chains import MAX_DEPTH, Blob


class HubBlobs:
    """The store of the hub; see sync.blobs.Blobs. Raises StorageError."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def chain(self, space: str, name: bytes) -> list[Blob]:
        """See Blobs."""

        async def work(tx: Transaction) -> list[Row]:
            return await tx.fetch("blobs_chain", space, name, MAX_DEPTH)

        found = map(_blob, await self._driver.read(work))
        return sorted(found, key=lambda blob: -blob.depth)

    async def known(self, space: str, names: Collection[bytes]) -> dict[bytes, Standing]:
        """See Blobs."""

        async def work(tx: Transaction) -> list[Row]:
            return await tx.fetch_by("blobs_known", (list(names),), space)

        return _standings(await self._driver.read(work))

    async def keep(self, space: str, thread: str, blobs: Sequence[Blob]) -> None:
        """See Blobs."""

        async def work(tx: Transaction) -> None:
            held = await _held(tx, space, asked_of(blobs))
            new = fresh(blobs, held)
            if new:
                await tx.write_rows("blobs_save", _columns(list(new.values())), space)
                # Another process may have been faster with one of them, and upon another base.
                after = await _held(tx, space, list(new))
                moved = [name for name, blob in new.items() if after[name] != standing_of(blob)]
                if moved:
                    raise BaseMoved(moved[0])
                held |= after
            await _need(tx, space, thread, {blob.name for blob in blobs}, held)

        await self._driver.write(work)

    async def use(self, space: str, thread: str, names: Collection[bytes]) -> frozenset[bytes]:
        """See Blobs."""

        async def work(tx: Transaction) -> frozenset[bytes]:
            held = await _held(tx, space, sorted(names))
            await _need(tx, space, thread, set(held), dict(held))
            return frozenset(held)

        return await self._driver.write(work)

    async def used(self, space: str, thread: str, after: bytes) -> dict[bytes, Standing]:
        """See Blobs."""

        async def work(tx: Transaction) -> list[Row]:
            rows = await tx.fetch("blob_uses_page", space, thread, after, MAX_NAMES)
            return await tx.fetch_by("blobs_known", ([row[0] for row in rows],), space)

        found = _standings(await self._driver.read(work))
        return dict(sorted(found.items()))

    async def shared(self, space: str, thread: str, names: Collection[bytes]) -> frozenset[bytes]:
        """See Blobs."""

        async def work(tx: Transaction) -> frozenset[bytes]:
            return await _others(tx, space, thread, list(names))

        return await self._driver.read(work)

    async def drop(
        self, space: str, thread: str, anew: Sequence[Blob], gone: Collection[bytes]
    ) -> None:
        """See Blobs."""

        async def work(tx: Transaction) -> None:
            names = sorted({*gone, *(blob.name for blob in anew)})
            for start in range(0, len(names), MAX_NAMES):
                await tx.fetch_by("blobs_lock", (names[start : start + MAX_NAMES],), space)
            others = await _others(tx, space, thread, names)
            mine = [blob for blob in anew if blob.name not in others]
            if len(mine) < len(anew):
                raise BaseMoved(next(iter(others)))
            if mine:
                await tx.write_rows("blobs_replace", _columns(mine), space)
                await _need(tx, space, thread, {blob.name for blob in mine}, {
                    blob.name: standing_of(blob) for blob in mine
                })  # fmt: skip
            if gone:
                await tx.write_rows("blob_uses_drop", (sorted(gone),), space, thread)
                await tx.write_rows("blobs_drop_unused", (sorted(gone),), space)

        await self._driver.write(work)


async def _held(tx: Transaction, space: str, names: Sequence[bytes]) -> dict[bytes, Standing]:
    """Those of these that are here; none of them goes before the transaction ends."""
    return _standings(await tx.fetch_by("blobs_hold", (list(names),), space))


async def _need(
    tx: Transaction, space: str, thread: str, names: set[bytes], held: dict[bytes, Standing]
) -> None:
    """Notes that a thread needs blobs, and whatever they stand upon as far as that is not noted."""
    noted, wanted = set[bytes](), names
    while wanted:
        missing = sorted(wanted - held.keys())
        if missing:
            held |= await _held(tx, space, missing)
        rows = await tx.fetch_by("blob_uses_among", (sorted(wanted),), space, thread)
        noted |= (new := wanted - {row[0] for row in rows})
        below = {held[name].base for name in new if name in held}
        wanted = {base for base in below if base is not None} - noted
    if noted:
        await tx.write_rows("blob_uses_save", (sorted(noted),), space, thread)


async def _others(
    tx: Transaction, space: str, thread: str, names: Sequence[bytes]
) -> frozenset[bytes]:
    rows = await tx.fetch_by("blob_uses_by_others", (list(names),), space, thread)
    return frozenset(row[0] for row in rows)


def _blob(row: Row) -> Blob:
    name, size, codec, base, depth, keyframe, packed = row
    return Blob(name, size, codec, base, depth, keyframe, bytes(packed))


def _standings(rows: Sequence[Row]) -> dict[bytes, Standing]:
    return {row[0]: Standing(*row) for row in rows}


def _columns(blobs: Sequence[Blob]) -> Columns:
    return (
        [blob.name for blob in blobs],
        [blob.size for blob in blobs],
        [blob.codec for blob in blobs],
        [blob.base for blob in blobs],
        [blob.depth for blob in blobs],
        [blob.keyframe for blob in blobs],
        [blob.packed for blob in blobs],
    )
