"""One edge agent, put together: startup, serve, drain.

Startup makes the two files agree before anybody is answered. Local sockets are
open as soon as that is so; the hub is not waited for. Draining goes from the
outside in: no new calls, what was taken is stored, the link says goodbye, the
files close.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
import stat
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2

import holdfast
from edge_agent import reconcile, retention, space_view
from edge_agent.database import MISTAKES, EdgeFiles, opened
from edge_agent.inbox import Inbox
from edge_agent.intake import Intake
from edge_agent.level_reads import LevelReads
from edge_agent.level_writes import LevelWrites
from edge_agent.local_store import LocalStore
from edge_agent.outbox import LIMIT_BYTES
from edge_agent.reads import ListQuery, Reads
from edge_agent.replica import Applied
from edge_agent.services.carrier import Carrier
from edge_agent.services.conflicts import ConflictService
from edge_agent.services.edge import EdgeService
from edge_agent.services.hub_door import HubDoor
from edge_agent.services.state import StateService
from edge_agent.sessions import Sessions
from edge_agent.tail import Arrival
from edge_agent.uplink import Address, LinkState, Uplink
from edge_agent.vitals import Vitals
from edge_agent.waiting import Waiting
from edge_agent.watchers import Watchers
from holdfast.host.attention import Attention
from holdfast.host.channels import server_options
from holdfast.host.clock import BootClock, Clock
from holdfast.host.door import UnknownMethods, add_service
from holdfast.host.health import add_health
from holdfast.host.sqlite import Corrupt
from holdfast.v1 import (
    checkpoint_service_pb2,
    conflict_service_pb2,
    edge_service_pb2,
    state_service_pb2,
    workflow_service_pb2,
)
from sync.authority import REQUESTS, node_of
from sync.commit import Actor
from sync.doors.checkpoints import CheckpointService
from sync.doors.door import Door
from sync.doors.workflow_errands import Errands
from sync.doors.workflows import WorkflowService
from sync.messages import MAX_REFUSALS, EdgeCounters, Scope
from sync.policy import Policies, Priority
from sync.position import ID_BYTES, Position

SWEEP_SECONDS = 5.0
"""How often files are checkpointed and trimmed, if it is due."""

QUIET_ROUNDS = 60
"""Every so many rounds whatever there is: a quiet edge lets go of its old rows too."""

RENEW_SECONDS = 5.0
"""How often the files of TLS are looked at: soon enough for who has just put new ones there."""

DRAIN_SECONDS = 5.0
"""Time for calls in flight."""

NO_POLICIES = Policies()

SERVICES = {
    "StateService": state_service_pb2.DESCRIPTOR,
    "ConflictService": conflict_service_pb2.DESCRIPTOR,
    "WorkflowService": workflow_service_pb2.DESCRIPTOR,
    "CheckpointService": checkpoint_service_pb2.DESCRIPTOR,
    "EdgeService": edge_service_pb2.DESCRIPTOR,
}
"""What is served at every socket."""

_RANKS = {Priority.CONTROL: 0, Priority.STATE: 1, Priority.BULK: 2}

_log = logging.getLogger(__name__)


class SocketUnusable(OSError):
    """A socket that cannot be listened on."""


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """How an edge agent runs. One socket for each actor or group of actors: gRPC hides who is at
    the other end of a socket, so who an agent is, is decided by which file it may open. At a socket
    in `actors` only that actor writes; at the others anybody says who he is."""

    data: Path
    hub: Address
    sockets: Sequence[Path]
    name: str
    scopes: Mapping[str, Scope] = field(default_factory=lambda: {"default": Scope()})
    actors: Mapping[Path, Actor] = field(default_factory=dict)
    socket_mode: int = 0o660
    outbox_limit_bytes: int = 0
    other_hubs: Sequence[Address] = ()
    """Further processes of the same hub."""


class EdgeAgent:
    """An edge on its files; `started` makes one that answers. `luck` spreads what a fleet does at
    the same moment, uniformly in [0, 1)."""

    def __init__(
        self, settings: EdgeSettings, files: EdgeFiles, luck: Callable[[], float] = random.random
    ) -> None:
        self.settings, self.files = settings, files
        self.watchers = Watchers(files)
        self.reads = Reads(files, settings.scopes)
        self.vitals = Vitals(files, settings.scopes)
        self.intake = Intake(files, settings.scopes, self._applied, self._progressed)
        self.uplink = Uplink(
            files,
            self.intake,
            settings.scopes,
            settings.hub,
            f"edge-agent {holdfast.__version__}",
            luck,
            self._rank,
            settings.other_hubs,
            self.vitals,
            self._counters,
        )
        self.store = LocalStore(
            files,
            scopes=settings.scopes,
            unix_ms=self._unix_ms,
            on_pending=self._pending,
            on_commits=self.watchers.commits_taken,
        )
        self.waiting = Waiting(files, self.reads, self.uplink)
        self.sessions = Sessions(files, self.reads, self.uplink, self.waiting)
        self.levels = LevelReads(files, self.uplink, self.waiting, self._policies_of)
        self._hub_door = HubDoor(lambda: self.uplink.address)
        self.writes = LevelWrites(
            files, self.store, self.uplink, self.waiting, self.levels.require_hub
        )
        self.states = {path: self._state(path) for path in settings.sockets}
        self._inbox = Inbox(files, self.reads)
        # Of no socket: what this node does of its own accord is no agent's doing.
        self.attention = Attention(self._asked, Errands(self._door(self._state(Path()))).run)
        if settings.hub.credentials is not None:
            settings.hub.credentials.report_to(files.alarms)
        self._edge = EdgeService(
            files, self.store, self.reads, self.intake, self.uplink, settings.scopes
        )
        self.carrier = Carrier(files, self.uplink, self._hub_door)
        self._refusals: Counter[str] = Counter()
        self._started_ns = files.clock.boot_ns()
        self._health = health.aio.HealthServicer()
        self._servers: dict[Path, grpc.aio.Server] = {}
        self._policies: dict[str, Policies] = {}
        self._learning: asyncio.Task[None] | None = None

    def _state(self, path: Path) -> StateService:
        """The service at one socket."""
        return StateService(
            self.files,
            self.writes,
            self.reads,
            self.watchers,
            self.waiting,
            self.sessions,
            self.levels,
            self._hub_door,
            self.settings.actors.get(path),
        )

    def _door(self, state: StateService) -> Door:
        return Door(state, self._node, self._unix_ms, self._took_authority)

    async def start(self) -> None:
        """Makes the files agree, then listens. Raises SocketUnusable, HostError."""
        await self.prepare()
        for path, state in self.states.items():
            self._servers[path] = await self._listen(path, state)
        for name in ("", *(f"holdfast.v1.{service}" for service in SERVICES)):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def prepare(self) -> None:
        """Makes the files agree. Raises HostError."""
        self.limit_outbox(self.settings.outbox_limit_bytes)
        for space in self.settings.scopes:
            self.attention.news(space)
        try:
            await reconcile.reconcile(self.files)
            await self._learn_policies()
        except (Corrupt, *MISTAKES) as error:
            if not isinstance(error, Corrupt):
                await self.files.look_over_replica()
            if not self.files.replica_damaged:
                raise  # it is the outbox, which nothing else knows, or our own mistake
            _log.error("the replica is damaged and begins from zero: %s", error)
            await reconcile.replace_replica(self.files, "REPLICA_DAMAGED")

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then drains."""
        try:
            await self.work(stop)
        finally:
            await self.drain()

    async def work(self, stop: asyncio.Event) -> None:
        """Keeps the link and the files until `stop` is set."""
        tasks = [
            asyncio.create_task(self.uplink.run(), name="uplink"),
            asyncio.create_task(self.carrier.run(), name="carrier"),
            asyncio.create_task(self.attention.run(), name="errands"),
            asyncio.create_task(self._sweep(), name="sweep"),
            asyncio.create_task(self._renew(), name="renew"),
        ]
        try:
            stopped = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            for task in done - {stopped}:
                task.result()  # neither ends by itself: whatever ended it is a fault
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Ends in order: nothing that was taken is left unanswered."""
        await self._health.enter_graceful_shutdown()
        self.watchers.close()
        self.waiting.close()
        await asyncio.gather(*(server.stop(DRAIN_SECONDS) for server in self._servers.values()))
        self._servers.clear()  # they end with this loop, not when a collector comes by
        await self._hub_door.close()
        await self.store.close()
        await retention.sweep(self.files, force=True)
        for path in self.settings.sockets:
            path.unlink(missing_ok=True)

    # -- house -----------------------------------------------------------------

    async def _listen(self, path: Path, state: StateService) -> grpc.aio.Server:
        """A server of its own at each socket, so that it is known which one was opened."""
        _clear(path)
        server = grpc.aio.server(options=server_options(max_connection_age_ms=None))
        door, conflicts = self._door(state), ConflictService(self._inbox, state)
        checkpoints = CheckpointService(door, self.carrier.contents, self.files.new_id)
        servicers = (state, conflicts, WorkflowService(door), checkpoints, self._edge)
        for (name, file), servicer in zip(SERVICES.items(), servicers, strict=True):
            add_service(server, file.services_by_name[name], servicer, self._refused)
        add_health(server, self._health)
        server.add_generic_rpc_handlers((UnknownMethods(),))
        try:
            server.add_insecure_port(f"unix:{path}")
        except RuntimeError as error:
            raise SocketUnusable(f"cannot listen on {path}: {error}") from error
        await server.start()
        os.chmod(path, self.settings.socket_mode)  # noqa: PTH101 - one call, no disk
        return server

    async def reload(self, *, anew: bool = True) -> bool:
        """Takes up credentials anew (SIGHUP), and dials with them; True if there are others."""
        credentials = self.settings.hub.credentials
        if credentials is None or not await credentials.look(anew=anew):
            return False
        self.uplink.begin_again("CREDENTIALS_CHANGED", "there is a new certificate")
        return True

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.reload(anew=False)
            except Exception as error:  # noqa: BLE001 - the credentials from before stay in use
                _log.warning("looking for new certificates failed", exc_info=error)

    async def _sweep(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            rounds += 1
            try:
                if rounds == 1:
                    await self.files.look_over_replica()
                if self.files.replica_damaged:
                    await reconcile.replace_replica(self.files, "REPLICA_DAMAGED")
                    self.uplink.begin_again("REPLICA_DAMAGED")
                await self.store.catch_up()
                await retention.sweep(self.files, force=rounds % QUIET_ROUNDS == 0)
            except Exception as error:  # noqa: BLE001 - house-keeping waits for better times
                _log.warning("sweeping failed", exc_info=error)

    @property
    def status_line(self) -> str:
        """How it is doing, for `systemctl status`."""
        link = self.uplink
        reason = f" ({link.reason})" if link.reason else ""
        return self.vitals.line(f"{link.state}{reason}", link.state is LinkState.STREAMING)

    def limit_outbox(self, limit_bytes: int) -> None:
        """The most that the outbox takes from now on; zero: the default."""
        self.files.outbox.limit_bytes = limit_bytes or LIMIT_BYTES

    def _refused(self, reason: str) -> None:
        self._refusals[reason] += 1

    def _counters(self) -> EdgeCounters:
        """What the hub is told with every heartbeat."""
        return EdgeCounters(
            uptime_ms=(self.files.clock.boot_ns() - self._started_ns) // 1_000_000,
            commits=self.store.commits,
            applied=self.intake.applied,
            dials=self.uplink.dials,
            outbox_transactions=self.store.outbox_transactions,
            outbox_us=self.store.outbox_us,
            oldest_pending_ms=self.vitals.oldest_pending_ms,
            lag_ms=self.vitals.lag_ms,
            refusals=tuple(self._refusals.most_common(MAX_REFUSALS)),
        )

    def _pending(self, spaces: frozenset[str]) -> None:
        self.vitals.took(spaces)
        self.uplink.pending()
        for space in spaces:
            self.attention.news(space)

    def _took_authority(self, space: str) -> None:
        self.attention.anew(space)

    async def _asked(self, space: str) -> object:
        """What tells whether more is asked of workflows in a space; None: nothing."""
        scope = self.settings.scopes.get(space)
        if scope is None or not scope.covers(REQUESTS):
            return None
        found = [one for one in await self.reads.digests(space) if one.collection == REQUESTS]
        waiting = await self.reads.list(ListQuery(space, REQUESTS))
        if not waiting.records:
            return None
        return *found, *(one.key for one in waiting.records)

    def _progressed(self, position: Position) -> None:
        self.vitals.applied(position, self.uplink.heads)
        self.watchers.progressed(position)

    def _applied(self, applied: Applied, arrivals: Sequence[Arrival]) -> None:
        here = Position(applied.cursor.epoch, applied.space, applied.cursor.revision)
        self.vitals.applied(here, self.uplink.heads)
        self.watchers.changes_applied(applied, arrivals)
        batches = [arrival.decided for arrival in arrivals]
        self.uplink.strong.applied(batches, self.files.outbox.ordinals)
        self.attention.news(applied.space)
        if applied.policies_changed:
            self._learning = asyncio.get_running_loop().create_task(self._learn_policies())

    async def _learn_policies(self) -> None:
        for space in {*self.settings.scopes, *self.files.outbox.spaces}:
            found = await self.files.reader.snapshot(
                lambda c, s=space: space_view.load_policies(c, s)  # type: ignore[misc]
            )
            self._policies[space] = found

    def _policies_of(self, space: str) -> Policies:
        return self._policies.get(space, NO_POLICIES)

    def _rank(self, space: str) -> int:
        return _RANKS[self._policies_of(space).space.priority]

    def _node(self) -> str:
        """Its name as who has an authority: a copy of its files goes on under another."""
        return node_of(self.files.outbox.origin.id)

    def _unix_ms(self) -> int:
        """The hub's time as far as it is known, else this machine's."""
        offset = self.uplink.clock_offset_ms
        if offset is None:
            return self.files.clock.wall_ms()
        return self.files.clock.boot_ns() // 1_000_000 + offset


def _clear(path: Path) -> None:
    """Takes a socket's name; removes what a dead process has left there. Raises SocketUnusable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketUnusable(f"{path} exists and is no socket: choose another name")
        if _answers(path):
            raise SocketUnusable(f"{path} is in use by another process: choose another name")
        path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


@contextlib.asynccontextmanager
async def started(settings: EdgeSettings, clock: Clock | None = None) -> AsyncIterator[EdgeAgent]:
    """An edge that answers at its sockets; its files close at the end of the block.

    Raises HostError (directory in use, outbox damaged), SocketUnusable.
    """
    async with opened(
        settings.data, settings.name, clock or BootClock(), lambda: secrets.token_bytes(ID_BYTES)
    ) as files:
        agent = EdgeAgent(settings, files)
        await agent.start()
        yield agent
