"""Contents of checkpoints at an edge: blobs.db, chunks by hash and which threads need them.

A file of its own, synchronous=FULL: a content is durable before the commit that names it is
acknowledged, and a large one holds up no commit of others. What the hub is not known to have is
marked; the marks are all that sending goes by (edge_agent.carrier).

A file that is damaged is set aside under another name and begun anew: what the hub has comes again
when it is asked for, and what it lacks is looked for in vain, and named by whoever asks.

Invariant: that of sync.blobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edge_agent import statements
from holdfast.host.migrations import load
from holdfast.host.sqlite import Pragmas, SqliteFile
from holdfast.host.sqlite_migrations import migrate
from sync.blobs import MAX_NAMES, BaseMoved, Standing, asked_of, fresh, standing_of
from sync.chains import MAX_DEPTH, Blob

SQL = statements.load("blobs")

NAME = "blobs.db"

PRAGMAS = Pragmas(synchronous="FULL", cache_kib=2_048)

_MIGRATIONS = load(__package__, "sql/blobs")


@dataclass(frozen=True, slots=True)
class Unsent:
    """A blob that the hub is not known to have for a thread; `number` is its place in the queue."""

    number: int
    space: str
    thread: str
    name: bytes


class EdgeBlobs:
    """The store of an edge; see sync.blobs.Blobs. Raises DatabaseError. Make it with `prepared`."""

    def __init__(self, file: SqliteFile) -> None:
        self.file = file
        self.on_kept: Callable[[], None] = lambda: None
        """Called when there may be something to send."""

    @classmethod
    async def prepared(cls, file: SqliteFile, wall_ms: int) -> EdgeBlobs:
        """The store in an open file, which it closes if that cannot be used. Raises MigrationError,
        DatabaseError."""
        try:
            await file.run(lambda c: migrate(c, _MIGRATIONS, wall_ms))
        except BaseException:
            await file.close()
            raise
        return cls(file)

    async def close(self) -> None:
        """May be called again."""
        await self.file.close()

    # -- the seam --------------------------------------------------------------

    async def chain(self, space: str, name: bytes) -> list[Blob]:
        """See Blobs."""
        rows = await self.file.snapshot(
            lambda c: c.execute(SQL["chain"], (space, name, MAX_DEPTH)).fetchall()
        )
        return sorted((Blob(*row) for row in rows), key=lambda blob: -blob.depth)

    async def known(self, space: str, names: Collection[bytes]) -> dict[bytes, Standing]:
        """See Blobs."""
        return await self.file.snapshot(lambda c: _known(c, space, names))

    async def keep(self, space: str, thread: str, blobs: Sequence[Blob]) -> None:
        """See Blobs."""

        def work(connection: sqlite3.Connection) -> None:
            held = _known(connection, space, asked_of(blobs))
            for blob in fresh(blobs, held).values():
                held[blob.name] = standing_of(blob)
                place = (blob.base, blob.depth, blob.keyframe, blob.packed)
                row = (space, blob.name, blob.size, blob.codec, *place)
                connection.execute(SQL["save"], row)
            _need(connection, space, thread, [blob.name for blob in blobs], held)

        await self.file.transaction(work)
        self.on_kept()

    async def use(self, space: str, thread: str, names: Collection[bytes]) -> frozenset[bytes]:
        """See Blobs."""

        def work(connection: sqlite3.Connection) -> frozenset[bytes]:
            held = _known(connection, space, names)
            _need(connection, space, thread, list(held), dict(held))
            return frozenset(held)

        found = await self.file.transaction(work)
        self.on_kept()
        return found

    async def used(self, space: str, thread: str, after: bytes) -> dict[bytes, Standing]:
        """See Blobs."""
        rows = await self.file.snapshot(
            lambda c: c.execute(SQL["used"], (space, thread, after, MAX_NAMES)).fetchall()
        )
        return {row[0]: Standing(*row) for row in rows}

    async def shared(self, space: str, thread: str, names: Collection[bytes]) -> frozenset[bytes]:
        """See Blobs."""
        return await self.file.snapshot(lambda c: _shared(c, space, thread, names))

    async def drop(
        self, space: str, thread: str, anew: Sequence[Blob], gone: Collection[bytes]
    ) -> None:
        """See Blobs."""

        def work(connection: sqlite3.Connection) -> None:
            others = _shared(connection, space, thread, [blob.name for blob in anew])
            for blob in anew:
                if blob.name in others:
                    raise BaseMoved(blob.name)
                place = (blob.codec, blob.base, blob.depth, blob.keyframe, blob.packed)
                connection.execute(SQL["replace"], (*place, space, blob.name))
            held = {blob.name: standing_of(blob) for blob in anew}
            _need(connection, space, thread, list(held), held)
            for name in gone:
                connection.execute(SQL["drop_use"], (space, thread, name))
            for name in gone:
                connection.execute(SQL["drop_unused"], (space, name))

        await self.file.transaction(work)

    # -- what the hub has ------------------------------------------------------

    async def unsent(self, after: int, limit: int) -> list[Unsent]:
        """What the hub is not known to have, in the order in which it came, after a number."""
        rows = await self.file.snapshot(
            lambda c: c.execute(SQL["unsent"], (after, limit)).fetchall()
        )
        return [Unsent(*row) for row in rows]

    async def mark_sent(self, numbers: Collection[int]) -> None:
        """The hub has said that it has these."""
        rows = [(number,) for number in numbers]
        await self.file.transaction(lambda c: c.executemany(SQL["mark_sent"], rows))

    async def mark_heard(self, space: str, thread: str, names: Collection[bytes]) -> None:
        """These have come from the hub."""
        rows = [(space, thread, name) for name in names]
        await self.file.transaction(lambda c: c.executemany(SQL["mark_heard"], rows))

    async def mark_all_unsent(self) -> None:
        """The hub may have lost what it had: everything is asked for again."""
        await self.file.transaction(lambda c: c.execute(SQL["mark_all_unsent"]))

    async def count_unsent(self) -> int:
        """How many the hub is not known to have."""
        row = await self.file.snapshot(lambda c: c.execute(SQL["count_unsent"]).fetchone())
        return int(row[0])


def _known(
    connection: sqlite3.Connection, space: str, names: Collection[bytes]
) -> dict[bytes, Standing]:
    found = {}
    for name in names:
        row = connection.execute(SQL["known"], (space, name)).fetchone()
        if row is not None:
            found[name] = Standing(*row)
    return found


def _shared(
    connection: sqlite3.Connection, space: str, thread: str, names: Collection[bytes]
) -> frozenset[bytes]:
    return frozenset(
        name
        for name in names
        if connection.execute(SQL["used_by_others"], (space, name, thread)).fetchone()
    )


def _need(
    connection: sqlite3.Connection, space: str, thread: str, names: Sequence[bytes],
    held: dict[bytes, Standing],
) -> None:  # fmt: skip
    """Notes that a thread needs blobs, bases first, and whatever they stand upon as far as that is
    not noted."""
    for name in names:
        new, at = list[bytes](), name
        while not connection.execute(SQL["is_used"], (space, thread, at)).fetchone():
            new.append(at)
            if at not in held:
                held |= _known(connection, space, [at])
            below = held[at].base
            if below is None:
                break
            at = below
        for one in reversed(new):
            connection.execute(SQL["use"], (space, thread, one, 0))
