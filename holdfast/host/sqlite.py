"""One SQLite file behind one thread: whole functions go in, results or typed errors come out.

A transaction is a single function that runs from BEGIN to COMMIT in the thread that owns the
connection. So it costs one hop between threads however many statements it has, no other coroutine
can get between two of them, and a caller that is cancelled while it waits cannot leave a
transaction half done: the function runs to its end, and only its result has nobody to go to.

Invariant: functions run one at a time, in the order in which they were handed over.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar, cast

import aiosqlite

from holdfast.host.sqlite_errors import (
    Busy,
    Corrupt,
    DatabaseClosed,
    DatabaseError,
    DiskFailure,
    DiskFull,
    TransactionLost,
)
from holdfast.host.sqlite_file import MEMORY, Checkpoint, OpenFile, Pragmas, Work, transact

__all__ = [
    "MEMORY",
    "Busy",
    "Checkpoint",
    "Corrupt",
    "Database",
    "DatabaseClosed",
    "DatabaseError",
    "DiskFailure",
    "DiskFull",
    "InlineDatabase",
    "Pragmas",
    "SqliteFile",
    "TransactionLost",
    "Work",
    "transact",
]

T = TypeVar("T")


class SqliteFile(Protocol):
    """One open SQLite file, as repositories and drivers are handed it."""

    @property
    def changes_since_checkpoint(self) -> int:
        """Rows changed since the last checkpoint: how its owner knows that one is due."""
        ...

    async def run(self, work: Work[T]) -> T:
        """Runs the function on the connection, outside a transaction; with others' writes wholly
        before or after.

        Raises what the function raises, SQLite's errors of the machine as `DatabaseError`.
        Cancelling the caller does not stop a function that was handed over: whether it has had its
        effect is then unknown.
        """
        ...

    async def transaction(self, work: Work[T]) -> T:
        """The same within BEGIN IMMEDIATE and COMMIT: when this returns, the transaction is as
        durable as `Pragmas.synchronous` says; when it raises, nothing was changed. The function
        must let SQLite's errors pass.
        """
        ...

    async def snapshot(self, work: Work[T]) -> T:
        """The same within a reading transaction: all its questions are answered as of one
        moment."""
        ...

    async def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        """Copies the write-ahead log into the file; `truncate` waits for readers and empties the
        log as well."""
        ...

    async def close(self) -> None:
        """Finishes what was handed over and closes the file. May be called again."""
        ...


@dataclass(slots=True)
class _Outcome(Generic[T]):
    """What a function did, carried between threads as a plain value.

    A future refuses StopIteration as its exception, and whoever awaits it would then wait for ever.
    """

    value: T | None = None
    error: BaseException | None = None

    @classmethod
    def of(cls, call: Callable[[], T]) -> "_Outcome[T]":
        try:
            return cls(value=call())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for whoever awaits
            return cls(error=error)

    def unwrap(self) -> T:
        if self.error is None:
            return cast(T, self.value)
        try:
            raise self.error
        finally:
            # The error's traceback holds this frame: a cycle that only the collector would free.
            del self


class Database:
    """A file whose functions run one after another in a thread of their own, by aiosqlite.

    That thread keeps the process alive until `close()`: call it in a `finally`.
    """

    def __init__(self, connection: aiosqlite.Connection, file: OpenFile) -> None:
        self._connection = connection
        self._file = file
        self._closed = False

    @classmethod
    async def open(
        cls, path: Path | str, pragmas: Pragmas | None = None, *, read_only: bool = False
    ) -> Self:
        """Opens the file, creating it unless `read_only`. Raises `DatabaseError`.

        A read-only sibling reads while the writer writes, needs the file to exist, and is to be
        closed first.
        """
        opened: list[_Outcome[OpenFile]] = []

        def connector() -> sqlite3.Connection:
            opened.append(_Outcome.of(lambda: OpenFile(path, pragmas or Pragmas(), read_only)))
            # If it raised, aiosqlite would leave its thread to end by itself, perhaps after the
            # event loop that it reports to. So it always gets a connection, and is stopped below.
            return opened[0].value.connection if opened[0].value else sqlite3.connect(MEMORY)

        connection = aiosqlite.Connection(connector, iter_chunk_size=1)
        try:
            await _outlast(asyncio.ensure_future(connection))
            return cls(connection, opened[0].unwrap())
        except BaseException:
            await _stop(connection)
            raise

    @property
    def changes_since_checkpoint(self) -> int:
        return self._file.changes_since_checkpoint

    async def run(self, work: Work[T]) -> T:
        return await self._in_thread(partial(self._file.run, work))

    async def transaction(self, work: Work[T]) -> T:
        return await self.run(lambda connection: transact(connection, work))

    async def snapshot(self, work: Work[T]) -> T:
        return await self.run(lambda connection: transact(connection, work, "BEGIN"))

    async def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        return await self._in_thread(partial(self._file.checkpoint, truncate))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await _stop(self._connection)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._closed:
            raise DatabaseClosed(f"{self._file.path} is closed")
        # Private, and used here only: aiosqlite's public calls hop between threads once per
        # statement, and between two hops another coroutine's statement may enter the transaction.
        execute: Callable[..., Awaitable[_Outcome[T]]] = self._connection._execute  # noqa: SLF001
        return (await execute(_Outcome.of, call)).unwrap()


async def _stop(connection: aiosqlite.Connection) -> None:
    # stop() queues both closing and the thread's end at once, so a cancellation changes nothing.
    # aiosqlite's close() awaits in between, and a cancellation there could forget the latter.
    stopped: asyncio.Future[Any] | None = connection.stop()
    if stopped is not None:
        await _outlast(stopped)


async def _outlast(work: asyncio.Future[Any]) -> None:
    """Waits for it even when cancelled, and passes the cancellation on afterwards.

    The thread reports to this event loop, which must not be closed before. A second cancellation
    ends the wait, and the thread still ends.
    """
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise


class InlineDatabase:
    """The same file without a thread: functions run where they are awaited and never suspend.

    For simulation, where one seed must give one run, and for tests. Nothing else runs while a
    function does.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._closed = False

    @classmethod
    async def open(
        cls, path: Path | str, pragmas: Pragmas | None = None, *, read_only: bool = False
    ) -> Self:
        """As `Database.open`."""
        return cls(OpenFile(path, pragmas or Pragmas(), read_only))

    @property
    def changes_since_checkpoint(self) -> int:
        return self._file.changes_since_checkpoint

    async def run(self, work: Work[T]) -> T:
        return self._usable().run(work)

    async def transaction(self, work: Work[T]) -> T:
        return self._usable().run(lambda connection: transact(connection, work))

    async def snapshot(self, work: Work[T]) -> T:
        return self._usable().run(lambda connection: transact(connection, work, "BEGIN"))

    async def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        return self._usable().checkpoint(truncate)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._file.close()

    def _usable(self) -> OpenFile:
        if self._closed:
            raise DatabaseClosed(f"{self._file.path} is closed")
        return self._file
