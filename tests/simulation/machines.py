"""Machines: an edge or the hub, with a disk, clocks, and a process that comes back after a crash.

Here and only here production code is put together: the same parts as in the daemons, without their
sockets.

Invariant: a machine has at most one living process, and that has the newest directory.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cloud_hub.hub import Hub, HubSettings, assembled
from cloud_hub.storage.driver import StorageUnavailable, Work
from cloud_hub.storage.sqlite import PRAGMAS, SqliteDriver
from edge_agent.alarms import Alarms
from edge_agent.daemon import EdgeAgent, EdgeSettings
from edge_agent.database import EdgeFiles, open_files
from edge_agent.services.conflicts import ConflictService
from edge_agent.uplink import Address
from holdfast.host import migrations, sqlite_migrations
from holdfast.host.errors import HostError
from sync.messages import Scope
from tests.simulation.clocks import SimulatedClock
from tests.simulation.disks import Disk, SimulatedFile, image
from tests.simulation.network import Channel, Link, ServerContext
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")

HUB_MIGRATIONS = migrations.load("cloud_hub.storage", "sql/sqlite/migrations")


class Machine:
    """What edges and the hub have in common."""

    def __init__(self, world: World, name: str, clock: SimulatedClock) -> None:
        self.world, self.name, self.clock = world, name, clock
        self.luck = world.luck(f"machine:{name}")
        self.disk = Disk(world.luck(f"disk:{name}"), world.plan.disk_slowness_s)
        self.process: Process | None = None
        self.generation = 0
        self.boots = 0
        self.doomed = ""
        """The failpoint at which it crashes next."""
        self.stop = asyncio.Event()
        self.root = world.root / name
        self.directory.mkdir(parents=True)

    @property
    def directory(self) -> Path:
        return self.root / str(self.generation)

    @property
    def up(self) -> bool:
        """Whether it answers."""
        return self.process is not None and self.process.alive and self.ready

    ready = False

    def new_ids(self) -> random.Random:
        return self.world.luck(f"ids:{self.name}:{self.boots}")

    # -- life ----------------------------------------------------------------

    def start(self) -> None:
        """Boots; does nothing if it is up."""
        if self.process is not None and self.process.alive:
            return
        self.boots += 1
        self.ready = False
        process = self.process = Process(self.world.loop, f"{self.name}#{self.boots}")
        process.launch(self._main(process), f"{process.name}-main")

    def launch(self, work: Coroutine[Any, Any, object]) -> None:
        """Runs something in its process."""
        assert self.process is not None
        self.process.launch(work)

    async def _main(self, process: Process) -> None:
        try:
            await self._run(process)
        except HostError as error:
            if not process.alive:
                return
            self.world.note(self.name, "does not start:", error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - a daemon that ends by itself is a finding
            self.world.violated("daemon", f"{self.name} ended by itself: {error!r}", error)
        if process.alive:
            process.die()
            self.world.loop.call_later(self.luck.uniform(0.5, 3.0), self.start)

    async def _run(self, process: Process) -> None:
        raise NotImplementedError

    def crash(self, why: str, *, power: bool = False, down_s: float = 0.5) -> None:
        """Ends the process as kill -9 does, or as loss of power; it comes back after `down_s`."""
        process = self.process
        if process is None or not process.alive:
            return
        self.world.note(self.name, "crashes:", why, "(power)" if power else "")
        self.doomed = ""
        self.ready = False
        old = self.directory
        image(old, self.root / str(self.generation + 1), self.disk, self.luck if power else None)
        self.generation += 1
        process.die()
        if power:
            self.clock.rebooted()
        self.world.loop.call_later(0.01, partial(shutil.rmtree, old, ignore_errors=True))
        self.world.loop.call_later(down_s, self.start)

    def restart(self) -> None:
        """Stops as a service manager does, and starts again."""
        if self.up:
            self.world.note(self.name, "restarts")
            self.stop.set()


class EdgeMachine(Machine):
    """An edge. `edge` is what it calls itself; a copied device has that of the original."""

    def __init__(
        self, world: World, name: str, clock: SimulatedClock, link: Link, scopes: dict[str, Scope],
        edge: str = "",
    ) -> None:  # fmt: skip
        super().__init__(world, name, clock)
        self.link, self.scopes, self.edge = link, scopes, edge or name
        self.agent: EdgeAgent | None = None

    @property
    def service(self) -> Any:
        """Its StateService."""
        assert self.agent is not None
        return next(iter(self.agent.states.values()))

    @property
    def conflicts(self) -> Any:
        """Its ConflictService."""
        assert self.agent is not None
        return ConflictService(self.agent._inbox, self.service)

    async def _run(self, process: Process) -> None:
        ids = self.new_ids()
        opener: Any = partial(SimulatedFile.open, process, self.disk)
        files = await open_files(
            self.directory, self.edge, self.clock, lambda: ids.randbytes(16), Alarms(), opener
        )
        process.at_death.append(partial(_close_view, process.loop, files))
        link, world = self.link, self.world
        settings = EdgeSettings(
            data=self.directory,
            hub=Address("hub", lambda: Channel(link, process, lambda: world.hub)),  # type: ignore[arg-type,return-value]
            sockets=[self.directory / "agent.sock"],
            name=self.edge,
            scopes=self.scopes,
        )
        agent = EdgeAgent(settings, files, self.luck.random)
        agent.uplink.push_limit = min(world.plan.push_limit, agent.uplink.push_limit)
        await agent.prepare()
        self.agent, self.stop, self.ready = agent, asyncio.Event(), True
        world.note(self.name, "is up, origin", agent.files.outbox.origin.id.hex()[:6])
        world.sample(self)  # what a crash has left, made to agree
        await agent.run(self.stop)
        self.ready = False
        await files.close()


def _close_view(loop: asyncio.AbstractEventLoop, files: EdgeFiles) -> None:
    loop.call_soon(files._close_view)


class FlakyDriver:
    """The hub's database as production drives it, with failures of the connection to it."""

    def __init__(self, driver: SqliteDriver, machine: HubMachine) -> None:
        self._driver, self._machine = driver, machine

    async def write(self, work: Work[T]) -> T:
        failure = self._machine.next_failure()
        if failure == "before":
            raise StorageUnavailable("the connection was lost")
        result = await self._driver.write(work)
        if failure == "after":
            raise StorageUnavailable("lost while committing", outcome_unknown=True)
        return result

    async def read(self, work: Work[T]) -> T:
        if self._machine.next_failure() == "before":
            raise StorageUnavailable("the connection was lost")
        return await self._driver.read(work)

    async def answer(self) -> None:
        await self._driver.answer()

    async def close(self) -> None:
        await self._driver.close()


