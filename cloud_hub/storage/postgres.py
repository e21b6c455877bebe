"""The hub on PostgreSQL, by asyncpg: several hub processes may share one database.

Work runs in a READ COMMITTED transaction; what orders writers is the head row that work locks, and
every statement after that lock sees all that its holders before have committed. Where the server
asks for it (a deadlock, a serialization failure, a changed schema) the work is run again. Time-outs
of the server free what a frozen hub process holds.

Invariant: nothing is written to a server that would lose it: each new connection is asked first.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from typing import Any, Self, TypeVar

import asyncpg

from cloud_hub.storage import postgres_migrations
from cloud_hub.storage.driver import (
    Columns,
    Retry,
    Row,
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    UnsafeDatabase,
    Value,
    Work,
)
from cloud_hub.storage.queries import statements

T = TypeVar("T")

MAX_CONNECTIONS = 8
"""Per hub process: writers of one space wait for each other anyway, and a server with the usual 100
connections serves a dozen processes."""

ATTEMPTS = 6
"""Runs of one work. Deadlocks cannot be many: spaces are locked in the order of their names."""

FIRST_WAIT_S, LAST_WAIT_S = 0.005, 0.25
"""Before the second run, and at most; doubled in between, and each shortened by chance up to a half
so that two who collided do not meet again."""

STATEMENT_TIMEOUT_MS = 15_000
"""Longer than any statement of the hub takes (a batch: 50 ms) on a disk in trouble."""

LOCK_TIMEOUT_MS = 10_000
"""How long to wait for a head; longer than the idle time-out, so that whoever waits behind a frozen
process gets its turn."""

IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000
"""A process that is silent for so long in a transaction is frozen, or cut off. Work awaits only the
database, so a healthy one is silent for milliseconds."""

COMMAND_TIMEOUT_S = 30
"""What the client waits at most: a server that vanished silently enforces none of the above."""

_ASK_SAFETY = """
SELECT current_setting('fsync'), current_setting('synchronous_commit'),
       current_setting('full_page_writes'), current_setting('server_encoding'), pg_is_in_recovery()
"""


_PLANS = {
    "application_name": "cloud-hub",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
"""Every statement of the hub goes by an index from a set of keys, so the planner is not to guess:
its statistics are older than the rows that just came, and a plan made for an empty table stays."""


def _limits() -> dict[str, str]:
    return {
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
    }


class PostgresDriver:
    """A pool of connections. Make it with `open`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(
        cls,
        dsn: str,
        wall_ms: int,
        *,
        max_connections: int = MAX_CONNECTIONS,
        statement_cache_size: int = 100,
        allow_unsafe: bool = False,
    ) -> Self:
        """Connects, and brings the schema up to date; several processes may do so at once.

        `statement_cache_size` is 0 behind PgBouncer. `allow_unsafe` takes a server that may lose
        what it has acknowledged: for measurements and throw-away servers. `wall_ms` is noted with
        each migration. Raises StorageError, MigrationError.
        """

        async def check(connection: asyncpg.Connection) -> None:
            if not allow_unsafe:
                refuse_unsafe(await connection.fetchrow(_ASK_SAFETY))

        with _mapped():
            await postgres_migrations.migrate(dsn, wall_ms, check)
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=max_connections,
                init=check,
                command_timeout=COMMAND_TIMEOUT_S,
                statement_cache_size=statement_cache_size,
                server_settings={**_PLANS, **_limits()},
            )
        return cls(pool)

    async def write(self, work: Work[T]) -> T:
        """See Driver."""
        return await self._repeat(work, writable=True)

    async def read(self, work: Work[T]) -> T:
        """See Driver."""
        return await self._repeat(work, writable=False)

    async def close(self) -> None:
        """See Driver. May be called again."""
        with _mapped():
            await self._pool.close()

    async def _repeat(self, work: Work[T], *, writable: bool) -> T:
        wait_s = FIRST_WAIT_S
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._attempt(work, writable)
            except Retry:
                await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
                wait_s = min(wait_s * 2, LAST_WAIT_S)
        try:
            return await self._attempt(work, writable)
        except Retry as error:
            message = f"the same transaction collided {ATTEMPTS} times: {error.message}"
            raise StorageUnavailable(message) from error

    async def _attempt(self, work: Work[T], writable: bool) -> T:
        with _mapped():
            connection = await self._pool.acquire()
        try:
            transaction = (
                connection.transaction(isolation="read_committed")
                if writable
                else connection.transaction(isolation="repeatable_read", readonly=True)
            )
            with _mapped():
                await transaction.start()
            try:
                result = await work(PostgresTransaction(connection, writable))
            except BaseException:
                # If even this fails, the connection is lost, and with it the transaction.
                with contextlib.suppress(*_ERRORS):
                    await transaction.rollback()
                raise
            with _mapped(committing=writable):
                await transaction.commit()
            return result
        finally:
            await self._pool.release(connection)


