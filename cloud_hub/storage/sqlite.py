"""The hub on SQLite: no server, one file.

A transaction costs one hop between threads: the work's coroutine is driven to its end inside the
thread that owns the connection, where every statement answers at once. Reads have a connection of
their own and do not wait for writes. The write-ahead log is copied into the file between commits,
when nobody has written for a moment, and under lasting load once per so many rows.

Invariant: one writing connection per file, opened with synchronous=FULL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Coroutine
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self, TypeVar

from cloud_hub.storage.driver import (
    Columns,
    Row,
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    Value,
    Work,
)
from cloud_hub.storage.queries import statements
from holdfast.host import migrations, sqlite_migrations
from holdfast.host.sqlite import (
    MEMORY,
    Busy,
    Corrupt,
    Database,
    DatabaseClosed,
    DatabaseError,
    DiskFailure,
    DiskFull,
    InlineDatabase,
    Pragmas,
    SqliteFile,
)

T = TypeVar("T")

CHUNKS = (256, 64, 16, 4, 1)
"""Rows per statement. Few sizes, so that SQLite's compiled statements are found again (Python keeps
128 of them); 256 rows are where more bring no more speed."""

MAX_VARIABLES = 32_766
"""SQLite's own limit of `?` in a statement."""

IDLE_ROWS, IDLE_S = 2_000, 0.1
"""So many changed rows, and so long nobody wrote: time to copy the write-ahead log back."""

BUSY_ROWS = 60_000
"""So many changed rows, and it is copied even though others wait: some 50 MB, a pause of about
50 ms every half second of full load."""

PRAGMAS = Pragmas(synchronous="FULL", cache_kib=64 << 10)
"""64 MiB of pages keep the inner pages of ten million records' indexes in memory."""

_log = logging.getLogger(__name__)
_REFUSALS = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)


class WorkSuspended(Exception):
    """Work awaited something else than its Transaction: a mistake in the program."""

    def __init__(self) -> None:
        super().__init__("a transaction's work may await nothing but its transaction")


class SqliteDriver:
    """One file. Make it with `open`."""

    def __init__(self, writer: SqliteFile, reader: SqliteFile) -> None:
        self._writer = writer
        self._reader = reader
        self._texts: dict[tuple[str, int], str] = {}
        self._checkpoint_timer: asyncio.TimerHandle | None = None
        self._checkpoint: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, path: Path | str, wall_ms: int, *, inline: bool = False, pragmas: Pragmas = PRAGMAS
    ) -> Self:
        """Opens the file, creating it or bringing its schema up to date.

        `inline` runs everything where it is awaited, for simulation; only so may `path` be MEMORY.
        `wall_ms` is noted with each migration. Raises StorageError, MigrationError.
        """
        kind = InlineDatabase if inline else Database
        assert inline or str(path) != MEMORY, "two connections would be two databases"
        wanted = migrations.load("cloud_hub.storage", "sql/sqlite/migrations")
        with _mapped():
            writer: SqliteFile = await kind.open(path, pragmas)
            try:
                await writer.run(lambda c: sqlite_migrations.migrate(c, wanted, wall_ms))
                reader = writer
                if str(path) != MEMORY:
                    reader = await kind.open(path, pragmas, read_only=True)
            except BaseException:
                await writer.close()
                raise
        return cls(writer, reader)

    async def write(self, work: Work[T]) -> T:
        """See Driver."""
        with _mapped():
            result = await self._writer.transaction(partial(self._run, work, True))
        await self._after_commit()
        return result

    async def read(self, work: Work[T]) -> T:
        """See Driver."""
        with _mapped():
            return await self._reader.snapshot(partial(self._run, work, False))

    async def answer(self) -> None:
        """See Driver."""
        with _mapped():
            await self._writer.run(lambda _connection: None)

    async def close(self) -> None:
        """Copies the write-ahead log back and closes both connections. May be called again."""
        if self._checkpoint_timer is not None:
            self._checkpoint_timer.cancel()
        if self._checkpoint is not None:
            await self._checkpoint
        if self._reader is not self._writer:
            await self._reader.close()
        await self._writer.close()

    def _run(self, work: Work[T], writable: bool, connection: sqlite3.Connection) -> T:
        return run_to_end(work(SqliteTransaction(connection, self._texts, writable)))

    # -- the write-ahead log -------------------------------------------------

    async def _after_commit(self) -> None:
        changed = self._writer.changes_since_checkpoint
        if isinstance(self._writer, InlineDatabase):
            if changed >= IDLE_ROWS:
                await self._copy_back()
            return
        if self._checkpoint_timer is not None:
            self._checkpoint_timer.cancel()
        if changed >= IDLE_ROWS:
            wait_s = 0 if changed >= BUSY_ROWS else IDLE_S
            loop = asyncio.get_running_loop()
            self._checkpoint_timer = loop.call_later(wait_s, self._start_copying)

    def _start_copying(self) -> None:
        if self._checkpoint is None or self._checkpoint.done():
            self._checkpoint = asyncio.create_task(self._copy_back())

    async def _copy_back(self) -> None:
        # Nothing is lost if it fails: the log is whole, and the next commit tries again.
        try:
            await self._writer.checkpoint()
        except DatabaseError as error:
            _log.warning("the write-ahead log was not copied back: %s", error)


