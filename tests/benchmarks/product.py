"""The product's daemons as processes of a bench: the real ones, with a stop-watch at their seams.

`python -m tests.benchmarks.product hub ADDRESS DATA|DATABASE` and `... edge NAME HUB DATA SOCKET`.

Nothing is replaced: the seams call on and note the time, which costs under a microsecond.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud_hub import hub as hubs
from edge_agent import daemon as edges
from edge_agent.daemon import EdgeAgent
from edge_agent.replica import Applied
from edge_agent.requests import Receipt, Write
from edge_agent.tail import Arrival
from edge_agent.uplink import insecure
from holdfast.host import loops
from sync import messages as m
from tests.benchmarks.processes import now_ns, obey, usage
from tests.benchmarks.workload import SPACE

SETTLE_SECONDS = 0.002
"""Between two looks at whether all is in the replica, where no clock runs."""


@dataclass(slots=True)
class Watch:
    """Times seen at the seams of one edge. `taken` by seq; the others as (last seq, time)."""

    agent: EdgeAgent
    greeted_ns: int = 0
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    applied: list[tuple[str, int, int]] = field(default_factory=list)
    taken: list[tuple[int, int]] = field(default_factory=list)
    decided_at_start: int = 0
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def install(self) -> None:
        """Puts itself between the parts."""
        uplink, store, intake = self.agent.uplink, self.agent.store, self.agent.intake
        learn, acknowledge, commit = uplink.learn, uplink.acknowledge, store.commit
        told = intake._on_applied

        async def learning(welcome: m.Welcome) -> None:
            self.greeted_ns = now_ns()
            await learn(welcome)

        def acknowledging(result: m.PushResult) -> None:
            acknowledge(result)
            self.acknowledged.append((result.decided_seq, now_ns()))
            self.told.set()

        async def committing(write: Write) -> Receipt:
            began = now_ns()
            receipt = await commit(write)
            self.taken.append((receipt.op_id.seq, began))
            return receipt

        def applying(applied: Applied, arrivals: Sequence[Arrival]) -> None:
            told(applied, arrivals)
            now = now_ns()
            self.applied += [
                (a.decided.batch.origin.hex(), a.decided.batch.last_seq, now) for a in arrivals
            ]

        uplink.learn = learning  # type: ignore[method-assign]
        uplink.acknowledge = acknowledging  # type: ignore[method-assign]
        store.commit = committing  # type: ignore[method-assign]
        intake._on_applied = applying

    async def drain(self) -> dict[str, Any]:
        """Goes to the hub and gives it all that waits; answers when that is acknowledged."""
        before, waiting = usage()["cpu_s"], self._waiting()
        await self.agent.uplink.resume()
        while self._waiting():
            self.told.clear()
            await self.told.wait()
        ended = max((at for _, at in self.acknowledged), default=now_ns())
        cpu_s = usage()["cpu_s"] - before
        return {
            "began_ns": self.greeted_ns, "ended_ns": ended, "changes": waiting, "cpu_s": cpu_s,
        }  # fmt: skip

    async def settle(self) -> dict[str, int]:
        """Answers when the replica contains the decisions of all own commits."""
        outbox = self.agent.files.outbox
        last = outbox.counter(SPACE, outbox.origin.ordinal).last_seq
        while True:
            standing = await self.agent.reads.standing(SPACE)
            own = standing.own.get(outbox.origin.ordinal)
            if not last or (own is not None and own.decided_seq >= last):
                return {"revision": standing.cursor.revision, "at_ns": now_ns()}
            await asyncio.sleep(SETTLE_SECONDS)

    async def report(self) -> dict[str, Any]:
        """Hands over the times, and begins anew."""
        found = {
            "origin": self.agent.files.outbox.origin.id.hex(),
            "taken": self.taken,
            "acknowledged": self.acknowledged,
            "applied": self.applied,
        }
        self.taken, self.acknowledged, self.applied = [], [], []
        return found

    def _waiting(self) -> int:
        outbox, heard = self.agent.files.outbox, self.agent.uplink.acknowledged
        ordinal = outbox.origin.ordinal
        done = heard.get((SPACE, outbox.id_of(ordinal)))
        if done is None:  # since this process began; what was decided before is not waiting
            done = self.decided_at_start
        return max(0, outbox.counter(SPACE, ordinal).last_seq - done)

    async def learn_decided(self) -> None:
        """What the replica knows decided at start."""
        standing = await self.agent.reads.standing(SPACE)
        own = standing.own.get(self.agent.files.outbox.origin.ordinal)
        self.decided_at_start = own.decided_seq if own else 0


async def hub(address: str, where: str) -> None:
    """Runs a hub."""
    settings = hubs.HubSettings(listen=address, data=Path(where))
    if "://" in where:
        settings = hubs.HubSettings(listen=address, database=where)
    async with hubs.started(settings) as running:
        stop = asyncio.Event()
        serving = asyncio.create_task(running.run(stop))
        await obey({}, {"port": running.port})
        stop.set()
        await serving


async def edge(name: str, address: str, data: str, path: str) -> None:
    """Runs an edge."""
    settings = edges.EdgeSettings(
        Path(data), insecure(address), [Path(path)], name, {SPACE: m.Scope()}
    )
    async with edges.started(settings) as agent:
        watch = Watch(agent)
        await watch.learn_decided()
        watch.install()
        stop = asyncio.Event()
        serving = asyncio.create_task(agent.run(stop))
        answers = {"drain": watch.drain, "settle": watch.settle, "report": watch.report}
        await obey(answers, {"socket": path})
        stop.set()
        await serving


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    loops.run(hub(*arguments) if kind == "hub" else edge(*arguments))
