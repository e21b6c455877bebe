"""The one way to a SQLite file: whole functions in, results or typed errors out."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from holdfast.host.sqlite import (
    MEMORY,
    Busy,
    Corrupt,
    Database,
    DatabaseClosed,
    DiskFailure,
    DiskFull,
    InlineDatabase,
    Pragmas,
    SqliteFile,
    TransactionLost,
)
from holdfast.host.sqlite_errors import typed

NO_WAIT = Pragmas(busy_timeout_ms=0)


def size(path: Path) -> int:
    return path.stat().st_size


def overwrite(path: Path, start: int, content: bytes) -> None:
    image = bytearray(path.read_bytes()) if path.exists() else bytearray()
    image[start : start + len(content)] = content
    path.write_bytes(image)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a b?#%.db"


@pytest.fixture(params=[Database, InlineDatabase])
def kind(request: pytest.FixtureRequest) -> type[Database] | type[InlineDatabase]:
    kind: type[Database] | type[InlineDatabase] = request.param
    return kind


@pytest.fixture
async def database(
    kind: type[Database] | type[InlineDatabase], path: Path
) -> AsyncIterator[SqliteFile]:
    opened: SqliteFile = await kind.open(path)
    try:
        await opened.run(lambda c: c.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB)"))
        yield opened
    finally:
        await opened.close()


def insert(*numbers: int) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        for number in numbers:
            connection.execute("INSERT INTO t (n) VALUES (?)", (number,))

    return work


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]


def pragma(name: str) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]


async def test_a_file_is_opened_as_durably_as_asked(
    kind: type[Database] | type[InlineDatabase], path: Path
) -> None:
    for synchronous, number in (("FULL", 2), ("NORMAL", 1)):
        database = await kind.open(path, Pragmas(synchronous=synchronous))  # type: ignore[arg-type]
        try:
            assert await database.run(pragma("synchronous")) == number
            assert await database.run(pragma("journal_mode")) == "wal"
            assert await database.run(pragma("wal_autocheckpoint")) == 0
            assert await database.run(pragma("foreign_keys")) == 1
            assert await database.run(pragma("busy_timeout")) == 5_000
        finally:
            await database.close()


async def test_a_transaction_is_stored_whole(database: SqliteFile) -> None:
    await database.transaction(insert(1, 2))
    assert await database.run(numbers) == [1, 2]
    assert await database.snapshot(numbers) == [1, 2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
async def test_a_function_that_raises_changes_nothing(
    database: SqliteFile, error: type[BaseException]
) -> None:
    def work(connection: sqlite3.Connection) -> None:
        insert(1)(connection)
        raise error

    with pytest.raises(error):
        await database.transaction(work)
    await database.transaction(insert(2))
    assert await database.run(numbers) == [2]


async def test_a_constraint_passes_as_it_is_and_changes_nothing(database: SqliteFile) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await database.transaction(insert(1, 1))
    assert await database.run(numbers) == []


async def test_a_stop_iteration_does_not_leave_the_caller_waiting(database: SqliteFile) -> None:
    with pytest.raises(RuntimeError):
        async with asyncio.timeout(10):
            await database.run(lambda c: next(iter(c.execute("SELECT n FROM t"))))


async def test_a_full_disk_is_typed_and_nothing_of_the_transaction_stays(
    database: SqliteFile,
) -> None:
    await database.run(lambda c: c.execute("PRAGMA max_page_count = 8").fetchone())

    def too_much(connection: sqlite3.Connection) -> None:
        insert(1)(connection)
        connection.execute("INSERT INTO t VALUES (2, zeroblob(1000000))")

    with pytest.raises(DiskFull) as refused:
        await database.transaction(too_much)
    assert refused.value.reason == "DISK_FULL"
    assert "free space" in str(refused.value)
    await database.transaction(insert(3))
    assert await database.run(numbers) == [3]


async def test_going_on_after_sqlite_ended_the_transaction_is_noticed(
    database: SqliteFile,
) -> None:
    await database.run(lambda c: c.execute("PRAGMA max_page_count = 8").fetchone())

    def swallows(connection: sqlite3.Connection) -> None:
        try:
            connection.execute("INSERT INTO t VALUES (2, zeroblob(1000000))")
        except sqlite3.OperationalError:
            assert not connection.in_transaction

    with pytest.raises(TransactionLost):
        await database.transaction(swallows)


async def test_a_transaction_left_open_is_ended(database: SqliteFile) -> None:
    def leaves_open(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        insert(1)(connection)

    with pytest.raises(TransactionLost):
        await database.run(leaves_open)
    await database.transaction(insert(2))
    assert await database.run(numbers) == [2]


async def test_a_file_locked_by_another_program_is_busy(
    kind: type[Database] | type[InlineDatabase], path: Path, database: SqliteFile
) -> None:
    shell = sqlite3.connect(path, isolation_level=None)
    impatient = await kind.open(path, NO_WAIT)
    try:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="sqlite3 shell"):
            await impatient.transaction(insert(1))
        shell.execute("ROLLBACK")
        await impatient.transaction(insert(1))
    finally:
        shell.close()
        await impatient.close()


async def test_a_file_that_is_no_database_is_corrupt(
    kind: type[Database] | type[InlineDatabase], path: Path
) -> None:
    overwrite(path, 0, b"not a database, whatever else it is" * 100)
    for read_only in (False, True):
        with pytest.raises(Corrupt):
            await kind.open(path, read_only=read_only)


async def test_a_damaged_page_is_corrupt(
    kind: type[Database] | type[InlineDatabase], path: Path
) -> None:
    database = await kind.open(path)
    await database.run(lambda c: c.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB)"))
    await database.close()
    overwrite(path, 4096, b"\xff" * 4096)
    database = await kind.open(path)
    try:
        with pytest.raises(Corrupt):
            await database.run(numbers)
    finally:
        await database.close()


async def test_a_missing_directory_is_a_failure_of_the_disk(
    kind: type[Database] | type[InlineDatabase], tmp_path: Path
) -> None:
    with pytest.raises(DiskFailure):
        await kind.open(tmp_path / "absent" / "x.db")


async def test_a_read_only_sibling_reads_beside_the_writer_and_cannot_write(
    kind: type[Database] | type[InlineDatabase], path: Path, database: SqliteFile
) -> None:
    await database.transaction(insert(1))
    sibling = await kind.open(path, read_only=True)
    try:
        assert await sibling.snapshot(numbers) == [1]
        await database.transaction(insert(2))
        assert await sibling.snapshot(numbers) == [1, 2]
        with pytest.raises(DiskFailure):
            await sibling.run(insert(3))
    finally:
        await sibling.close()


async def test_a_snapshot_is_of_one_moment(path: Path, database: SqliteFile) -> None:
    await database.transaction(insert(1))
    sibling = await InlineDatabase.open(path, read_only=True)
    writer = sqlite3.connect(path, isolation_level=None)

    def twice(connection: sqlite3.Connection) -> tuple[list[int], list[int]]:
        before = numbers(connection)
        insert(2)(writer)
        return before, numbers(connection)

    try:
        assert await sibling.snapshot(twice) == ([1], [1])
    finally:
        writer.close()
        await sibling.close()


async def test_only_an_asked_for_checkpoint_writes_the_file(
    path: Path, database: SqliteFile
) -> None:
    await database.checkpoint()
    before = size(path)
    for number in range(50):
        await database.transaction(
            lambda c, n=number: c.execute("INSERT INTO t VALUES (?, zeroblob(100000))", (n,))  # type: ignore[misc]
        )
    assert size(path) == before
    assert database.changes_since_checkpoint == 50
    done = await database.checkpoint()
    assert done.complete
    assert done.copied_pages > 1_000
    assert size(path) > 5_000_000
    assert database.changes_since_checkpoint == 0


async def test_a_truncating_checkpoint_empties_the_log(path: Path, database: SqliteFile) -> None:
    await database.transaction(insert(1))
    assert (await database.checkpoint(truncate=True)).complete
    assert size(path.with_name(path.name + "-wal")) == 0


async def test_a_closed_file_says_so_and_closing_again_does_nothing(database: SqliteFile) -> None:
    await database.close()
    await database.close()
    with pytest.raises(DatabaseClosed):
        await database.run(numbers)
    with pytest.raises(DatabaseClosed):
        await database.checkpoint()


async def test_a_database_in_memory(kind: type[Database] | type[InlineDatabase]) -> None:
    database = await kind.open(MEMORY)
    try:
        await database.transaction(lambda c: c.execute("CREATE TABLE t (n INTEGER)"))
        await database.transaction(insert(1))
        assert (await database.checkpoint()).complete
        assert await database.run(numbers) == [1]
    finally:
        await database.close()


def test_errors_that_are_not_the_machines_have_no_type() -> None:
    assert typed(ValueError(), "x") is None
    assert typed(OSError(2, "No such file or directory"), "x") is None
    assert typed(sqlite3.ProgrammingError("wrong"), "x") is None
    assert isinstance(typed(OSError(28, "No space left on device"), "x"), DiskFull)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_IOERR_WRITE, DiskFull),
        (sqlite3.SQLITE_IOERR_FSYNC, DiskFull),
        (sqlite3.SQLITE_IOERR_READ, DiskFailure),
        (sqlite3.SQLITE_CORRUPT_INDEX, Corrupt),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Busy),
        (sqlite3.SQLITE_READONLY_DBMOVED, DiskFailure),
    ],
)
def test_extended_codes_have_the_type_of_their_cause(code: int, expected: type) -> None:
    error = sqlite3.OperationalError("text")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "NAME"
    assert isinstance(typed(error, "x"), expected)