class HubMachine(Machine):
    """The hub."""

    def __init__(self, world: World, name: str, clock: SimulatedClock) -> None:
        super().__init__(world, name, clock)
        self.hub: Hub | None = None
        self.failing = 0.0
        """How probable it is that a transaction fails."""
        self.failures: deque[str] = deque()

    @property
    def service(self) -> Any:
        """Its StateService."""
        assert self.hub is not None
        return self.hub.state

    @property
    def conflicts(self) -> Any:
        """Its ConflictService."""
        assert self.hub is not None
        return self.hub._services["ConflictService"]

    def next_failure(self) -> str:
        if self.ready and self.luck.random() < self.failing:
            return self.luck.choice(("before", "after"))
        return ""

    async def _run(self, process: Process) -> None:
        ids = self.new_ids()
        path = self.directory / "hub.db"
        writer = await SimulatedFile.open(process, self.disk, path, PRAGMAS)
        await writer.run(
            lambda c: sqlite_migrations.migrate(c, HUB_MIGRATIONS, self.clock.wall_ms())
        )
        reader = await SimulatedFile.open(process, self.disk, path, PRAGMAS, read_only=True)
        driver = FlakyDriver(SqliteDriver(writer, reader), self)
        settings = HubSettings(listen="", data=self.directory, name="hub")
        hub = await assembled(
            settings, driver, self.clock, lambda: ids.randbytes(16), lambda: ids.randbytes(32),
            luck=lambda: 0.0,
        )  # fmt: skip
        await hub.prepare()
        self.hub, self.stop, self.ready = hub, asyncio.Event(), True
        self.world.note(self.name, "is up")
        process.launch(hub.follow(), f"{process.name}-follow")
        await hub.run(self.stop)
        self.ready = False
        await driver.close()

    async def replicate(self, requests: AsyncIterator[Any], context: ServerContext) -> None:
        assert self.hub is not None
        await self.hub.replication.Replicate(requests, context)  # type: ignore[arg-type]
