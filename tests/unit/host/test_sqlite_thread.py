"""What a database's thread means for those who wait for it, and for the end of the process."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.host.sqlite import Corrupt, Database

JOIN_S = 10
"""Far more than a thread needs that was told to end: only a hang takes this long."""


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def gone(started: set[threading.Thread]) -> bool:
    for thread in started:
        thread.join(JOIN_S)
    return not any(thread.is_alive() for thread in started)


def holding(
    gate: threading.Event, entered: threading.Event
) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        entered.set()
        assert gate.wait(JOIN_S)
        connection.execute("INSERT INTO t VALUES (1)")

    return work


async def opened(path: Path) -> Database:
    database = await Database.open(path)
    await database.run(lambda c: c.execute("CREATE TABLE t (n INTEGER)"))
    return database


async def test_transactions_of_many_callers_never_mix(tmp_path: Path) -> None:
    database = await opened(tmp_path / "x.db")

    def double(connection: sqlite3.Connection) -> None:
        (count,) = connection.execute("SELECT count(*) FROM t").fetchone()
        connection.execute("INSERT INTO t VALUES (?)", (count,))

    try:
        await asyncio.gather(*(database.transaction(double) for _ in range(100)))
        rows = await database.run(lambda c: c.execute("SELECT n FROM t ORDER BY rowid").fetchall())
        assert rows == [(n,) for n in range(100)]
    finally:
        await database.close()


async def test_a_cancelled_caller_leaves_a_whole_transaction(tmp_path: Path) -> None:
    database = await opened(tmp_path / "x.db")
    gate, entered = threading.Event(), threading.Event()
    try:
        caller = asyncio.create_task(database.transaction(holding(gate, entered)))
        await asyncio.to_thread(entered.wait, JOIN_S)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        gate.set()
        assert await database.run(lambda c: c.execute("SELECT n FROM t").fetchall()) == [(1,)]
    finally:
        await database.close()


async def test_closing_finishes_what_was_handed_over_and_ends_the_thread(tmp_path: Path) -> None:
    before = threads()
    database = await opened(tmp_path / "x.db")
    started = threads() - before
    assert started
    waiting = [
        asyncio.create_task(database.transaction(lambda c: c.execute("INSERT INTO t VALUES (1)")))
        for _ in range(3)
    ]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*waiting)
    assert gone(started)


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_a_cancelled_close_ends_the_thread_all_the_same(
    tmp_path: Path, cancellations: int
) -> None:
    before = threads()
    database = await opened(tmp_path / "x.db")
    started = threads() - before
    gate, entered = threading.Event(), threading.Event()
    caller = asyncio.create_task(database.transaction(holding(gate, entered)))
    await asyncio.to_thread(entered.wait, JOIN_S)
    closing = asyncio.create_task(database.close())
    for _ in range(cancellations):
        await asyncio.sleep(0)
        closing.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    # Once is patient, so that the loop outlives the thread; twice is not.
    assert closing.done() == (cancellations == 2)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await caller
    assert await asyncio.to_thread(gone, started)


async def test_a_file_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    before = threads()
    (tmp_path / "x.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(Corrupt):
        await Database.open(tmp_path / "x.db")
    assert gone(threads() - before)


async def test_a_cancelled_open_leaves_no_thread(tmp_path: Path) -> None:
    before = threads()
    opening = asyncio.create_task(Database.open(tmp_path / "x.db"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert gone(threads() - before)


def test_an_event_loop_may_end_right_after_a_failed_open(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 1000)
    reported: list[object] = []
    before, hook = threads(), threading.excepthook
    threading.excepthook = reported.append
    try:
        for _ in range(50):
            with pytest.raises(Corrupt):
                asyncio.run(Database.open(tmp_path / "x.db"))
        assert gone(threads() - before)
    finally:
        threading.excepthook = hook
    assert reported == []
