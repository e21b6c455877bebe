"""The edge's three files, opened together by the one process that holds their directory.

outbox.db is FULL: what is committed there survives loss of power. replica.db is NORMAL: its newest
transactions may be lost, and come again from the hub and the outbox. blobs.db, with the contents of
checkpoints, is FULL (see edge_agent.blobs). Each has one writing connection. Readers have another
on the replica; and the thread of the outbox has one of its own, so that judging a commit against
the view and storing it is one hop between threads.

A damaged replica, or file of blobs, is set aside and begun anew while the outbox goes on. A damaged
outbox file is not: nothing else knows what is in it, so opening it fails, with what to do.

Invariant: outbox.db is never created where a damaged one was, and never touched by what repairs the
replica.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from edge_agent import blobs
from edge_agent.alarms import Alarms
from edge_agent.blobs import EdgeBlobs
from edge_agent.outbox import SQL, Outbox
from holdfast.host.clock import Clock
from holdfast.host.datadir import DataDirectory
from holdfast.host.migrations import MigrationChanged, load
from holdfast.host.sqlite import (
    Checkpoint,
    Corrupt,
    Database,
    DatabaseError,
    Pragmas,
    SqliteFile,
    transact,
)
from holdfast.host.sqlite_file import connect
from holdfast.host.sqlite_migrations import migrate

T = TypeVar("T")

OUTBOX_NAME = "outbox.db"
REPLICA_NAME = "replica.db"

MISTAKES = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a program raises that reads something other than what it wrote: NULL where a number was."""

KEPT_DAMAGED = 2
"""Damaged replicas kept for examination: each may be as large as the replica."""

_OUTBOX_MIGRATIONS = load(__package__, "sql/outbox")
_REPLICA_MIGRATIONS = load(__package__, "sql/replica")

_log = logging.getLogger(__name__)


class Opener(Protocol):
    """Opens a file: `Database.open`, or `InlineDatabase.open` in a simulation."""

    def __call__(
        self, path: Path | str, pragmas: Pragmas | None = None, *, read_only: bool = False
    ) -> Awaitable[SqliteFile]: ...


