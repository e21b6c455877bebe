"""Brings a SQLite file's schema up to date, one transaction per migration.

Power may fail between any two migrations and within one: the row that says a migration was applied
is written in the transaction that applied it. What may be run is decided by `migrations`; this only
runs it.

Invariant: after `migrate()` returns, the file's schema is what all given migrations make of an
empty one.
"""

import sqlite3
from collections.abc import Iterator, Sequence

from holdfast.host.migrations import TABLE, Applied, Migration, pending
from holdfast.host.sqlite_file import transact

_CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    version  INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied  INTEGER NOT NULL -- milliseconds since 1970, by this machine's clock; for people only
) STRICT
"""


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Migration], wall_ms: int
) -> tuple[Migration, ...]:
    """Runs what the file still needs and returns that. Blocking: hand it to `Database.run`.

    Raises `MigrationError` before anything is changed; SQLite's errors after the migrations before
    the failing one.
    """
    missing = pending(migrations, applied(connection))
    if missing:
        transact(connection, lambda c: c.execute(_CREATE))
    for migration in missing:
        transact(connection, lambda c, migration=migration: _apply(c, migration, wall_ms))  # type: ignore[misc]
    return missing


def applied(connection: sqlite3.Connection) -> tuple[Applied, ...]:
    """What the file has had; nothing if it is new."""
    if (
        connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (TABLE,)).fetchone()
        is None
    ):
        return ()
    rows = connection.execute(f"SELECT version, name, checksum FROM {TABLE} ORDER BY version")  # noqa: S608 - our own name
    return tuple(Applied(*row) for row in rows)


def _apply(connection: sqlite3.Connection, migration: Migration, wall_ms: int) -> None:
    for statement in statements(migration.sql):
        connection.execute(statement)
    connection.execute(
        # The table's name is our own constant.
        f"INSERT INTO {TABLE} (version, name, checksum, applied) VALUES (?, ?, ?, ?)",  # noqa: S608
        (migration.version, migration.name, migration.checksum, wall_ms),
    )


def statements(script: str) -> Iterator[str]:
    """The statements of a script, in order. `executescript` would commit the open transaction
    first.

    A semicolon ends a statement where SQLite says that it does: not in a string, a comment or a
    trigger's body.
    """
    start = 0
    position = script.find(";")
    while position >= 0:
        candidate = script[start : position + 1]
        if sqlite3.complete_statement(candidate):
            yield candidate
            start = position + 1
        position = script.find(";", position + 1)
    if rest := script[start:].strip():
        yield rest
