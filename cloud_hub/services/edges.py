"""Edges as operators see them: by name, or those that lag most.

What an edge last said was written down; what it says just now, if its stream is at this process,
goes before that.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from operator import itemgetter

from cloud_hub import fleet, heads
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.streams import EdgeState
from holdfast.v1 import admin_service_pb2 as pb
from sync.codec import counters_to

PAGE = 1_000
"""Edges looked at together when all of them are."""

Live = Mapping[str, EdgeState]
"""The edges that this process has heard of, by name."""


async def page(driver: Driver, live: Live, after: str, limit: int) -> list[pb.EdgeInfo]:
    """Up to `limit` edges by name, beginning after a name."""

    async def work(tx: Transaction) -> list[pb.EdgeInfo]:
        known = await fleet.page(tx, after, limit)
        cursors = await fleet.cursors_of(tx, [edge.name for edge in known])
        spaces = {cursor.space for each in cursors.values() for cursor in each}
        found = await heads.read_many(tx, sorted(spaces))
        return [_info(edge, cursors[edge.name], found, live.get(edge.name)) for edge in known]

    return await driver.read(work)


async def lagging(driver: Driver, live: Live, limit: int) -> list[pb.EdgeInfo]:
    """The `limit` edges that are furthest behind, the worst first. All edges are looked at, a page
    at a time, and no more than `limit` and a page are held."""
    worst: list[tuple[tuple[int, int, str], pb.EdgeInfo]] = []
    after = ""
    while True:
        found = await page(driver, live, after, PAGE)
        ranked = [((_behind(info), info.pending, info.edge), info) for info in found]
        worst = heapq.nlargest(limit, worst + ranked, key=itemgetter(0))
        if len(found) < PAGE:
            return [info for _, info in worst]
        after = found[-1].edge


def _behind(info: pb.EdgeInfo) -> int:
    return sum(space.lag for space in info.spaces)


def _info(
    edge: fleet.Edge, cursors: list[fleet.EdgeCursor], found: Mapping[str, heads.Head],
    live: EdgeState | None,
) -> pb.EdgeInfo:  # fmt: skip
    return pb.EdgeInfo(
        edge=edge.name,
        origin=edge.origin,
        connected=live is not None and live.connected,
        last_seen_ms=edge.last_seen_ms,
        pending=edge.pending,
        spaces=[
            pb.EdgeSpace(
                space=cursor.space,
                cursor=cursor.revision,
                lag=max(0, found[cursor.space].revision - cursor.revision)
                if cursor.space in found
                else 0,
            )
            for cursor in cursors
        ],
        alarms=edge.alarms,
        clock_skew_ms=edge.skew_ms,
        software=edge.software,
        counters=counters_to(live.counters) if live is not None and live.counters else None,
    )
