"""A hub and two edges whose links can be cut and whose processes can be killed.

Everything is real: processes, files, sockets, connections. Nothing of it is left when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from holdfast.client import AsyncClient
from holdfast.demo.children import EDGES, Child, end, start
from holdfast.demo.link import Link

HUMAN = ("maria", "human")
ROBOT = ("arm-1", "robot")
PLANNER = ("planner", "ai")


class Stage:
    """What the story is played on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hub_address = ""
        self._hub: list[Child] = []
        self._edges: dict[str, Child] = {}
        self._links: dict[str, Link] = {}
        self._clients: list[AsyncClient] = []

    async def begin(self) -> None:
        """Starts all. Raises ChildFailed."""
        data = ["--data", str(self.directory / "hub"), "--name", "hub"]
        arguments = ["--listen", "127.0.0.1:0", "--insecure", *data]
        said = await start(self.directory, "hub", "cloud_hub.cli", arguments, self._hub)
        self.hub_address = said["address"]
        for name in EDGES:
            self._links[name] = Link(self.hub_address)
            await self._links[name].heal()
            await self.start(name)

    async def end(self) -> None:
        """Ends all that still runs."""
        for client in self._clients:
            await client.close()
        for child in (*self._edges.values(), *self._hub):
            await end(child)
        for link in self._links.values():
            link.cut()

    async def start(self, edge: str) -> None:
        """Starts an edge, with what it has on its disk. Raises ChildFailed."""
        arguments = ["--hub", self._links[edge].address, "--data", str(self.directory / edge)]
        started: list[Child] = []
        await start(self.directory, edge, "edge_agent.cli", [*arguments, "--name", edge], started)
        self._edges[edge] = started[0]

    async def kill(self, edge: str) -> None:
        """SIGKILL: the process has no chance to finish anything."""
        child = self._edges.pop(edge)
        child.process.kill()
        await child.process.wait()

    def cut(self, edge: str) -> None:
        """Pulls the cable."""
        self._links[edge].cut()

    async def heal(self, edge: str) -> None:
        """Plugs it in again."""
        await self._links[edge].heal()

    def at(self, door: str, actor: tuple[str, str] = HUMAN) -> AsyncClient:
        """A session at the hub or at an edge."""
        socket = self.directory / door / "agent.sock"
        address = self.hub_address if door == "hub" else f"unix:{socket}"
        self._clients.append(AsyncClient(address, actor))
        return self._clients[-1]


@contextlib.asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    """A stage with its data in `directory`. Raises ChildFailed."""
    made = Stage(directory)
    try:
        await made.begin()
        yield made
    finally:
        await asyncio.shield(made.end())
