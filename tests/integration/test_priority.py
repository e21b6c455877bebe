"""An emergency stop in a control space overtakes a backlog of telemetry, up and down."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge_agent.requests import Write
from sync.commit import Actor, ActorKind
from sync.messages import Scope
from sync.reduce import Put
from tests.house import House, house

pytestmark = [pytest.mark.integration, pytest.mark.promise("stream.priority")]

BACKLOG = 12_000
ROBOT = Actor("arm-1", ActorKind.ROBOT)
# By name, the space that matters most would come last.
SCOPES = {"bulk": Scope(), "urgent": Scope()}


async def _fill(home: House, name: str) -> None:
    """A backlog of telemetry at an edge."""
    edge = home.running[name].daemon
    for start in range(0, BACKLOG, 1_000):
        writes = [
            Write("bulk", (Put("samples", f"{n % 700}", b'{"n":%d}' % n),), ROBOT)
            for n in range(start, start + 1_000)
        ]
        await asyncio.gather(*[edge.store.commit(write) for write in writes])


async def test_a_control_space_overtakes_a_backlog_both_ways() -> None:
    async with house() as home:
        await home.set_policy("", '{"priority":"control"}', "urgent")
        await home.set_policy("", '{"priority":"bulk"}', "bulk")
        await home.start_edge("a", SCOPES)
        await home.start_edge("b", SCOPES)
        await home.settled()
        await home.pause("a")
        await home.pause("b")
        await _fill(home, "a")
        stop = await home.at("a").put("urgent/orders/stop", {"stop": True})
        began = time.monotonic()
        await home.resume("a")
        there = home.at("hub")
        up = await stop.outcome()
        decided = (await home.hub_spaces())["bulk"].head.revision
        print(f"up after {time.monotonic() - began:.2f} s, {decided} of the backlog decided")
        assert str(up.kind) == "applied"
        assert decided < BACKLOG, "it did not wait for the backlog"
        await home.settled("a")
        # Down: another edge has all of the backlog before it when the next order comes.
        order = await there.put("urgent/orders/go", {"go": True})
        await home.resume("b")
        await home.at("b").wait([order.op_id])
        status = await home.status("b")
        (bulk,) = [one for one in status.spaces if one.space == "bulk"]
        print(f"down with {bulk.position.revision} of the backlog applied")
        assert bulk.position.revision < BACKLOG
        await home.settled()
