"""An outbox at its limit, and a disk that is full: refused by name before anything is acknowledged,
and over by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge_agent.daemon import EdgeAgent
from holdfast import AsyncClient
from holdfast.errors import ResourceExhausted
from tests.house import SPACE, house, until

pytestmark = pytest.mark.integration

LIMIT_BYTES = 40_000


async def _fill(client: AsyncClient, size: int, taken: list[str], mark: str = "") -> None:
    """Puts records until one is refused; `taken` are the keys of those that were not."""
    for number in range(1_000):
        await client.put(f"{SPACE}/parts/{mark}{number}", {"text": "x" * size})
        taken.append(f"{mark}{number}")


@pytest.mark.promise("write.eventual.full")
@pytest.mark.promise("rule.limits")
async def test_an_outbox_at_its_limit_refuses_and_reads_go_on() -> None:
    async with house() as home:
        await home.start_edge("a", outbox_limit_bytes=LIMIT_BYTES)
        await home.settled()
        await home.pause("a")
        client, keys = home.at("a"), list[str]()
        with pytest.raises(ResourceExhausted) as full:
            await _fill(client, 500, keys)
        taken = len(keys)
        assert full.value.reason == "OUTBOX_FULL"
        assert full.value.retry_after_s
        status = await home.status("a")
        assert status.pending == taken
        assert status.outbox_bytes <= LIMIT_BYTES
        found = [record async for record in client.list(f"{SPACE}/parts", page_size=1_000)]
        assert len(found) == taken
        await home.resume("a")
        assert (await home.settled())[SPACE]["parts"][1] == taken


async def _limit_pages(edge: EdgeAgent, pages: int) -> None:
    """From now on outbox.db takes no more than it has and so many pages; 0: what it likes."""

    def work(connection: Any) -> None:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        most = count + pages if pages else 1 << 30
        connection.execute(f"PRAGMA max_page_count = {most}")

    await edge.files.in_outbox(work)


@pytest.mark.promise("write.eventual.full")
@pytest.mark.promise("rule.disk-full-recovers")
async def test_a_full_disk_refuses_and_recovers() -> None:
    async with house("a", "b") as home:
        await home.settled()
        edge: EdgeAgent = home.running["a"].daemon
        await _limit_pages(edge, 4)
        client, taken = home.at("a"), list[str]()
        with pytest.raises(ResourceExhausted) as full:
            await _fill(client, 900, taken)
        assert full.value.reason == "DISK_FULL"
        for _ in range(3):
            with pytest.raises(ResourceExhausted):
                await client.put(f"{SPACE}/parts/more", {"text": "y" * 20_000})
        await home.settled()
        await _limit_pages(edge, 0)
        await client.put(f"{SPACE}/parts/after", {"n": 1})
        await home.settled()
        for name in home.running:
            found = {record.key async for record in home.at(name).list(f"{SPACE}/parts")}
            assert found == {*taken, "after"}


@pytest.mark.promise("rule.disk-full-recovers")
@pytest.mark.promise("rule.commit-then-ack")
async def test_a_full_disk_at_the_hub_refuses_and_recovers() -> None:
    async with house("a", "b") as home:
        await home.at("a").put(f"{SPACE}/parts/first", {"n": 1})
        await home.settled()
        hub = home.running["hub"].daemon
        await _limit_hub_pages(hub, 6)
        with pytest.raises(ResourceExhausted) as full:
            await _fill(home.at("hub"), 2_000, [], "hub-")
        assert full.value.reason == "DISK_FULL"
        # Edges take writes meanwhile, and bring them once there is room.
        for number in range(20):
            await home.at("a").put(f"{SPACE}/parts/{number}", {"text": "x" * 2_000})
        await until(lambda: _pending(home))
        await asyncio.sleep(0.3)
        await _limit_hub_pages(hub, 0)
        await home.settled()
        there = {record.key async for record in home.at("b").list(f"{SPACE}/parts")}
        assert {str(number) for number in range(20)} <= there


async def _pending(home: Any) -> bool:
    return bool((await home.status("a")).pending)


async def _limit_hub_pages(hub: Any, pages: int) -> None:
    def work(connection: Any) -> None:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        most = count + pages if pages else 1 << 30
        connection.execute(f"PRAGMA max_page_count = {most}")

    await hub.driver._writer.run(work)
