"""Brings a PostgreSQL schema up to date: all that is missing, in one transaction, under a lock.

Several hub processes may start at once; whoever gets the lock second finds nothing left to do. What
may be run is decided by `holdfast.host.migrations`; this only runs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg

from holdfast.host.migrations import TABLE, Applied, load, pending

LOCK = 0x686F6C6466617374
"""The advisory lock's number: "holdfast" in ASCII, so that no other program has it by chance."""

CONNECT_TIMEOUT_S = 10
"""A server that has not answered by then is down; the caller says so and may try again."""

_CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    version  bigint PRIMARY KEY,
    name     text NOT NULL,
    checksum text NOT NULL,
    applied  bigint NOT NULL
)
"""
_APPLIED = f"SELECT version, name, checksum FROM {TABLE} ORDER BY version"  # noqa: S608 - our own name
_NOTE = f"INSERT INTO {TABLE} VALUES ($1, $2, $3, $4)"  # noqa: S608 - our own name


async def migrate(
    dsn: str, wall_ms: int, check: Callable[[asyncpg.Connection], Awaitable[None]]
) -> None:
    """Runs what the database still needs, on a connection without time limits.

    `check` is asked first. Raises MigrationError before anything is changed, and asyncpg's errors,
    which the caller maps.
    """
    wanted = load("cloud_hub.storage", "sql/postgres/migrations")
    connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S, statement_cache_size=0)
    try:
        await check(connection)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await connection.execute(_CREATE)
            applied = [Applied(*row) for row in await connection.fetch(_APPLIED)]
            for migration in pending(wanted, applied):
                await connection.execute(migration.sql)
                note = (migration.version, migration.name, migration.checksum, wall_ms)
                await connection.execute(_NOTE, *note)
    finally:
        await connection.close()
