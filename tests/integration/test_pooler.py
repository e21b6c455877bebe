"""Two hub processes behind a real PgBouncer that gives every transaction any connection; where the
machine has none, the same two work as if behind one, and the server is asked what they left in
their connections."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from cloud_hub.hub import Hub, HubSettings, started
from tests import postgres
from tests.house import until
from tests.integration.test_two_hubs import write_here_watch_there

pytestmark = [
    pytest.mark.integration,
    pytest.mark.needs_postgres,
    pytest.mark.promise("hub.pooler"),
]

CONFIGURATION = """
[databases]
* = host={server} user=holdfast

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {home}
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
"""


@contextlib.contextmanager
def _pooler(dsn: str) -> Iterator[str]:
    """A PgBouncer before the server of `dsn`; gives the DSN through it."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer is installed here")
    server = parse_qs(urlsplit(dsn).query).get("host", [""])[0]
    if not server.startswith("/"):
        pytest.skip("the tests' server has no Unix socket")
    account = postgres.find_account()
    with tempfile.TemporaryDirectory(prefix="hf-pool-", dir="/tmp") as folder:
        home = Path(folder)
        (home / "pool.ini").write_text(CONFIGURATION.format(server=server, home=home))
        account.give(home)
        running = subprocess.Popen(
            account.command(program, "-q", home / "pool.ini"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            database = urlsplit(dsn).path
            yield f"postgresql://holdfast@{database}?host={home}&port=6432"
        finally:
            running.terminate()
            running.wait()


async def _answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, statement_cache_size=0)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


@contextlib.asynccontextmanager
async def _running(settings: HubSettings) -> AsyncIterator[tuple[Hub, Hub]]:
    async with started(settings) as one, started(settings) as other:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(hub.run(stop)) for hub in (one, other)]
        try:
            yield one, other
        finally:
            stop.set()
            await asyncio.gather(*tasks)


@pytest.mark.parametrize("notified", [True, False])
async def test_behind_a_real_pooler(postgres_dsn: str, notified: bool) -> None:
    with _pooler(postgres_dsn) as pooled:
        await until(lambda: _answers(pooled))
        listen = postgres_dsn if notified else ""
        settings = HubSettings("127.0.0.1:0", database=pooled, pooled=True, listen_database=listen)
        async with _running(settings) as (one, other):
            await write_here_watch_there(one, other)


async def test_nothing_is_left_in_a_connection(postgres_dsn: str) -> None:
    settings = HubSettings("127.0.0.1:0", database=postgres_dsn, pooled=True)
    async with _running(settings) as (one, other):
        await write_here_watch_there(one, other)
        for hub in (one, other):
            async with hub.driver._pool.acquire() as connection:  # type: ignore[attr-defined]
                assert await connection.fetch("SELECT name FROM pg_prepared_statements") == []
                changed = (
                    "SELECT name FROM pg_settings WHERE source = 'session' AND name <> ALL($1)"
                )
                # asyncpg's own: two at the start, and jit while it learns types, then as before.
                asked = ["client_encoding", "extra_float_digits", "jit"]
                assert await connection.fetch(changed, asked) == []
                locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
                assert await connection.fetch(locks) == []
                assert await connection.fetch("SELECT pg_listening_channels()") == []
