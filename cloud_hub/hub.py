"""One hub process, put together: startup, serve, drain.

Everything is handed what it needs here, and nowhere else. Draining goes from the
outside in: no new calls, goodbye on every stream, what has been taken is
decided, then the database closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import holdfast
from cloud_hub import commit_ids, epochs, fleet, levels, news
from cloud_hub.blobs import HubBlobs
from cloud_hub.certificates import Certificates
from cloud_hub.cursors import CursorKey
from cloud_hub.fanout import Fanout, Head
from cloud_hub.fence import Fence
from cloud_hub.following import Follower
from cloud_hub.forks import Sign
from cloud_hub.greeting import Greeter
from cloud_hub.history import History
from cloud_hub.ingest import Ingest
from cloud_hub.meta import SECRET_BYTES, Identity, identify
from cloud_hub.meter import Meter
from cloud_hub.ownership import Ownership
from cloud_hub.reads import Reads
from cloud_hub.scraping import MetricsPage
from cloud_hub.server import Server
from cloud_hub.services.admin import AdminService
from cloud_hub.services.blobs import BlobService
from cloud_hub.services.conflicts import ConflictService
from cloud_hub.services.replication import ReplicationService
from cloud_hub.services.state import StateService
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.storage.postgres import PostgresDriver
from cloud_hub.storage.postgres_listener import Listener
from cloud_hub.storage.sqlite import SqliteDriver
from cloud_hub.storage.timed import TimedDriver
from cloud_hub.streams import EdgeState, Streams
from cloud_hub.succession import OnFork, Succession
from cloud_hub.transaction import Transactor
from cloud_hub.watching import Events
from holdfast.host.attention import Attention
from holdfast.host.clock import BootClock, Clock
from holdfast.host.datadir import DataDirectory
from holdfast.host.loop_lag import watch_loop
from holdfast.host.loopback import Endpoint
from holdfast.tls.credentials import TlsFiles
from sync import framing
from sync.authority import HUB, REQUESTS
from sync.doors.checkpoints import CheckpointService
from sync.doors.contents import Contents
from sync.doors.door import Door
from sync.doors.workflow_errands import Errands
from sync.doors.workflows import WorkflowService
from sync.position import ID_BYTES

if TYPE_CHECKING:
    from cloud_hub.metrics import Metrics

DATABASE_NAME = "hub.db"
HOUSEKEEPING_SECONDS = 5.0
"""How often edges' reports are written and old commit ids forgotten."""

_log = logging.getLogger(__name__)


