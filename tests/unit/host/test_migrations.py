"""Which migrations a database needs and when it is refused; and SQLite's way of running them."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.host.migrations import (
    Applied,
    DatabaseNewer,
    Migration,
    MigrationChanged,
    MigrationsMalformed,
    load,
    ordered,
    parse,
    pending,
)
from holdfast.host.sqlite_file import Pragmas, connect
from holdfast.host.sqlite_migrations import applied, migrate, statements

ONE = Migration(1, "one", "CREATE TABLE a (x INTEGER);")
TWO = Migration(2, "two", "CREATE TABLE b (x INTEGER);\nINSERT INTO a VALUES (1);")
BROKEN = Migration(2, "broken", "INSERT INTO a VALUES (1); INSERT INTO absent VALUES (1);")
WALL_MS = 1_700_000_000_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "x.db", Pragmas())
    yield connection
    connection.close()


def row(migration: Migration) -> Applied:
    return Applied(migration.version, migration.name, migration.checksum)


def test_a_file_name_gives_version_and_name() -> None:
    assert parse("0012_add_digests.sql", "SELECT 1;") == Migration(12, "add_digests", "SELECT 1;")


@pytest.mark.parametrize("name", ["1_x.sql", "0001-x.sql", "0001_X.sql", "0001_x.sql.bak"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(MigrationsMalformed, match="0001_what_it_does"):
        parse(name, "")


@pytest.mark.parametrize("found", [[], [TWO], [ONE, ONE], [ONE, Migration(3, "three", "")]])
def test_versions_are_gapless_from_one(found: list[Migration]) -> None:
    with pytest.raises(MigrationsMalformed):
        ordered(found)


def test_line_ends_do_not_change_a_checksum() -> None:
    assert Migration(1, "x", "a;\r\nb;\r\n").checksum == Migration(1, "x", "a;\nb;\n").checksum
    assert Migration(1, "x", "a;").checksum != Migration(1, "x", "b;").checksum


def test_what_is_missing_is_run_in_order() -> None:
    assert pending((ONE, TWO), ()) == (ONE, TWO)
    assert pending((ONE, TWO), (row(ONE),)) == (TWO,)
    assert pending((ONE, TWO), (row(TWO), row(ONE))) == ()


def test_a_database_from_the_future_is_refused() -> None:
    with pytest.raises(DatabaseNewer, match=r"version 2 \(two\).*up to 1.*newer version"):
        pending((ONE,), (row(ONE), row(TWO)))


def test_an_edited_migration_is_refused() -> None:
    with pytest.raises(MigrationChanged, match="0001_one"):
        pending((ONE,), (Applied(1, "one", "0" * 64),))


def test_a_hole_in_what_was_applied_is_refused() -> None:
    with pytest.raises(MigrationChanged, match="but not 0001_one"):
        pending((ONE, TWO), (row(TWO),))


def test_files_are_read_from_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "migrated_package" / "sql" / "outbox"
    folder.mkdir(parents=True)
    (folder.parent.parent / "__init__.py").write_text("")
    (folder / "0002_two.sql").write_text(TWO.sql)
    (folder / "0001_one.sql").write_text(ONE.sql)
    (folder / "README").write_text("not a migration")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load("migrated_package", "sql/outbox") == (ONE, TWO)


def test_migrating_runs_what_is_missing_and_remembers_it(connection: sqlite3.Connection) -> None:
    assert applied(connection) == ()
    assert migrate(connection, (ONE,), WALL_MS) == (ONE,)
    assert migrate(connection, (ONE, TWO), WALL_MS) == (TWO,)
    assert migrate(connection, (ONE, TWO), WALL_MS) == ()
    assert applied(connection) == (row(ONE), row(TWO))
    assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]
    stamps = connection.execute("SELECT DISTINCT applied FROM schema_migrations").fetchall()
    assert stamps == [(WALL_MS,)]


def test_a_migration_that_fails_leaves_nothing_of_itself(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="absent"):
        migrate(connection, (ONE, BROKEN), WALL_MS)
    assert applied(connection) == (row(ONE),)
    assert connection.execute("SELECT * FROM a").fetchall() == []
    assert migrate(connection, (ONE, TWO), WALL_MS) == (TWO,)


def test_a_refused_database_is_not_touched(connection: sqlite3.Connection) -> None:
    migrate(connection, (ONE, TWO), WALL_MS)
    changes = connection.total_changes
    with pytest.raises(DatabaseNewer):
        migrate(connection, (ONE,), WALL_MS)
    assert connection.total_changes == changes


def test_statements_end_where_sqlite_says_so() -> None:
    script = """
    CREATE TABLE a (x TEXT DEFAULT 'a;b'); -- a comment; with one
    CREATE TRIGGER t AFTER INSERT ON a BEGIN
        UPDATE a SET x = ';';
        DELETE FROM a;
    END;
    /* ; */ SELECT 1
    """
    table, trigger, query = statements(script)
    assert table.strip() == "CREATE TABLE a (x TEXT DEFAULT 'a;b');"
    assert trigger.strip().startswith("-- a comment; with one")
    assert trigger.endswith("END;")
    assert query == "/* ; */ SELECT 1"
    assert list(statements("")) == []
