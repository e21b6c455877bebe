"""Whether hub and edges say the same, asked as any operator could: by their own status."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from holdfast import AsyncClient
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge_pb
from sync.messages import Scope

SETTLED_SECONDS = 20.0
"""Until everything is everywhere: many times what it takes, and less than a test may take."""

Tallies = dict[str, tuple[int, int]]
"""By collection: digest and number of records, where there are any."""


async def edge_status(edge: AsyncClient) -> edge_pb.GetEdgeStatusResponse:
    """The state of an edge in numbers."""
    answer = await edge.request("EdgeService.GetEdgeStatus", edge_pb.GetEdgeStatusRequest())
    assert isinstance(answer, edge_pb.GetEdgeStatusResponse)
    return answer


async def hub_spaces(hub: AsyncClient) -> dict[str, admin.SpaceInfo]:
    """The spaces of a hub by name."""
    answer = await hub.request("AdminService.ListSpaces", admin.ListSpacesRequest())
    assert isinstance(answer, admin.ListSpacesResponse)
    return {info.space: info for info in answer.spaces}


def tallies(info: admin.SpaceInfo | edge_pb.EdgeSpaceStatus) -> Tallies:
    """What a hub or an edge has of a space."""
    return {one.collection: (one.digest, one.records) for one in info.digests if one.records}


async def settled(
    hub: AsyncClient,
    edges: Mapping[str, AsyncClient],
    scopes: Mapping[str, Mapping[str, Scope]],
    seconds: float = SETTLED_SECONDS,
) -> dict[str, Tallies]:
    """Waits until the edges have nothing pending, are at the hub's head, and have its digests; then
    those, by space. `scopes` are by edge and space."""
    ends = asyncio.get_running_loop().time() + seconds
    while True:
        theirs = await hub_spaces(hub)
        found = [
            end
            for name, edge in edges.items()
            for end in _open_ends(name, await edge_status(edge), theirs, scopes[name])
        ]
        if not found:
            return {space: tallies(info) for space, info in theirs.items()}
        assert asyncio.get_running_loop().time() < ends, found
        await asyncio.sleep(0.05)


def _open_ends(
    name: str, status: edge_pb.GetEdgeStatusResponse, theirs: Mapping[str, admin.SpaceInfo],
    scopes: Mapping[str, Scope],
) -> list[str]:  # fmt: skip
    """What is not yet as it is to be at one edge."""
    found = [f"{name} has {status.pending} pending"] if status.pending else []
    for mine in status.spaces:
        scope = scopes.get(mine.space)
        if scope is None:
            continue
        hub = theirs.get(mine.space, admin.SpaceInfo())
        if mine.position.revision != hub.head.revision:
            at = f"{mine.position.revision} of {hub.head.revision}"
            found.append(f"{name} is at {at} in {mine.space} ({status.link_reason})")
        wanted = {c: one for c, one in tallies(hub).items() if scope.covers(c)}
        if tallies(mine) != wanted:
            found.append(f"{name} differs in {mine.space}: {tallies(mine)}, not {wanted}")
    return found
