"""A hub and its edges in this process, over real gRPC: loopback for the hub, Unix sockets for the
edges.

Each daemon is a task that can be ended and begun again on the same files, so a test writes down
what happens to a house in the order in which it happens. What needs a process of its own (kill -9,
signals, memory) is in tests/acceptance.

Invariant: a house that is left has no task, socket or file open.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud_hub import hub as hubs
from edge_agent import daemon as edges
from edge_agent.uplink import insecure
from holdfast import AsyncClient, Conflict
from holdfast.host.clock import Clock
from holdfast.tls.credentials import TlsFiles
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge_pb
from holdfast.v1 import record_pb2 as record
from sync.messages import Scope
from tests import convergence
from tests.convergence import SETTLED_SECONDS

SPACE = "site"
ROBOT = ("arm-1", "robot")
PERSON = ("ann", "human")


@dataclass(slots=True)
class _Running:
    """One daemon, as a task."""

    daemon: Any
    task: asyncio.Task[None]
    stop: asyncio.Event

    @classmethod
    async def start(cls, opening: AbstractAsyncContextManager[Any]) -> _Running:
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        task = asyncio.create_task(_serve(opening, ready, stop))
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await task  # raises why it did not start
        return cls(ready.result(), task, stop)

    async def end(self) -> None:
        self.stop.set()
        await self.task


async def _serve(
    opening: AbstractAsyncContextManager[Any], ready: asyncio.Future[Any], stop: asyncio.Event
) -> None:
    async with opening as daemon:
        ready.set_result(daemon)
        await daemon.run(stop)


@dataclass(slots=True)
class House:
    """The daemons by name; the hub is "hub". Its files are under `root`, by name as well."""

    root: Path
    port: int = 0
    running: dict[str, _Running] = field(default_factory=dict)
    settings: dict[str, edges.EdgeSettings] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)
    clients: list[AsyncClient] = field(default_factory=list)
    hub_tls: TlsFiles | None = None
    """With it the hub speaks TLS; each edge is then started with `hub=`, and clients at the hub are
    those of `operator`."""
    operator: TlsFiles | None = None
    _keepers: dict[str, AsyncClient] = field(default_factory=dict)

    # -- daemons ---------------------------------------------------------------

    async def start_hub(self, **options: Any) -> hubs.Hub:
        """Starts the hub, the second time at the same port."""
        settings = hubs.HubSettings(
            listen=f"127.0.0.1:{self.port}", data=self.root / "hub", tls=self.hub_tls, **options
        )
        found = await _Running.start(hubs.started(settings, self.clocks.get("hub")))
        self.running["hub"], self.port = found, found.daemon.port
        hub: hubs.Hub = found.daemon
        return hub

    async def start_edge(
        self, name: str, scopes: Mapping[str, Scope] | None = None, **options: Any
    ) -> edges.EdgeAgent:
        """Starts an edge, the second time as it was the first time."""
        if name not in self.settings:
            options.setdefault("hub", insecure(f"127.0.0.1:{self.port}"))
            self.settings[name] = edges.EdgeSettings(
                data=self.root / name,
                sockets=[self.socket(name)],
                name=name,
                scopes=scopes or {SPACE: Scope()},
                **options,
            )
        opening = edges.started(self.settings[name], self.clocks.get(name))
        self.running[name] = await _Running.start(opening)
        edge: edges.EdgeAgent = self.running[name].daemon
        return edge

    async def end(self, *names: str) -> None:
        """Ends daemons, as SIGTERM does."""
        for name in names:
            await self.running.pop(name).end()

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        await self.end(*[name for name in self.running if name != "hub"])
        await self.end(*self.running)

    def socket(self, name: str) -> Path:
        return self.root / f"{name}.sock"

    # -- clients ---------------------------------------------------------------

    def at(self, name: str, actor: tuple[str, str] = ROBOT, **options: Any) -> AsyncClient:
        """A client, and so a session, at an edge's socket or at the hub."""
        address = f"127.0.0.1:{self.port}" if name == "hub" else f"unix:{self.socket(name)}"
        if name == "hub":
            options.setdefault("tls", self.operator)
        self.clients.append(AsyncClient(address, actor, **options))
        return self.clients[-1]

    def keeper(self, name: str) -> AsyncClient:
        """The client of whoever looks after the house."""
        if name not in self._keepers:
            self._keepers[name] = self.at(name, PERSON)
        return self._keepers[name]

    async def status(self, name: str) -> edge_pb.GetEdgeStatusResponse:
        """The state of an edge in numbers."""
        return await convergence.edge_status(self.keeper(name))

    async def pause(self, name: str) -> None:
        await self.keeper(name).request("EdgeService.Pause", edge_pb.PauseRequest())

    async def resume(self, name: str) -> None:
        await self.keeper(name).request("EdgeService.Resume", edge_pb.ResumeRequest())

    async def set_policy(self, collection: str, json: str, space: str = SPACE) -> int:
        """The revision of the policy, now in force at the hub; of the space if no collection."""
        request = admin.SetPolicyRequest(
            space=space,
            policy=admin.Policy(collection=collection, json=json),
            actor=record.Actor(id="ann", kind=record.ACTOR_KIND_HUMAN),
        )
        answer = await self.keeper("hub").request("AdminService.SetPolicy", request)
        assert isinstance(answer, admin.SetPolicyResponse)
        return answer.policy.revision

    async def conflicts(self, space: str = SPACE) -> list[Conflict]:
        """The newest conflicts of a space, as the hub has them."""
        found = self.keeper("hub").conflicts(space, states=(), page_size=1_000)
        return [conflict async for conflict in found]

    # -- what is to hold in the end --------------------------------------------

    async def hub_spaces(self) -> dict[str, admin.SpaceInfo]:
        return await convergence.hub_spaces(self.keeper("hub"))

    async def settled(
        self, *names: str, seconds: float = SETTLED_SECONDS
    ) -> dict[str, convergence.Tallies]:
        """Waits until these edges (all, if none is named) have nothing pending, are at the hub's
        head and have its digests; then those."""
        chosen = names or tuple(name for name in self.running if name != "hub")
        edges = {name: self.keeper(name) for name in chosen}
        scopes = {name: self.settings[name].scopes for name in chosen}
        return await convergence.settled(self.keeper("hub"), edges, scopes, seconds)


@contextlib.asynccontextmanager
async def house(*names: str, clocks: Mapping[str, Clock] | None = None) -> AsyncIterator[House]:
    """A house with a hub and edges of these names, all of the space "site".

    Its root is short: a socket's path has 107 bytes, and those of pytest are longer.
    """
    with tempfile.TemporaryDirectory(prefix="hf-") as root:
        made = House(Path(root), clocks=dict(clocks or {}))
        try:
            await made.start_hub()
            for name in names:
                await made.start_edge(name)
            yield made
        finally:
            await made.close()


async def until(holds: Callable[[], Any], seconds: float = SETTLED_SECONDS) -> Any:
    """Waits until a look (a function, or one that returns an awaitable) finds something."""
    ends = asyncio.get_running_loop().time() + seconds
    while True:
        found = holds()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < ends, f"{holds} did not come true"
        await asyncio.sleep(0.02)