class SqliteTransaction:
    """A transaction as its work sees it; see Transaction. `texts` keeps the expanded statements."""

    def __init__(
        self, connection: sqlite3.Connection, texts: dict[tuple[str, int], str], writable: bool
    ) -> None:
        self._connection = connection
        self._texts = texts
        self._writable = writable

    async def fetch(self, name: str, *args: Value) -> list[Row]:
        """See Transaction."""
        return self._ask(statements("sqlite")[name], args)

    async def fetch_by(self, name: str, columns: Columns, *args: Value) -> list[Row]:
        """See Transaction."""
        return self._ask_in_chunks(name, columns, args)

    async def execute(self, name: str, *args: Value) -> None:
        """See Transaction."""
        assert self._writable, f"{name} in a read"
        self._ask(statements("sqlite")[name], args)

    async def write_rows(self, name: str, columns: Columns, *args: Value) -> None:
        """See Transaction."""
        assert self._writable, f"{name} in a read"
        self._ask_in_chunks(name, columns, args)

    def _ask(self, text: str, args: tuple[Value, ...]) -> list[Row]:
        try:
            return self._connection.execute(text, args).fetchall()
        except _REFUSALS as error:
            raise StorageRefused(str(error)) from error

    def _ask_in_chunks(self, name: str, columns: Columns, args: tuple[Value, ...]) -> list[Row]:
        rows = list(zip(*columns, strict=True))
        found: list[Row] = []
        start = 0
        for size in CHUNKS:
            while len(rows) - start >= size:
                values = (*args, *chain.from_iterable(rows[start : start + size]))
                assert len(values) <= MAX_VARIABLES, name
                found += self._ask(self._text(name, size), values)
                start += size
        return found

    def _text(self, name: str, size: int) -> str:
        text = self._texts.get((name, size))
        if text is None:
            head, _, rest = statements("sqlite")[name].partition("[")
            row, bracket, tail = rest.partition("]")
            assert bracket, f"{name} has no row in brackets"
            text = self._texts[name, size] = head + ", ".join([row] * size) + tail
        return text


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends. Raises WorkSuspended if it does."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise WorkSuspended


class _mapped(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a word of the language
    """Turns the errors of holdfast.host.sqlite into those of the seam, and with them those of
    sqlite3 that are a mistake in the program."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DatabaseError | sqlite3.Error):
            raise _of(error) from error


def _of(error: DatabaseError | sqlite3.Error) -> StorageError:
    if isinstance(error, sqlite3.Error):
        return StorageError(str(error))
    if isinstance(error, DiskFull):
        return StorageFull(error.message)
    if isinstance(error, Corrupt):
        return StorageCorrupt(error.message)
    if isinstance(error, Busy | DiskFailure | DatabaseClosed):
        return StorageUnavailable(error.message)
    return StorageError(error.message)
