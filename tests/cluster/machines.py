"""The processes of a run: hubs on one database, edges that know all of them, and their doors.

Invariant: whatever happens, no process outlives the `with` block, frozen ones included.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast import AsyncClient
from tests.cluster.plan import SPACE, Plan
from tests.daemons import EdgeProcess, HubProcess


@dataclass(frozen=True, slots=True)
class Machines:
    """All that runs."""

    hubs: tuple[HubProcess, ...]
    edges: tuple[EdgeProcess, ...]

    @property
    def doors(self) -> dict[str, HubProcess | EdgeProcess]:
        """By name: hub-1, edge-1 and so on."""
        named: dict[str, HubProcess | EdgeProcess] = {}
        named |= {f"hub-{n}": hub for n, hub in enumerate(self.hubs, 1)}
        named |= {f"edge-{n}": edge for n, edge in enumerate(self.edges, 1)}
        return named


@contextlib.contextmanager
def running(plan: Plan, database: str, directory: Path) -> Iterator[Machines]:
    """Starts them all, hubs first, since edges are told their addresses."""
    with contextlib.ExitStack() as stack:
        hubs = [HubProcess(directory / f"hub-{n}", database=database) for n in _numbers(plan.hubs)]
        for hub in hubs:
            stack.enter_context(hub)
        addresses = [hub.address for hub in hubs]
        edges = []
        for n in _numbers(plan.edges):
            # Each begins its list at another hub, so that no hub has all of them.
            turn = n % len(addresses)
            known = ",".join(addresses[turn:] + addresses[:turn])
            edges.append(EdgeProcess(known, directory / f"edge-{n}", scopes=[SPACE]))
        for edge in edges:
            edge.launch()
            stack.callback(edge.__exit__)
        for edge in edges:
            edge.wait_ready()
        yield Machines(tuple(hubs), tuple(edges))


def _numbers(count: int) -> range:
    return range(1, count + 1)


@contextlib.asynccontextmanager
async def clients(machines: Machines) -> AsyncIterator[dict[str, AsyncClient]]:
    """A connection to each door."""
    found = {name: door.client() for name, door in machines.doors.items()}
    try:
        yield found
    finally:
        await asyncio.gather(*(client.close() for client in found.values()))
