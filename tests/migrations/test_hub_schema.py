"""The hub's schema: made once, kept on opening again, refused if newer or edited; the same in both
dialects."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import asyncpg
import pytest

from cloud_hub.storage.postgres import PostgresDriver
from cloud_hub.storage.sqlite import SqliteDriver
from holdfast.host import migrations
from holdfast.host.migrations import DatabaseNewer, MigrationChanged

pytestmark = pytest.mark.migration

NOW_MS = 1_800_000_000_000
NEWER = "INSERT INTO schema_migrations VALUES (9999, 'from_the_future', 'x', 0)"
EDITED = "UPDATE schema_migrations SET checksum = 'another'"


async def _sqlite(path: Path) -> None:
    await (await SqliteDriver.open(path, NOW_MS)).close()


async def _postgres(dsn: str) -> None:
    await (await PostgresDriver.open(dsn, NOW_MS)).close()


async def _ask(dsn: str, statement: str) -> list[tuple]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def _schema(path: Path) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 2").fetchall()
    finally:
        connection.close()


def _change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


async def test_sqlite_has_every_migration_once(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await _sqlite(path)
    made = _schema(path)
    await _sqlite(path)
    assert _schema(path) == made
    by_hand = tmp_path / "by_hand.db"
    connection = sqlite3.connect(by_hand)
    for migration in migrations.load("cloud_hub.storage", "sql/sqlite/migrations"):
        connection.executescript(migration.sql)
    connection.close()
    assert _schema(by_hand) == [row for row in made if row[1] != "schema_migrations"]


@pytest.mark.parametrize(
    ("statement", "error"), [(NEWER, DatabaseNewer), (EDITED, MigrationChanged)]
)
async def test_sqlite_of_another_version_is_refused_untouched(
    tmp_path: Path, statement: str, error: type[Exception]
) -> None:
    path = tmp_path / "hub.db"
    await _sqlite(path)
    _change(path, statement)
    before = _schema(path)
    with pytest.raises(error):
        await _sqlite(path)
    assert _schema(path) == before


@pytest.mark.needs_postgres
@pytest.mark.parametrize(
    ("statement", "error"), [(NEWER, DatabaseNewer), (EDITED, MigrationChanged)]
)
async def test_postgres_of_another_version_is_refused(
    postgres_dsn: str, statement: str, error: type[Exception]
) -> None:
    await _postgres(postgres_dsn)
    await _ask(postgres_dsn, statement)
    with pytest.raises(error):
        await _postgres(postgres_dsn)


@pytest.mark.needs_postgres
async def test_processes_that_start_at_once_migrate_once(postgres_dsn: str) -> None:
    await asyncio.gather(*(_postgres(postgres_dsn) for _ in range(4)))
    rows = await _ask(postgres_dsn, "SELECT version, applied FROM schema_migrations ORDER BY 1")
    wanted = migrations.load("cloud_hub.storage", "sql/postgres/migrations")
    assert rows == [(migration.version, NOW_MS) for migration in wanted]


@pytest.mark.needs_postgres
async def test_both_dialects_have_the_same_tables_columns_and_keys(
    postgres_dsn: str, tmp_path: Path
) -> None:
    await _postgres(postgres_dsn)
    theirs = await _ask(
        postgres_dsn,
        """
        SELECT table_name::text, column_name::text, is_nullable = 'NO'
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> 'schema_migrations'
        ORDER BY table_name COLLATE "C", column_name COLLATE "C"
        """,
    )
    assert _columns(tmp_path) == theirs


@pytest.mark.needs_postgres
async def test_texts_are_ordered_by_their_bytes(postgres_dsn: str) -> None:
    """Whatever collation the database has: else pages would skip keys."""
    await _postgres(postgres_dsn)
    other = await _ask(
        postgres_dsn,
        """
        SELECT table_name::text, column_name::text FROM information_schema.columns
        WHERE table_schema = 'public' AND data_type = 'text'
          AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'schema_migrations'
        """,
    )
    assert other == []


def _columns(folder: Path) -> list[tuple]:
    path = folder / "hub.db"
    connection = sqlite3.connect(path)
    for migration in migrations.load("cloud_hub.storage", "sql/sqlite/migrations"):
        connection.executescript(migration.sql)
    rows = connection.execute(
        """
        SELECT m.name, c.name, c."notnull" = 1 FROM sqlite_schema m, pragma_table_info(m.name) c
        WHERE m.type = 'table' ORDER BY 1, 2
        """
    ).fetchall()
    connection.close()
    return [(table, column, bool(required)) for table, column, required in rows]
