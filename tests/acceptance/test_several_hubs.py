"""Three hub processes on one PostgreSQL, and edges that know all of them: one is killed, one is
frozen for longer than the database waits for it, the database is restarted and cuts its
connections. What was acknowledged is there once, in one order, and all watchers saw that order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from cloud_hub.storage.postgres import LIMITS
from holdfast import AsyncClient, errors
from holdfast.client import CommitEvent
from sync.messages import Scope
from tests.convergence import edge_status, hub_spaces, settled
from tests.daemons import EdgeProcess, HubProcess
from tests.house import until

pytestmark = [pytest.mark.acceptance, pytest.mark.needs_postgres]

SPACE = "default"
SETTLED_SECONDS = 60.0
"""Whoever was with a frozen process must first notice, and a busy machine takes its time."""

LONGER_THAN_THE_DATABASE_WAITS_S = LIMITS.idle_ms / 1_000 + 1


@dataclass(slots=True)
class Fleet:
    """Hub processes and edges by name, and what their doors have acknowledged."""

    dsn: str
    hubs: list[HubProcess]
    edges: dict[str, EdgeProcess]
    clients: dict[str, AsyncClient] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    """By key, the last number that was acknowledged."""

    async def write(self, name: str, stop: asyncio.Event) -> None:
        """One agent writes numbers upwards under a key of its own."""
        client, number = self.clients[name], 0
        while not stop.is_set():
            number += 1
            try:
                await client.put(f"{SPACE}/numbers/{name}", {"n": number})
            except errors.Unavailable:
                await asyncio.sleep(0.05)
            else:
                self.acknowledged[name] = number
            await asyncio.sleep(0.002)

    async def moved(self, name: str, by: int = 20) -> None:
        """Waits until commits of an agent get to the hub again."""
        start = await self.decided(name)

        async def has_moved() -> bool:
            return await self.decided(name) >= start + by

        await until(has_moved, SETTLED_SECONDS)

    async def decided(self, name: str) -> int:
        """The last number of an agent that is in the database."""
        connection = await asyncpg.connect(self.dsn)
        try:
            found = await connection.fetchval("SELECT value FROM records WHERE key = $1", name)
        finally:
            await connection.close()
        return int(found.split(b":")[1].strip(b" }")) if found else 0

    async def hub_of(self, name: str) -> str:
        """The address of the process that an edge is with, or dials."""
        return (await edge_status(self.clients[name])).hub

    async def by_edges(self) -> list[HubProcess]:
        """The processes; first the one with the fewest edges that has any."""
        with_edges = [await self.hub_of(name) for name in self.edges]
        return sorted(self.hubs, key=lambda hub: with_edges.count(hub.address) or len(self.edges))

    async def cut_connections(self) -> None:
        """Ends all connections to the database but the own, in the middle of whatever they do."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        finally:
            await connection.close()


@pytest.fixture
def fleet(hub_postgres_dsn: str, tmp_path: Path) -> Iterator[Fleet]:
    with contextlib.ExitStack() as stack:
        hubs = [HubProcess(tmp_path / f"hub{n}", database=hub_postgres_dsn) for n in range(3)]
        for hub in hubs:
            stack.enter_context(hub)
        addresses = ",".join(hub.address for hub in hubs)
        edges = {name: EdgeProcess(addresses, tmp_path / name) for name in ("a", "b", "c")}
        for edge in edges.values():
            stack.enter_context(edge)
        yield Fleet(hub_postgres_dsn, hubs, edges)


@pytest.mark.promise("hub.several-processes")
@pytest.mark.promise("edge.several-hubs")
async def test_processes_come_and_go_and_nothing_is_lost_doubled_or_out_of_order(
    fleet: Fleet,
) -> None:
    async def trouble() -> None:
        for name in fleet.edges:
            await fleet.moved(name)
        frozen, killed, drained = await fleet.by_edges()
        free = [name for name in fleet.edges if await fleet.hub_of(name) != frozen.address]
        frozen.send(signal.SIGSTOP)
        asleep = asyncio.get_running_loop().time()
        killed.kill()
        for name in free:
            await fleet.moved(name)
        await fleet.cut_connections()
        drained.stop()
        killed.start()
        for name in free:
            await fleet.moved(name)
        drained.start()
        left_s = LONGER_THAN_THE_DATABASE_WAITS_S - (asyncio.get_running_loop().time() - asleep)
        await asyncio.sleep(max(0.0, left_s))
        frozen.send(signal.SIGCONT)
        for name in fleet.edges:
            await fleet.moved(name)

    await _survived(fleet, trouble)


async def _survived(fleet: Fleet, trouble: Callable[[], Awaitable[None]]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for name, edge in fleet.edges.items():
            fleet.clients[name] = await stack.enter_async_context(edge.client())
        doors = [await stack.enter_async_context(hub.client()) for hub in fleet.hubs]
        watchers = [Watcher(door) for door in doors]
        watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
        try:
            await _troubled(fleet, trouble)
            scopes = {name: {SPACE: Scope()} for name in fleet.edges}
            await settled(doors[0], fleet.clients, scopes, SETTLED_SECONDS)
            spaces = [(await hub_spaces(door))[SPACE] for door in doors]
            assert len({space.SerializeToString(deterministic=True) for space in spaces}) == 1
            head = spaces[0].head.revision
            await until(lambda: all(len(w.seen) >= head for w in watchers), SETTLED_SECONDS)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        assert watchers[0].seen == watchers[1].seen == watchers[2].seen, "one stream"
        _complete(fleet, watchers[0].seen)


async def _troubled(fleet: Fleet, trouble: Callable[[], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    writers = [asyncio.create_task(fleet.write(name, stop)) for name in fleet.edges]
    try:
        await trouble()
    finally:
        stop.set()
        await asyncio.gather(*writers)


@dataclass(slots=True)
class Watcher:
    """Watches at one process from the first commit on, whatever happens to the process."""

    door: AsyncClient
    seen: list[tuple[int, str, int, int]] = field(default_factory=list)
    """Revision, key, number and seq."""

    async def run(self) -> None:
        async for event in self.door.watch(f"{SPACE}/numbers", resume=b"h1:1:0"):
            if isinstance(event, CommitEvent):
                (change,) = event.changes
                record, seq = change.record, event.outcome.op_id.seq
                self.seen.append((record.version.revision, record.key, record.value["n"], seq))


def _complete(fleet: Fleet, history: list[tuple[int, str, int, int]]) -> None:
    revisions = [revision for revision, _, _, _ in history]
    assert revisions == list(range(1, len(history) + 1)), "gapless"
    for name, last in fleet.acknowledged.items():
        mine = [(number, seq) for _, key, number, seq in history if key == name]
        numbers = [number for number, _ in mine]
        assert numbers == sorted(set(numbers)), "none twice, all in order"
        assert set(range(1, last + 1)) <= {*numbers}, "every acknowledged one is there"
        assert [seq for _, seq in mine] == list(range(1, len(mine) + 1))