def random_id() -> bytes:
    """128 bits that never come twice."""
    return secrets.token_bytes(ID_BYTES)


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How a hub process runs. Exactly one of `data` (a directory, for SQLite) and `database`
    (a PostgreSQL URL). `listen` is HOST:PORT; port 0 takes a free one. Without `tls` it is plain
    TCP, which only loopback is for."""

    listen: str
    data: Path | None = None
    database: str = ""
    name: str = ""
    reflection: bool = False
    on_fork: OnFork = OnFork.STOP
    allow_unsafe_database: bool = False
    pooled: bool = False
    """The database is behind a pooler that hands out connections by transaction."""
    listen_database: str = ""
    """The same database without the pooler, for notifications; without it they are done without."""
    metrics: Endpoint | None = None
    """Where Prometheus reads, on loopback; None: nothing is counted."""
    tls: TlsFiles | None = None


class Hub:
    """A hub on a database; `assembled` makes one, `started` one that listens.

    `new_id` makes 16 random bytes: this process's origin, tokens, commit ids. `luck`, uniform in
    [0, 1), spreads when streams have come of age."""

    def __init__(
        self,
        settings: HubSettings,
        driver: Driver,
        identity: Identity,
        clock: Clock,
        new_id: Callable[[], bytes] = random_id,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self.settings, self.driver, self.clock = settings, driver, clock
        self._new_id = new_id
        self.metrics = self._metrics() if settings.metrics else None
        meter: Meter = self.metrics or Meter()
        self._meter = meter
        if self.metrics is not None:
            self.driver = driver = TimedDriver(driver, meter)
        name = settings.name or f"hub-{os.getpid()}"
        key = CursorKey(identity.secret)
        reads = Reads(driver)
        self.fanout = Fanout(History(driver, self._known, self._look).rows_after)
        transactor = Transactor(
            driver, clock, new_id(), new_id, framing.available_codecs()[0], self.fanout.head
        )
        events = self._events = Events(driver)
        self.succession = Succession(
            driver, clock, new_id, name, settings.on_fork, self.prepare, self._space_stopped
        )
        self._follower = Follower(driver, self.fanout, self.succession, self._epoch_changed)
        self._listener = self._listening()
        self.ingest = Ingest(transactor, self.fanout, events.decided, self._look, meter)
        self.ingest.on_published = self._tell_head
        self.ingest.on_contradiction = self.succession.stop
        fence = Fence(driver, clock, new_id, name, self._tell_stream)
        self.streams = Streams(clock, self._save_edges, fence, meter)
        greeter = Greeter(driver, clock, key, name)
        greeter.on_sign = self._sign_seen
        self.state = StateService(self.ingest, self.fanout, reads, events, new_id)
        self.ownership, self.origin = Ownership(driver), transactor.origin
        self.replication = ReplicationService(
            self.ingest, self.fanout, greeter, self.streams, clock, self.ownership, luck
        )
        self.certificates = Certificates(settings.tls) if settings.tls else None
        self._services = self._made(name, reads)
        self._server = Server(
            self._services, self.certificates, meter, reflection=settings.reflection
        )
        self._page: MetricsPage | None = None
        self._hearing: set[asyncio.Task[None]] = set()
        self.port = self.metrics_port = 0

    def _made(self, name: str, reads: Reads) -> dict[str, object]:
        """The services, by name."""
        database = "postgresql" if self.settings.database else "sqlite"
        conflicts = ConflictService(self.driver, reads, self.state)
        door = Door(
            self.state, lambda: HUB, self.clock.wall_ms,
            self._took_authority,
        )  # fmt: skip
        self.attention = Attention(self._asked, Errands(door).run)
        self.fanout.on_news = self.attention.news
        contents = Contents(HubBlobs(self.driver), asyncio.to_thread)
        return {
            "StateService": self.state,
            "ReplicationService": self.replication,
            "ConflictService": conflicts,
            "WorkflowService": WorkflowService(door),
            "CheckpointService": CheckpointService(door, contents, self._new_id),
            "BlobService": BlobService(contents),
            "AdminService": AdminService(
                name, database, self.driver, self.ingest, self.streams, self.clock,
                self.succession, self.alarms,
            ),
        }  # fmt: skip

    async def start(self) -> None:
        """Learns where every space is, then listens. Raises OSError if the address is taken."""
        await self.ownership.claim_own(self.origin)
        await self.prepare()
        self.port = await self._server.start(self.settings.listen)
        if self.metrics is not None and self.settings.metrics is not None:
            self._page = MetricsPage(self.metrics.page)
            self.metrics_port = await self._page.start(self.settings.metrics)
        await self._server.healthy()

    def reload(self) -> bool:
        """Takes up certificates anew (SIGHUP); True if there are others. What is wrong with them is
        an alarm, and those from before stay in use."""
        return self.certificates is not None and self.certificates.look(anew=True)

    def alarms(self) -> list[str]:
        """What an operator must look at, by name."""
        named = self.certificates.alarms if self.certificates else []
        return [*named, *self.succession.alarms]

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then drains."""
        tasks = [
            asyncio.create_task(self.keep_house(), name="house"),
            asyncio.create_task(self.follow(), name="follow"),
            asyncio.create_task(self.attention.run(), name="errands"),
        ]
        if self.metrics is not None:
            tasks.append(asyncio.create_task(watch_loop(self._meter.loop_late), name="loop-lag"))
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.drain()

    @property
    def status_line(self) -> str:
        """How it is doing, for `systemctl status`."""
        waiting = self.ingest.waiting_commits
        return (
            f"serving, {self.streams.count} edges connected, {self.ingest.commits} commits decided,"
            f" {waiting} waiting"
        )

    async def drain(self) -> None:
        """Ends in order: nothing that was taken is left undecided."""
        await self._server.leaving()
        await self.streams.close("SHUTTING_DOWN", "the hub stops", 500)
        await self.ingest.close()
        self.fanout.close()
        await self._server.stop()
        if self._page is not None:
            await self._page.close()
        await self.streams.save()

    def _known(self, space: str) -> Head | None:
        return self.fanout.head(space)

    def _look(self, space: str) -> None:
        """Readers find out that a history has ended, too."""
        self._follower.look(space)

    def _listening(self) -> Listener | None:
        """The ear for other processes, where there can be any and it has a way of its own."""
        dsn = self.settings.listen_database or self.settings.database
        if not dsn or (self.settings.pooled and not self.settings.listen_database):
            return None
        return Listener(dsn, self._heard, self._follower.look_everywhere)

    # -- house -----------------------------------------------------------------

    def _metrics(self) -> Metrics:
        # Loaded only here: a hub that shows nothing does without.
        from cloud_hub.metrics import Metrics

        database = "postgresql" if self.settings.database else "sqlite"
        facts = {"version": holdfast.__version__, "database": database}
        return Metrics(lambda: levels.look(self.ingest, self.streams), facts)

    async def prepare(self) -> None:
        """Learns where every space is; tells readers of what other processes have decided."""
        await self._follower.everything()

    async def follow(self) -> None:
        """Follows the commits of other processes on the same database, until cancelled."""
        if self._listener is None:
            # SQLite has one process; what is found then is a stop, or a declared epoch.
            await self._follower.run(lambda: not self.settings.database)
            return
        listener = self._listener
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run(), name="listen")
            tasks.create_task(self._follower.run(lambda: listener.listening), name="follow-heads")

    def _took_authority(self, space: str) -> None:
        self.attention.anew(space)

    async def _asked(self, space: str) -> object:
        """What tells whether more is asked of workflows in a space; None: nothing."""
        head = self.fanout.head(space)
        found = head.digests if head is not None else ()
        return next((one for one in found if one.collection == REQUESTS and one.records), None)

    def _heard(self, text: str) -> None:
        match news.decode(text):
            case news.HeadMoved() as moved:
                self._follower.hear(moved)
            case news.StreamTaken(origin=origin):
                self._later(self.streams.end_older([origin]))
            case None:
                pass

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Does it beside everything else; if it fails, the next look finds the same."""

        async def patiently() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - the database may be away for a while
                _log.warning("what was told could not be looked at", exc_info=error)

        task = asyncio.create_task(patiently(), name="hear")
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)

    def _tell_stream(self, origin: bytes) -> None:
        if self._listener is not None:
            self._listener.tell(origin.hex(), news.StreamTaken(origin).encode())

    def _tell_head(self, space: str, head: Head) -> None:
        if self._listener is not None:
            moved = news.HeadMoved(space, head.epoch, head.revision)
            self._listener.tell(space, moved.encode())

    def _epoch_changed(self, space: str, head: Head) -> None:
        """Before its readers are told: what they had seen may be gone, so all begin anew."""
        _log.warning("%s goes on in epoch %d", space, head.epoch)
        self._events.forget()
        self.streams.dismiss("EPOCH_CHANGED", f"the hub goes on in epoch {head.epoch}", 0)
        self._tell_head(space, head)

    def _space_stopped(self, space: str) -> None:
        self.streams.dismiss("SPACE_STOPPED", f"{space} is stopped", 0)

    async def _sign_seen(self, sign: Sign, unknown: bool) -> None:
        if unknown:
            await self.succession.stop(sign)
            self._follower.look(sign.space)
        else:
            await self.succession.note(sign)

    async def keep_house(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            try:
                if self.certificates is not None:
                    await asyncio.to_thread(self.certificates.look)
                await self.streams.end_older()
                await self.streams.save()
                await self.driver.write(self._forget_old_ids)
            except Exception as error:  # noqa: BLE001 - housekeeping waits for better times
                _log.warning("housekeeping failed", exc_info=error)

    async def _forget_old_ids(self, tx: Transaction) -> None:
        await commit_ids.expire(tx, self.clock.wall_ms() - commit_ids.KEPT_MS)

    async def _save_edges(self, states: list[EdgeState]) -> None:
        edges = [
            fleet.Edge(
                state.edge, state.origin, state.last_seen_ms, state.pending, state.outbox_bytes,
                state.skew_ms, state.alarms, state.software,
            )
            for state in states
        ]  # fmt: skip
        cursors = [
            fleet.EdgeCursor(state.edge, c.space, c.epoch, c.revision, c.lowest_base)
            for state in states
            for c in state.cursors.values()
        ]

        async def work(tx: Transaction) -> None:
            await fleet.save(tx, edges)
            if cursors:
                await fleet.save_cursors(tx, cursors)

        await self.driver.write(work)


@contextlib.asynccontextmanager
async def started(settings: HubSettings, clock: Clock | None = None) -> AsyncIterator[Hub]:
    """A hub that listens; it drains and closes at the end of the block.

    Raises HostError (directory in use, database refused), StorageError, OSError.
    """
    used = clock or BootClock()
    async with _database(settings, used) as driver:
        hub = await assembled(settings, driver, used)
        await hub.start()
        yield hub


async def assembled(
    settings: HubSettings,
    driver: Driver,
    clock: Clock,
    new_id: Callable[[], bytes] = random_id,
    secret: Callable[[], bytes] = lambda: secrets.token_bytes(SECRET_BYTES),
    luck: Callable[[], float] = random.random,
) -> Hub:
    """A hub on an open database, which gets its identity the first time. Raises StorageError."""

    async def work(tx: Transaction) -> Identity:
        await epochs.begin(tx, new_id(), clock.wall_ms())
        return await identify(tx, Identity(new_id(), secret()))

    return Hub(settings, driver, await driver.write(work), clock, new_id, luck)


@contextlib.asynccontextmanager
async def _database(settings: HubSettings, clock: Clock) -> AsyncIterator[Driver]:
    driver: Driver
    if settings.database:
        driver = await PostgresDriver.open(
            settings.database,
            clock.wall_ms(),
            pooled=settings.pooled,
            allow_unsafe=settings.allow_unsafe_database,
        )
        try:
            yield driver
        finally:
            await driver.close()
        return
    assert settings.data is not None, "a hub has a directory or a database"
    with DataDirectory.acquire(settings.data) as directory:
        driver = await SqliteDriver.open(directory.path / DATABASE_NAME, clock.wall_ms())
        try:
            yield driver
        finally:
            await driver.close()
