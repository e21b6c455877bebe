"""The hub on PostgreSQL, by asyncpg: several hub processes may share one database.

Work runs in a READ COMMITTED transaction; what orders writers is the head row that work locks, and
every statement after that lock sees all that its holders before have committed. Where the server
asks for it (a deadlock, a serialization failure, a changed schema), and where the connection is
lost before COMMIT was sent, the work is run again: here, and nowhere else. Time-outs of the server
free what a frozen hub process holds; when it wakes, its transaction is gone, and it begins anew.

No state is kept in a connection, so that a pooler may hand out another one for every transaction:
locks are of transactions, and behind a pooler so are the settings.

Invariant: nothing is written to a server that would lose it: each new connection is asked first.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import asyncpg

from cloud_hub.storage import postgres_migrations
from cloud_hub.storage.driver import (
    Columns,
    Retry,
    Row,
    StorageError,
    StorageUnavailable,
    UnsafeDatabase,
    Value,
    Work,
)
from cloud_hub.storage.postgres_errors import ERRORS, Lost, mapped
from cloud_hub.storage.queries import statements

T = TypeVar("T")

MAX_CONNECTIONS = 8
"""Per hub process: writers of one space wait for each other anyway, and a server with the usual 100
connections serves a dozen processes."""

ATTEMPTS = 6
"""Runs of one work that collides. Deadlocks cannot be many: spaces are locked in the order of their
names."""

FIRST_WAIT_S, LAST_WAIT_S = 0.005, 0.25
"""Before the second run, and at most; doubled in between, and each shortened by chance up to a half
so that two who collided do not meet again."""

RECONNECT_S = 10.0
"""How long work is begun anew while there is no connection: a server that is restarted is back by
then. Edges and clients, who are told after that, try again by themselves."""

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30
"""What the client waits at most: a server that vanished silently enforces no limits."""

_COMMIT, _ROLLBACK = "COMMIT", "ROLLBACK"

ASK_SAFETY = """
SELECT current_setting('fsync'), current_setting('synchronous_commit'),
       current_setting('full_page_writes'), current_setting('server_encoding'), pg_is_in_recovery()
