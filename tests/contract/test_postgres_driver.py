"""What only PostgreSQL's driver has: servers that are not safe, and lost, frozen or busy ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from cloud_hub import epochs, heads, origins
from cloud_hub.storage import postgres as module
from cloud_hub.storage import postgres_errors
from cloud_hub.storage.driver import (
    Retry,
    StorageFull,
    StorageUnavailable,
    Transaction,
    UnsafeDatabase,
)
from cloud_hub.storage.postgres import Limits, PostgresDriver, refuse_unsafe
from tests.contract.conftest import FIRST_EPOCH, NOW_MS, ORIGIN

pytestmark = pytest.mark.needs_postgres

TOKEN = b"t" * 16


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (("off", "on", "on", "UTF8", False), "fsync"),
        (("on", "off", "on", "UTF8", False), "synchronous_commit"),
        (("on", "on", "off", "UTF8", False), "full_page_writes"),
        (("on", "on", "on", "LATIN1", False), "LATIN1"),
        (("on", "on", "on", "UTF8", True), "standby"),
    ],
)
def test_what_would_lose_writes_is_refused_by_name(answer: object, named: str) -> None:
    with pytest.raises(UnsafeDatabase, match=named):
        refuse_unsafe(answer)


@pytest.mark.promise("hub.safe-database")
async def test_a_database_set_to_lose_commits_is_refused(postgres_dsn: str) -> None:
    await _ask(postgres_dsn, "ALTER DATABASE {} SET synchronous_commit = off")
    with pytest.raises(UnsafeDatabase, match="synchronous_commit"):
        await PostgresDriver.open(postgres_dsn, NOW_MS)
    driver = await PostgresDriver.open(postgres_dsn, NOW_MS, allow_unsafe=True)
    await driver.close()


async def test_a_server_that_is_not_there(postgres_dsn: str) -> None:
    with pytest.raises(StorageUnavailable):
        await PostgresDriver.open(postgres_dsn.replace("host=", "host=/nowhere"), NOW_MS)


@pytest.mark.parametrize("pooled", [False, True])
async def test_straight_and_through_a_pooler(postgres_dsn: str, pooled: bool) -> None:
    driver = await PostgresDriver.open(postgres_dsn, NOW_MS, pooled=pooled)
    await driver.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
    for _ in range(3):
        assert (await driver.write(lambda tx: origins.register(tx, {ORIGIN: ""})))[ORIGIN] == 1
    await driver.close()


async def test_work_is_run_again_and_not_for_ever(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0)
    driver = await PostgresDriver.open(postgres_dsn, NOW_MS)
    await driver.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
    runs = 0

    async def work(tx: Transaction, collisions: int) -> int:
        nonlocal runs
        runs += 1
        head = await heads.lock(tx, f"s{runs}")
        if runs <= collisions:
            raise Retry("collided")
        return head.revision

    assert await driver.write(lambda tx: work(tx, 3)) == 0
    assert runs == 4
    found = await driver.read(lambda tx: heads.page(tx, "", 10))
    assert [head.space for head in found] == ["s4"], "what collided left nothing"
    runs = 0
    with pytest.raises(StorageUnavailable, match="collided"):
        await driver.write(lambda tx: work(tx, 100))
    assert runs == module.ATTEMPTS
    await driver.close()


async def test_a_lost_connection_is_unavailable_and_the_next_work_has_another(
    postgres_dsn: str,
) -> None:
    driver = await PostgresDriver.open(postgres_dsn, NOW_MS, reconnect_s=0.3)
    await driver.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
    runs = 0

    async def work(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        await heads.lock(tx, "site")
        await _cut(postgres_dsn)
        await heads.lock(tx, "site")

    with pytest.raises(StorageUnavailable) as found:
        await driver.write(work)
    assert not found.value.outcome_unknown
    assert runs > 1, "it was begun anew on other connections, for as long as that made sense"
    assert await driver.read(lambda tx: heads.read(tx, "site")) is None
    await driver.close()


async def test_work_whose_connection_is_cut_is_begun_anew(postgres_dsn: str) -> None:
    driver = await PostgresDriver.open(postgres_dsn, NOW_MS)
    await driver.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
    runs = 0

    async def work(tx: Transaction) -> int:
        nonlocal runs
        runs += 1
        head = await heads.lock(tx, "site")
        await heads.advance(tx, replace(head, revision=head.revision + 1, token=TOKEN))
        if runs < 3:
            await _cut(postgres_dsn)
        await heads.read(tx, "site")
        return head.revision

    assert await driver.write(work) == 0
    assert runs == 3
    found = await driver.read(lambda tx: heads.read(tx, "site"))
    assert found is not None and found.revision == 1, "what was cut off had left nothing"
    await driver.close()


async def test_a_commit_whose_answer_was_lost_is_said_to_be_unknown(postgres_dsn: str) -> None:
    """Begun anew by itself it could happen twice: who asked has to find out."""
    driver = await PostgresDriver.open(postgres_dsn, NOW_MS)
    await driver.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
    runs = 0

    async def work(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        await heads.lock(tx, "site")
        cut.append(asyncio.ensure_future(_cut(postgres_dsn, running="COMMIT")))

    cut: list[asyncio.Future[None]] = []
    await _ask(
        postgres_dsn,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_sleep(60); RETURN NULL; END$$;"
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON heads DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    with pytest.raises(StorageUnavailable) as found:
        await driver.write(work)
    assert found.value.outcome_unknown
    assert runs == 1
    await asyncio.gather(*cut)
    await driver.close()


async def test_a_frozen_writer_loses_its_lock_and_begins_anew_when_it_wakes(
    postgres_dsn: str,
) -> None:
    driver = await PostgresDriver.open(postgres_dsn, NOW_MS, limits=Limits(idle_ms=200))
    await driver.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
    locked, leave = asyncio.Event(), asyncio.Event()
    runs = 0

    async def freeze(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        await heads.lock(tx, "site")
        locked.set()
        await leave.wait()
        await heads.read(tx, "site")

    frozen = asyncio.create_task(driver.write(freeze))
    await locked.wait()
    assert (await driver.write(lambda tx: heads.lock(tx, "site"))).revision == 0
    leave.set()
    await frozen
    assert runs == 2, "the transaction that it slept in was gone"
    await driver.close()


async def test_a_cancelled_writer_leaves_nothing_and_its_connection_goes_on(
    postgres_dsn: str,
) -> None:
    driver = await PostgresDriver.open(postgres_dsn, NOW_MS, max_connections=1)
    await driver.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
    locked = asyncio.Event()

    async def wait(tx: Transaction) -> None:
        await heads.lock(tx, "site")
        locked.set()
        await asyncio.Event().wait()

    waiting = asyncio.create_task(driver.write(wait))
    await locked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await driver.read(lambda tx: heads.read(tx, "site")) is None
    await driver.close()


def test_errors_by_who_must_act() -> None:
    of = postgres_errors.of
    assert isinstance(of(asyncpg.DiskFullError("no space")), StorageFull)
    assert isinstance(of(asyncpg.SerializationError("x"), committing=True), Retry)
    assert isinstance(of(asyncpg.ConnectionDoesNotExistError("x")), postgres_errors.Lost)
    assert isinstance(of(asyncpg.ObjectNotInPrerequisiteStateError("x")), UnsafeDatabase)
    lost = of(asyncpg.ConnectionDoesNotExistError("x"), committing=True)
    assert isinstance(lost, StorageUnavailable)
    assert lost.outcome_unknown
    assert not isinstance(of(TimeoutError()), postgres_errors.Lost), "it had its time"


async def _cut(dsn: str, running: str = "") -> None:
    """Ends all other connections to the database, or those that run a statement."""
    connection = await asyncpg.connect(dsn)
    try:
        found: list[int] = []
        while not found:
            found = await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                " pid <> pg_backend_pid() AND datname = current_database()"
                " AND ($1 = '' OR (state = 'active' AND query = $1))",
                running,
            )
    finally:
        await connection.close()


async def _ask(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(statement.replace("{}", name))
    finally:
        await connection.close()
