"""One open SQLite file as the thread that owns it sees it: opening, transactions, checkpoints; all
of it blocking.

SQLite rolls a transaction back by itself when the disk is full or fails, and what follows then
commits statement by statement. Hence the check of `in_transaction` after every error and before
every COMMIT.

The write-ahead log is copied into the file by `checkpoint()` alone, which the owner calls when
nobody waits for a commit: SQLite's automatic one would make the committer of every thousandth page
pay for all of them. It runs on the writing connection, because SQLite before 3.51.3 can corrupt a
file that two connections write or checkpoint at once.

Invariant: one writing connection per file; between two functions no transaction is open on it.

Never open one of these files by any other means in the same process: closing that second descriptor
would drop the locks SQLite holds on the file (they are POSIX locks, which belong to the process).
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

from holdfast.host.sqlite_errors import DiskFailure, TransactionLost, typed

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MEMORY = ":memory:"
"""A path for a database that lives only as long as its connection; for tests and simulation."""

BUSY_TIMEOUT_MS = 5_000
"""How long to wait for another process's lock. Only a tool run by hand can hold one, and none needs
longer."""

KEPT_WAL_BYTES = 16 * 1024 * 1024
"""How much of an emptied write-ahead log stays allocated: overwriting is faster than growing, and a
log that a burst has blown up should not keep a small disk occupied."""


@dataclass(frozen=True, slots=True)
class Pragmas:
    """How a file is opened. Beyond these: write-ahead log, foreign keys on, checkpoints only when
    asked for."""

    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """FULL: a commit survives loss of power. NORMAL may lose the newest ones: only for what can be
    fetched again."""

    busy_timeout_ms: int = BUSY_TIMEOUT_MS
    cache_kib: int = 8_192
    """Page cache of the connection, the most it takes. SQLite's own 2 MiB is less than the inner
    pages of the indexes over some 100,000 records."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint achieved, in pages of the write-ahead log."""

    wal_pages: int
    copied_pages: int

    @property
    def complete(self) -> bool:
        """Everything is in the file, and the next commit starts the log anew. A reader in the way
        makes it false."""
        return self.copied_pages == self.wal_pages


def connect(path: Path | str, pragmas: Pragmas, *, read_only: bool = False) -> sqlite3.Connection:
    """Opens the file in the calling thread. Raises `DatabaseError`.

    Read-only is asked of SQLite by `mode=ro`: unlike `query_only` it also keeps the connection from
    checkpointing when it is the last to close.
    """
    mode = "ro" if read_only else "rwc"
    target = MEMORY if str(path) == MEMORY else f"file:{quote(os.fsencode(path))}?mode={mode}"
    try:
        connection = sqlite3.connect(
            target, timeout=pragmas.busy_timeout_ms / 1000, isolation_level=None, uri=True
        )
        try:
            _set_up(connection, path, pragmas, read_only)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise typed(error, path) or DiskFailure(f"{path}: {error}") from error
    return connection


def _set_up(
    connection: sqlite3.Connection, path: Path | str, pragmas: Pragmas, read_only: bool
) -> None:
    connection.execute(f"PRAGMA cache_size = {-pragmas.cache_kib}")
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        # The first read, so that a file that is no database is refused here and not at the first
        # question.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal" and str(path) != MEMORY:
        raise DiskFailure(f"{path}: this file system has no shared memory for a write-ahead log")
    connection.execute(f"PRAGMA synchronous = {pragmas.synchronous}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {KEPT_WAL_BYTES}")


def transact(connection: sqlite3.Connection, work: Work[T], begin: str = "BEGIN IMMEDIATE") -> T:
    """Runs the function in a transaction of its own: committed if it returns, rolled back if
    anything is raised.

    The lock is taken at BEGIN: a transaction that reads first and then finds the file locked would
    fail half-way.
    """
    connection.execute(begin)
    try:
        result = work(connection)
        _require(connection.in_transaction, "a transaction ended before its function did")
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return result


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise TransactionLost(otherwise)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        # If even this fails, SQLite has ended the transaction itself, and the first error is the
        # one to tell.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


class OpenFile:
    """The open file as the thread that owns it sees it; blocking."""

    def __init__(self, path: Path | str, pragmas: Pragmas, read_only: bool) -> None:
        self.path = path
        self.changes_since_checkpoint = 0
        self.connection = connect(path, pragmas, read_only=read_only)
        self._changes_at_checkpoint = 0

    def run(self, work: Work[T]) -> T:
        connection = self.connection
        try:
            result = work(connection)
            _require(not connection.in_transaction, "a function left its transaction open")
            return result
        except BaseException as error:
            _roll_back(connection)
            known = typed(error, self.path)
            if known is None:
                raise
            raise known from error
        finally:
            self.changes_since_checkpoint = connection.total_changes - self._changes_at_checkpoint

    def checkpoint(self, truncate: bool) -> Checkpoint:
        mode = "TRUNCATE" if truncate else "PASSIVE"
        _, pages, copied = self.run(
            lambda c: c.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        )
        self._changes_at_checkpoint = self.connection.total_changes
        self.changes_since_checkpoint = 0
        return Checkpoint(wal_pages=max(pages, 0), copied_pages=max(copied, 0))

    def close(self) -> None:
        self.connection.close()