class PostgresTransaction:
    """A transaction as its work sees it; see Transaction."""

    def __init__(self, connection: asyncpg.Connection, writable: bool) -> None:
        self._connection = connection
        self._writable = writable

    async def fetch(self, name: str, *args: Value) -> list[Row]:
        """See Transaction."""
        with _mapped():
            return list(map(tuple, await self._connection.fetch(_text(name), *args)))

    async def fetch_by(self, name: str, columns: Columns, *args: Value) -> list[Row]:
        """See Transaction."""
        return await self.fetch(name, *args, *columns) if columns[0] else []  # type: ignore[arg-type]

    async def execute(self, name: str, *args: Value) -> None:
        """See Transaction."""
        assert self._writable, f"{name} in a read"
        with _mapped():
            await self._connection.fetch(_text(name), *args)

    async def write_rows(self, name: str, columns: Columns, *args: Value) -> None:
        """See Transaction."""
        assert len({len(column) for column in columns}) == 1, name
        if columns[0]:
            await self.execute(name, *args, *columns)  # type: ignore[arg-type]


def _text(name: str) -> str:
    return statements("postgres")[name]


def refuse_unsafe(answer: Any) -> None:
    """Judges the answer to the question of safety. Raises UnsafeDatabase."""
    fsync, synchronous_commit, full_page_writes, encoding, in_recovery = answer
    if in_recovery:
        raise UnsafeDatabase("the server is a standby: connect to the primary")
    for name, value in (
        ("fsync", fsync),
        ("synchronous_commit", synchronous_commit),
        ("full_page_writes", full_page_writes),
    ):
        if value == "off":
            raise UnsafeDatabase(f"{name} is off: the server would lose what it has acknowledged")
    if encoding != "UTF8":
        raise UnsafeDatabase(f"the database's encoding is {encoding}: create it with UTF8")


_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""All that asyncpg raises for what is not a mistake in calling it."""

_RETRIED = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)
_REFUSALS = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
_CORRUPT = (asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError)
_WITHOUT_ANSWER = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # as when the connection is lost just as a statement begins
    TimeoutError,
    OSError,
)
"""The connection is lost, or nothing came: what had been asked may have happened."""

_UNAVAILABLE = (
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


@contextlib.contextmanager
def _mapped(*, committing: bool = False) -> Iterator[None]:
    """Turns asyncpg's errors into those of the seam."""
    try:
        yield
    except _ERRORS as error:
        raise _of(error, committing) from error


def _of(error: Exception, committing: bool) -> StorageError:
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, _RETRIED):
        return Retry(message)
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull(message)
    if isinstance(error, _CORRUPT):
        return StorageCorrupt(message)
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return UnsafeDatabase("the server became read-only: connect to the primary")
    if isinstance(error, _REFUSALS):
        return StorageRefused(message)
    if isinstance(error, _WITHOUT_ANSWER):
        return StorageUnavailable(message, outcome_unknown=committing)
    if isinstance(error, _UNAVAILABLE):
        return StorageUnavailable(message)
    return StorageError(message)