@dataclass(slots=True)
class ReplicaFile:
    """A connection to the replica that remembers that the file was found damaged: whoever met the
    damage is told, and house-keeping begins it anew."""

    file: SqliteFile
    damaged: bool = False

    @property
    def changes_since_checkpoint(self) -> int:
        return self.file.changes_since_checkpoint

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._noticed():
            return await self.file.run(work)

    async def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._noticed():
            return await self.file.transaction(work)

    async def snapshot(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._noticed():
            return await self.file.snapshot(work)

    async def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        async with self._noticed():
            return await self.file.checkpoint(truncate=truncate)

    async def close(self) -> None:
        await self.file.close()

    @contextlib.asynccontextmanager
    async def _noticed(self) -> AsyncIterator[None]:
        try:
            yield
        except Corrupt:
            self.damaged = True
            raise
        except MISTAKES as error:
            if await self.is_sound():
                raise
            self.damaged = True
            text = f"what was read is not what was written: {error!r}"
            raise Corrupt(text) from error

    async def is_sound(self) -> bool:
        """Whether the file holds what its schema allows."""
        try:
            rows = await self.file.run(lambda c: c.execute("PRAGMA quick_check(1)").fetchall())
        except Corrupt:
            return False
        return bool(rows == [("ok",)])


@dataclass(slots=True)
class EdgeFiles:
    """The open files. `replica` and `reader` are other objects after `replace_replica`."""

    directory: Path
    outbox_file: SqliteFile
    replica: ReplicaFile
    reader: ReplicaFile
    outbox: Outbox
    clock: Clock
    new_id: Callable[[], bytes]
    alarms: Alarms
    opener: Opener
    rebuilds: dict[str, int]
    blobs: EdgeBlobs
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while commits are taken, and by whatever must not have commits taken meanwhile."""
    generation: int = 0
    """Counts replicas since start: who remembers things of the replica compares it."""
    _view: sqlite3.Connection | None = None

    @property
    def replica_path(self) -> Path:
        return self.directory / REPLICA_NAME

    # -- the outbox's thread -------------------------------------------------

    async def in_outbox(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs a function in the outbox's thread."""
        return await self.outbox_file.run(work)

    async def answer(self) -> None:
        """Returns when the threads that write the files have answered; what else is wrong with a
        file is told elsewhere, and needs no new process."""
        await self.outbox_file.run(_nothing)
        await self.blobs.file.run(_nothing)
        with contextlib.suppress(DatabaseError):  # it may be set aside at this moment
            await self.replica.file.run(_nothing)

    def view(self) -> sqlite3.Connection:
        """A reading connection to the replica, for functions in the outbox's thread only."""
        if self._view is None:
            self._view = connect(self.replica_path, Pragmas(cache_kib=2_048), read_only=True)
        return self._view

    def _close_view(self, _: sqlite3.Connection | None = None) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None

    # -- the replica ---------------------------------------------------------

    @property
    def replica_damaged(self) -> bool:
        """Whether the replica was found damaged, and not begun anew since."""
        return self.replica.damaged or self.reader.damaged

    async def look_over_replica(self) -> None:
        """Looks whether the replica holds what its schema allows, on a connection of its own, so
        that readers and writers go on: what a flipped bit has changed may be met late, or never."""
        file = await self.opener(self.replica_path, Pragmas(), read_only=True)
        try:
            if not await ReplicaFile(file).is_sound():
                self.replica.damaged = True
        finally:
            await file.close()

    async def replace_replica(self, reason: str) -> None:
        """Sets the replica aside, damaged, and begins one from zero. The caller holds `writing`,
        and puts the view together again from the outbox."""
        self.replica.damaged = True  # and it stays so if no new one can be begun now
        await self.outbox_file.run(self._close_view)
        for file in (self.reader, self.replica):
            with contextlib.suppress(Exception):
                await file.close()
        set_aside(self.replica_path)
        self.replica, self.reader = await _open_replica(
            self.replica_path, self.opener, self.clock.wall_ms()
        )
        self.generation += 1
        await self.count_rebuild(reason)

    async def count_rebuild(self, reason: str) -> None:
        """Notes that a replica began from zero, and why."""

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            transact(connection, lambda c: c.execute(SQL["count_rebuild"], (reason,)))
            return _rebuilds(connection)

        self.rebuilds = await self.outbox_file.run(work)
        self.alarms.raise_(reason, "the replica is built anew from the hub")

    async def setting(self, name: str) -> str | None:
        """What was set by this name, None if nothing was."""
        row = await self.outbox_file.run(lambda c: c.execute(SQL["setting"], (name,)).fetchone())
        return None if row is None else str(row[0])

    async def set_setting(self, name: str, value: str) -> None:
        """Sets it, durably."""
        await self.outbox_file.transaction(lambda c: c.execute(SQL["set_setting"], (name, value)))

    async def close(self) -> None:
        """Closes the files, readers first. May be called again."""
        with contextlib.suppress(Exception):
            await self.outbox_file.run(self._close_view)
        await self.reader.close()
        await self.replica.close()
        await self.blobs.close()
        await self.outbox_file.close()


@contextlib.asynccontextmanager
async def opened(
    path: Path,
    edge: str,
    clock: Clock,
    new_id: Callable[[], bytes],
    alarms: Alarms | None = None,
    opener: Opener = Database.open,
) -> AsyncIterator[EdgeFiles]:
    """The files of the edge in a directory, held by this process alone until the end of the block.

    `new_id` gives 16 random bytes. Raises HostError: the directory is in use, a disk failed, or
    outbox.db is damaged.
    """
    with DataDirectory.acquire(path) as directory:
        files = await open_files(directory.path, edge, clock, new_id, alarms or Alarms(), opener)
        try:
            yield files
        finally:
            await files.close()


async def open_files(
    path: Path, edge: str, clock: Clock, new_id: Callable[[], bytes], alarms: Alarms,
    opener: Opener,
) -> EdgeFiles:  # fmt: skip
    """The files in a directory that the caller holds."""
    outbox_file = await opener(path / OUTBOX_NAME, Pragmas(synchronous="FULL"))
    try:
        await outbox_file.run(lambda c: migrate(c, _OUTBOX_MIGRATIONS, clock.wall_ms()))
        outbox = await outbox_file.run(lambda c: Outbox.load(c, edge, new_id))
        rebuilds = await outbox_file.run(_rebuilds)
        replica_path = path / REPLICA_NAME
        # An outbox that knows a hub's history has had a replica of it.
        gone = bool(outbox.lineage) and not replica_path.exists()
        reason = "REPLICA_MISSING" if gone else ""
        try:
            replica, reader = await _open_replica(replica_path, opener, clock.wall_ms())
        except (Corrupt, MigrationChanged, sqlite3.DatabaseError) as error:
            _log.warning("the replica is damaged (%s) and is set aside", error)
            reason = "REPLICA_DAMAGED"
            set_aside(replica_path)
            replica, reader = await _open_replica(replica_path, opener, clock.wall_ms())
        contents = await _open_blobs(path / blobs.NAME, opener, clock.wall_ms(), alarms)
    except BaseException:
        await outbox_file.close()
        raise
    files = EdgeFiles(
        path, outbox_file, replica, reader, outbox, clock, new_id, alarms, opener, rebuilds,
        contents,
    )  # fmt: skip
    if reason:
        await files.count_rebuild(reason)
    return files


async def _open_replica(
    path: Path, opener: Opener, wall_ms: int
) -> tuple[ReplicaFile, ReplicaFile]:
    replica = await opener(path, Pragmas(synchronous="NORMAL"))
    try:
        await replica.run(lambda c: migrate(c, _REPLICA_MIGRATIONS, wall_ms))
        reader = await opener(path, Pragmas(), read_only=True)
        return ReplicaFile(replica), ReplicaFile(reader)
    except BaseException:
        await replica.close()
        raise


async def _open_blobs(path: Path, opener: Opener, wall_ms: int, alarms: Alarms) -> EdgeBlobs:
    try:
        return await EdgeBlobs.prepared(await opener(path, blobs.PRAGMAS), wall_ms)
    except (Corrupt, MigrationChanged, sqlite3.DatabaseError) as error:
        _log.error("the file of blobs is damaged (%s) and is set aside", error)
        alarms.raise_("BLOBS_DAMAGED", "the contents of checkpoints are fetched anew from the hub")
        set_aside(path)
        return await EdgeBlobs.prepared(await opener(path, blobs.PRAGMAS), wall_ms)


def _nothing(_connection: sqlite3.Connection) -> None:
    return


def _rebuilds(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute(SQL["rebuilds"]).fetchall())


def set_aside(path: Path) -> None:
    """Renames a closed database and the files beside it to `.damaged-N`, and deletes the oldest
    such ones."""
    taken = [_number(one) for one in path.parent.glob(f"{path.name}.damaged-*")]
    number = max(taken, default=0) + 1
    # The log before the file: a file without its log would be taken for whole.
    for suffix in ("-shm", "-wal", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(path.with_name(f"{path.name}.damaged-{number}{suffix}"))
    for old in path.parent.glob(f"{path.name}.damaged-*"):
        if _number(old) <= number - KEPT_DAMAGED:
            old.unlink()


def _number(path: Path) -> int:
    text = path.name.rpartition(".damaged-")[2].partition("-")[0]
    return int(text) if text.isdigit() else 0
