"""Two hub processes on one PostgreSQL: what is decided at one is read and watched at the other."""

from __future__ import annotations

import asyncio

import pytest

from cloud_hub.hub import Hub, HubSettings, started
from holdfast import AsyncClient
from holdfast.client import CommitEvent

pytestmark = pytest.mark.needs_postgres


async def test_a_commit_at_one_hub_is_watched_and_followed_at_the_other(
    postgres_dsn: str,
) -> None:
    settings = HubSettings("127.0.0.1:0", database=postgres_dsn)
    async with started(settings) as one, started(settings) as other:
        stop = asyncio.Event()
        running = [asyncio.create_task(hub.run(stop)) for hub in (one, other)]
        try:
            await write_here_watch_there(one, other)
        finally:
            stop.set()
            await asyncio.gather(*running)


async def write_here_watch_there(one: Hub, other: Hub) -> None:
    async with (
        AsyncClient(f"127.0.0.1:{one.port}", actor=("anna", "human")) as here,
        AsyncClient(f"127.0.0.1:{other.port}", actor=("bert", "human")) as there,
    ):
        watch = there.watch("default/tasks")
        await watch.started()
        for number in range(20):
            writer = here if number % 2 else there
            await writer.put("default/tasks/shared", {"number": number})
        seen: list[int] = []
        async with asyncio.timeout(20):
            async for event in watch:
                if isinstance(event, CommitEvent):
                    seen.append(event.changes[0].record.value["number"])
                if len(seen) == 20:
                    break
        assert seen == list(range(20))
        record = await here.get("default/tasks/shared")
        assert record is not None and record.version.revision == 20
