"""Notifications between hub processes: heard at once, and again after the server has cut them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from cloud_hub.storage.postgres_listener import Listener
from tests.house import until

pytestmark = [pytest.mark.integration, pytest.mark.needs_postgres]


@contextlib.asynccontextmanager
async def _listening(
    dsn: str, heard: Callable[[str], None], anew: Callable[[], None] = lambda: None
) -> AsyncIterator[Listener]:
    listener = Listener(dsn, heard, anew)
    running = asyncio.create_task(listener.run())
    try:
        await until(lambda: listener.listening)
        yield listener
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_others_are_told_the_newest_and_nobody_hears_himself(postgres_dsn: str) -> None:
    ours: list[str] = []
    theirs: list[str] = []
    async with (
        _listening(postgres_dsn, ours.append) as one,
        _listening(postgres_dsn, theirs.append),
    ):
        for revision in range(100):
            one.tell("site", f"head 1 {revision} site")
        one.tell("other", "head 1 7 other")
        await until(lambda: len(theirs) >= 2)
        assert sorted(theirs) == ["head 1 7 other", "head 1 99 site"], "gathered"
        assert ours == []


async def test_after_the_connection_was_cut_it_listens_again_and_says_so(postgres_dsn: str) -> None:
    heard: list[str] = []
    times: list[int] = []
    async with _listening(postgres_dsn, heard.append, lambda: times.append(1)):
        connection = await asyncpg.connect(postgres_dsn)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'cloud-hub-listener' AND datname = current_database()"
            )
            await until(lambda: len(times) == 2)
            await connection.execute("SELECT pg_notify('cloud_hub', 'news')")
            await until(lambda: heard == ["news"])
        finally:
            await connection.close()
