"""The PostgreSQL that the tests start: fresh databases, copied templates, safe settings."""

from __future__ import annotations

import asyncpg
import pytest

from tests import postgres

pytestmark = pytest.mark.needs_postgres


async def _fetch(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def _make_table(dsn: str) -> None:
    await _fetch(dsn, "CREATE TABLE made_once (id int)")


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_an_empty_database(postgres_dsn: str, turn: int) -> None:
    del turn
    assert await _fetch(postgres_dsn, "SELECT to_regclass('leftover')") is None
    await _fetch(postgres_dsn, "CREATE TABLE leftover (id int)")


async def test_a_template_is_prepared_once_and_copied(postgres_server: postgres.Server) -> None:
    template = postgres_server.template("example", _make_table)
    assert postgres_server.template("example", _make_table) == template
    for _ in range(2):
        with postgres_server.database(template) as dsn:
            assert await _fetch(dsn, "SELECT count(*) FROM made_once") == 0
            await _fetch(dsn, "INSERT INTO made_once VALUES (1)")


async def test_the_server_keeps_what_it_acknowledges(postgres_dsn: str) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await _fetch(postgres_dsn, f"SHOW {setting}") == "on"


async def test_the_hubs_schema_is_there_and_empty(hub_postgres_dsn: str) -> None:
    assert await _fetch(hub_postgres_dsn, "SELECT count(*) FROM heads") == 0
