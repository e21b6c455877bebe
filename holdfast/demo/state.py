"""What is asked of the daemons of the demo, and what it amounts to.

Converged means: nothing is pending at any edge, every edge is at the hub's revision, and the
digests of every collection are the hub's. Digests are over content, so equal ones at one revision
are equal records.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from holdfast.client import AsyncClient
from holdfast.demo.children import EDGES, SPACE
from holdfast.shell import asking, printing
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge

RECENT = 4
"""Conflicts that a view shows."""

POLL_SECONDS = 0.1

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """All daemons at about one moment, as `edge-agent status --json` and `cloud-hub spaces --json`
    have it."""

    hub: Document
    edges: dict[str, Document]
    recent: tuple[Document, ...]

    @property
    def pending(self) -> int:
        return sum(_space(one).get("pending", 0) for one in self.edges.values())

    @property
    def digests(self) -> dict[str, dict[str, str]]:
        """By replica and collection."""
        found = {"hub": self.hub, **{name: _space(one) for name, one in self.edges.items()}}
        return {
            name: {c: d["digest"] for c, d in one.get("digests", {}).items()}
            for name, one in found.items()
        }

    @property
    def converged(self) -> bool:
        at = {_space(one).get("revision") for one in self.edges.values()}
        same = all(one == self.digests["hub"] for one in self.digests.values())
        return same and not self.pending and at == {self.hub["revision"]}

    def verdict(self, changes: int) -> Document:
        """The result of a run in which the hub decided so many commits."""
        return {
            "converged": self.converged,
            "edges": {
                name: {
                    "connected": one["connected"],
                    "revision": _space(one).get("revision", 0),
                    "pending": _space(one).get("pending", 0),
                    "alarms": one["alarms"],
                }
                for name, one in self.edges.items()
            },
            "revision": self.hub["revision"],
            "changes": changes,
            "pending": self.pending,
            "conflicts": self.hub["conflicts"],
            "digests": self.digests,
        }


def _space(status: Document) -> Document:
    """What an edge says of the demo's space."""
    return next((one for one in status["spaces"] if one["space"] == SPACE), {})


space_of = _space


class Doors:
    """A client at each daemon."""

    def __init__(self, hub: AsyncClient, edges: dict[str, AsyncClient]) -> None:
        self.hub, self.edges = hub, edges

    async def look(self) -> Look:
        """Asks all of them at once."""
        statuses = await asyncio.gather(*(self._edge(name) for name in EDGES))
        hub, recent = await asyncio.gather(self._hub(), self._conflicts())
        return Look(hub, dict(zip(EDGES, statuses, strict=True)), recent)

    async def settled(self, seconds: float) -> Look:
        """Looks until all has converged, or time is up; then the last look."""
        ends = asyncio.get_running_loop().time() + seconds
        while True:
            found = await self.look()
            if found.converged or asyncio.get_running_loop().time() > ends:
                return found
            await asyncio.sleep(POLL_SECONDS)

    async def set_policies(self, policies: dict[str, str]) -> None:
        """Sets those that are not in force yet: a policy is a commit, and a second run of the demo
        has nothing to change."""
        for collection, json in policies.items():
            ask = admin.GetPolicyRequest(space=SPACE, collection=collection)
            found = await self.hub.request("AdminService.GetPolicy", ask)
            if cast(admin.GetPolicyResponse, found).policy.json != json:
                request = asking.policy_request(SPACE, collection, json, 0, ("demo", "system"))
                await self.hub.request("AdminService.SetPolicy", request)

    async def _edge(self, name: str) -> Document:
        request = edge.GetEdgeStatusRequest()
        answer = await self.edges[name].request("EdgeService.GetEdgeStatus", request)
        return asking.edge_status(cast(edge.GetEdgeStatusResponse, answer))

    async def _hub(self) -> Document:
        request = admin.ListSpacesRequest(page_size=asking.PAGE)
        answer = await self.hub.request("AdminService.ListSpaces", request)
        for info in cast(admin.ListSpacesResponse, answer).spaces:
            if info.space == SPACE:
                return asking.space_info(info)
        return asking.space_info(admin.SpaceInfo(space=SPACE))

    async def _conflicts(self) -> tuple[Document, ...]:
        found = self.hub.conflicts(SPACE, states=(), page_size=RECENT)
        recent: list[Document] = []
        async for conflict in found:
            recent.append(printing.conflict_document(conflict))
            if len(recent) == RECENT:
                break
        await found.aclose()  # type: ignore[attr-defined]
        return tuple(recent)
