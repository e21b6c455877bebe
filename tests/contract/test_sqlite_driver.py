"""What only SQLite's driver has: full disks, the write-ahead log, its thread."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from cloud_hub import epochs, heads, records
from cloud_hub.storage import sqlite
from cloud_hub.storage.driver import (
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageUnavailable,
    Transaction,
)
from cloud_hub.storage.sqlite import SqliteDriver, WorkSuspended
from holdfast.host.sqlite import MEMORY
from tests.contract.conftest import FIRST_EPOCH, NOW_MS
from tests.contract.hub_rows import record


@pytest.mark.parametrize("inline", [False, True])
async def test_a_full_disk_stores_nothing_and_passes(tmp_path: Path, inline: bool) -> None:
    driver = await SqliteDriver.open(tmp_path / "hub.db", NOW_MS, inline=inline)
    (pages,) = await driver._writer.run(lambda c: c.execute("PRAGMA page_count").fetchone())
    await driver._writer.run(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 4}").fetchone())
    big = {("robots", f"r{i}"): record(i + 1, b'"%s"' % (b"x" * 4000)) for i in range(300)}
    with pytest.raises(StorageFull):
        await driver.write(lambda tx: records.save(tx, "site", big))
    assert await driver.read(lambda tx: records.page(tx, "site", "robots", "", "", 10)) == []
    await driver._writer.run(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchone())
    await driver.write(lambda tx: records.save(tx, "site", big))
    assert len(await driver.read(lambda tx: records.load(tx, "site", big))) == 300
    await driver.close()


async def test_work_that_awaits_something_else_is_named_as_the_mistake(tmp_path: Path) -> None:
    driver = await SqliteDriver.open(tmp_path / "hub.db", NOW_MS)

    async def work(tx: Transaction) -> None:
        await records.save(tx, "site", {("robots", "r1"): record()})
        await asyncio.sleep(0)

    with pytest.raises(WorkSuspended):
        await driver.write(work)
    assert await driver.read(lambda tx: records.get(tx, "site", "robots", "r1")) is None
    await driver.close()


async def test_reads_do_not_wait_for_writes(tmp_path: Path) -> None:
    driver = await SqliteDriver.open(tmp_path / "hub.db", NOW_MS)
    loop, entered, leave = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    async def work(tx: Transaction) -> None:
        await records.save(tx, "site", {("robots", "r1"): record()})
        # This runs in the writer's thread: blocking it is what a long transaction does.
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(leave.wait(), loop).result(30)

    writing = asyncio.create_task(driver.write(work))
    await entered.wait()
    assert await driver.read(lambda tx: records.get(tx, "site", "robots", "r1")) is None
    leave.set()
    await writing
    assert await driver.read(lambda tx: records.get(tx, "site", "robots", "r1")) is not None
    await driver.close()


@pytest.mark.parametrize("inline", [False, True])
async def test_the_write_ahead_log_is_copied_back_after_a_while(
    tmp_path: Path, inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "IDLE_S", 0)
    driver = await SqliteDriver.open(tmp_path / "hub.db", NOW_MS, inline=inline)
    many = {("robots", f"r{i}"): record(i + 1) for i in range(sqlite.IDLE_ROWS)}
    await driver.write(lambda tx: records.save(tx, "site", many))
    async with asyncio.timeout(30):
        while driver._writer.changes_since_checkpoint:
            await driver.read(lambda tx: heads.read(tx, "site"))
    await driver.close()
    await driver.close()
    assert not (tmp_path / "hub.db-wal").exists()


async def test_a_database_in_memory_for_simulation() -> None:
    driver = await SqliteDriver.open(MEMORY, NOW_MS, inline=True)
    await driver.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
    head = await driver.write(lambda tx: heads.lock(tx, "site"))
    assert await driver.read(lambda tx: heads.read(tx, "site")) == head
    await driver.close()


async def test_what_is_written_is_there_after_opening_again(tmp_path: Path) -> None:
    for expected in (None, record()):
        driver = await SqliteDriver.open(tmp_path / "hub.db", NOW_MS)
        assert await driver.read(lambda tx: records.get(tx, "s", "robots", "r1")) == expected
        await driver.write(lambda tx: records.save(tx, "s", {("robots", "r1"): record()}))
        await driver.close()


async def test_errors_of_the_file_are_those_of_the_seam(tmp_path: Path) -> None:
    (tmp_path / "hub.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageCorrupt):
        await SqliteDriver.open(tmp_path / "hub.db", NOW_MS)
    with pytest.raises(StorageUnavailable):
        await SqliteDriver.open(tmp_path / "absent" / "hub.db", NOW_MS)


async def test_closed_is_unavailable_and_a_mistake_in_sql_an_error(tmp_path: Path) -> None:
    driver = await SqliteDriver.open(tmp_path / "hub.db", NOW_MS)
    with pytest.raises(StorageError) as found:
        await driver.write(lambda tx: tx.execute("heads_advance", "site"))
    assert isinstance(found.value.__cause__, sqlite3.Error)
    await driver.close()
    with pytest.raises(StorageUnavailable):
        await driver.read(lambda tx: heads.read(tx, "site"))
