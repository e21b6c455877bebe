"""The seam between the hub and its database, because there are two: SQLite and PostgreSQL.

A transaction is a coroutine that is handed a `Transaction` and awaits nothing else. SQLite runs it
to its end within its own thread, where none of those awaits suspends; PostgreSQL awaits answers,
and runs the work anew when the server asks for that. Hence the one rule for work: its only effects
are its statements and what it returns, so that a second run is as good as the first.

Statements have names (`queries.py`); values are int, str, bytes, bool and None. What concerns many
rows is one statement with columns of values, never one per row.

Invariant: when `write` returns, all of the work is durable; when it raises a StorageError, none of
it is there, unless the error says that its outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from holdfast.host.errors import HostError

T = TypeVar("T")

Value: TypeAlias = int | str | bytes | None
Row: TypeAlias = tuple[Any, ...]
Column: TypeAlias = Sequence[Value]
Columns: TypeAlias = Sequence[Column]
"""One sequence per column, all of one length."""


class Transaction(Protocol):
    """What work may do. Every method raises StorageError; let it pass."""

    async def fetch(self, name: str, *args: Value) -> list[Row]:
        """All rows of a query."""
        ...

    async def fetch_by(self, name: str, columns: Columns, *args: Value) -> list[Row]:
        """The rows of a query for a set of keys, given as columns; in no order.

        Rows of keys that are not there are left out. The keys are distinct.
        """
        ...

    async def execute(self, name: str, *args: Value) -> None:
        """Runs a statement that answers nothing."""
        ...

    async def write_rows(self, name: str, columns: Columns, *args: Value) -> None:
        """Inserts or upserts a set of rows, given as columns. No key is in it twice."""
        ...


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, T]]
"""A transaction's body. It awaits only its Transaction, and may run more than once."""


class Driver(Protocol):
    """A database."""

    async def write(self, work: Work[T]) -> T:
        """Runs work in a transaction and commits it durably. Raises StorageError, and what the work
        raises, after rolling back.

        If the caller is cancelled it is not known whether the work was committed.
        """
        ...

    async def read(self, work: Work[T]) -> T:
        """Runs work that only reads, all of it as of one moment; writers are not held up."""
        ...

    async def answer(self) -> None:
        """Returns when whoever writes for this process in this process has answered: SQLite's
        thread. What another machine does is not asked: a restart of this process would not help.
        """
        ...

    async def close(self) -> None:
        """Ends all connections. Nothing may be running."""
        ...


class StorageError(HostError):
    """The database did not do it."""

    reason = "DATABASE"
    default_remedy = "read the log of the hub"


class StorageUnavailable(StorageError):
    """The database cannot be reached, or took too long; the same work may well succeed later.

    `outcome_unknown`: the connection was lost while committing. Who repeats such work must find out
    whether it happened, as ingest does by origin, seq and commit id.
    """

    default_remedy = "check that the database runs and can be reached; work goes on by itself"

    def __init__(self, message: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class StorageFull(StorageError):
    """No space. Nothing was stored."""

    reason = "DISK_FULL"
    default_remedy = "free space where the database lies; work goes on by itself"


class StorageCorrupt(StorageError):
    """The database is damaged."""

    reason = "DATABASE_CORRUPT"
    default_remedy = "stop the hub, keep the files for examination, and restore a backup"


class StorageRefused(StorageError):
    """A value that the schema or the encoding does not take: a constraint, a NUL in a text, an
    integer beyond 64 bits. Repeating it is of no use."""

    reason = "INTERNAL"
    default_remedy = "report this as a bug: the value should have been refused at the door"


class UnsafeDatabase(StorageError):
    """A database that would lose what it has acknowledged, or cannot be written at all."""

    reason = "DATABASE_UNSAFE"
    exit_code = 2
    default_remedy = "change the setting that the message names, and start the hub again"


class Retry(StorageError):
    """The server asks for the transaction to be run again. Never leaves a driver."""