"""


_PLANS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
"""Every statement of the hub goes by an index from a set of keys, so the planner is not to guess:
its statistics are older than the rows that just came, and a plan made for an empty table stays."""


@dataclass(frozen=True, slots=True)
class Limits:
    """After how many milliseconds the server ends what does not end by itself."""

    statement_ms: int = 15_000
    """Longer than any statement of the hub takes (a batch: 50 ms) on a disk in trouble."""
    lock_ms: int = 10_000
    """How long to wait for a head; longer than the idle time-out, so that whoever waits behind a
    frozen process gets its turn."""
    idle_ms: int = 5_000
    """In a transaction. A process that is silent for so long is frozen, or cut off. Work awaits
    only the database, so a healthy one is silent for milliseconds."""

    def __post_init__(self) -> None:
        assert 0 < self.idle_ms < self.lock_ms, self

    @property
    def settings(self) -> dict[str, str]:
        """As settings of the server."""
        return {
            "statement_timeout": str(self.statement_ms),
            "lock_timeout": str(self.lock_ms),
            "idle_in_transaction_session_timeout": str(self.idle_ms),
        }


LIMITS = Limits()


class PostgresDriver:
    """A pool of connections. Make it with `open`."""

    def __init__(self, pool: asyncpg.Pool, local: dict[str, str], reconnect_s: float) -> None:
        self._pool, self._reconnect_s = pool, reconnect_s
        settings = "".join(f"; SET LOCAL {name} = {value}" for name, value in local.items())
        self._begin_write = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE" + settings
        self._begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" + settings

    @classmethod
    async def open(
        cls,
        dsn: str,
        wall_ms: int,
        *,
        max_connections: int = MAX_CONNECTIONS,
        pooled: bool = False,
        limits: Limits = LIMITS,
        reconnect_s: float = RECONNECT_S,
        allow_unsafe: bool = False,
    ) -> Self:
        """Connects, and brings the schema up to date; several processes may do so at once.

        `pooled`: `dsn` is a pooler's, as PgBouncer, which gives each transaction any connection:
        no statement is kept prepared, and settings are made anew in every transaction.
        `allow_unsafe` takes a server that may lose what it has acknowledged: for measurements and
        throw-away servers. `wall_ms` is noted with each migration. Raises StorageError,
        MigrationError.
        """

        async def check(connection: asyncpg.Connection) -> None:
            if not allow_unsafe:
                refuse_unsafe(await connection.fetchrow(ASK_SAFETY))

        async def keep(connection: asyncpg.Connection) -> None:
            """Nothing is left in a connection, so nothing is to be undone: a round trip less."""

        settings = {**_PLANS, **limits.settings}
        with mapped():
            await postgres_migrations.migrate(dsn, wall_ms, check)
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=max_connections,
                init=check,
                reset=keep,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                statement_cache_size=0 if pooled else 100,
                server_settings={} if pooled else {"application_name": "cloud-hub", **settings},
            )
        return cls(pool, settings if pooled else {}, reconnect_s)

    async def write(self, work: Work[T]) -> T:
        """See Driver."""
        return await self._repeat(work, writable=True)

    async def read(self, work: Work[T]) -> T:
        """See Driver."""
        return await self._repeat(work, writable=False)

    async def answer(self) -> None:
        """See Driver: the server is another process."""

    async def close(self) -> None:
        """See Driver. May be called again."""
        with mapped():
            await self._pool.close()

    async def _repeat(self, work: Work[T], *, writable: bool) -> T:
        """The one place where work is run again."""
        clock = asyncio.get_running_loop().time
        give_up = clock() + self._reconnect_s
        collisions, wait_s = 0, FIRST_WAIT_S
        while True:
            try:
                return await self._attempt(work, writable)
            except Retry as error:
                collisions += 1
                if collisions == ATTEMPTS:
                    message = f"the same transaction collided {ATTEMPTS} times: {error.message}"
                    raise StorageUnavailable(message) from error
            except Lost:
                if clock() >= give_up:
                    raise
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
            wait_s = min(wait_s * 2, LAST_WAIT_S)

    async def _attempt(self, work: Work[T], writable: bool) -> T:
        with mapped():
            connection = await self._pool.acquire()
        try:
            with mapped():
                await connection.execute(self._begin_write if writable else self._begin_read)
            try:
                result = await work(PostgresTransaction(connection, writable))
            except BaseException:
                # If even this fails, the connection is lost, and with it the transaction.
                with contextlib.suppress(*ERRORS):
                    await connection.execute(_ROLLBACK)
                raise
            with mapped(committing=writable):
                ended = await connection.execute(_COMMIT)
            if ended != _COMMIT:
                raise StorageError(f"the server answered COMMIT with {ended}")
            return result
        except UnsafeDatabase:
            connection.terminate()  # the next one may lead to the primary
            raise
        finally:
            await self._release(connection)

    async def _release(self, connection: Any) -> None:
        """Gives a connection back; one that is lost may say so even here."""
        with contextlib.suppress(*ERRORS):
            await self._pool.release(connection)


class PostgresTransaction:
    """A transaction as its work sees it; see Transaction."""

    def __init__(self, connection: asyncpg.Connection, writable: bool) -> None:
        self._connection = connection
        self._writable = writable

    async def fetch(self, name: str, *args: Value) -> list[Row]:
        """See Transaction."""
        with mapped():
            return list(map(tuple, await self._connection.fetch(_text(name), *args)))

    async def fetch_by(self, name: str, columns: Columns, *args: Value) -> list[Row]:
        """See Transaction."""
        return await self.fetch(name, *args, *columns) if columns[0] else []  # type: ignore[arg-type]

    async def execute(self, name: str, *args: Value) -> None:
        """See Transaction."""
        assert self._writable, f"{name} in a read"
        with mapped():
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
