"""Who works in the demo: a robot at one edge, a person and an AI agent at the other.

All three work on the same few tasks. Each reads a task, takes its time, and writes what it decided,
saying what it had read (`based_on`). So two of them are often at one task at once without knowing
of each other, as in life, and the policy of the collection decides: attempts are counted, the last
writer of a field wins, and what lost is in the log of conflicts.

Invariant: the record of an agent in `agents` says online from its first write until it leaves, and
offline afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from holdfast.client import AsyncClient, Op, Patch, Put
from holdfast.demo.children import SPACE
from holdfast.demo.telemetry import Machine
from holdfast.errors import OutcomeUnknown, RevisionMismatch, Unavailable

TASKS = 4
"""Few, so that the three meet."""

PASSING = (Unavailable, OutcomeUnknown, RevisionMismatch)
"""What an agent takes as it comes: it goes on with its next round."""

ANNOUNCE_SECONDS = 3.0
"""Also when it leaves because its edge has ended: nobody waits longer for that."""

TASK_POLICY = '{"fields":{"attempts":"counter"},"deletes":"edit_wins"}'
TELEMETRY_POLICY = '{"granularity":"record","coalesce":true}'
POLICIES = {"tasks": TASK_POLICY, "telemetry": TELEMETRY_POLICY}

STATES = ("open", "in progress", "waiting", "done")
TITLES = ("sweep hall 2", "refill feeder", "check gripper", "label shelves")[:TASKS]


@dataclass(slots=True)
class Agent:
    """One agent: a name, a kind, and what it does, round after round."""

    id: str
    kind: str
    edge: str
    capabilities: tuple[str, ...]
    pause_s: float
    work: Callable[[AsyncClient, int], Awaitable[None]]
    missed: int = field(default=0)
    """Rounds that came to nothing."""

    async def live(self, client: AsyncClient, stop: asyncio.Event) -> None:
        """Works until `stop`, and leaves."""
        await self._announce(client, "online")
        try:
            for number in count():
                try:
                    await self.work(client, number)
                except PASSING:
                    self.missed += 1
                if await _told(stop, self.pause_s):
                    return
        finally:
            await self._announce(client, "offline")

    async def _announce(self, client: AsyncClient, status: str) -> None:
        record = {
            "id": self.id,
            "kind": self.kind,
            "capabilities": list(self.capabilities),
            "status": status,
            "status_since": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        await client.put(f"{SPACE}/agents/{self.id}", record, timeout_s=ANNOUNCE_SECONDS)


async def _told(stop: asyncio.Event, seconds: float) -> bool:
    """Waits so long, or until told to stop; whether it was told."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


def cast() -> tuple[Agent, ...]:
    """The three."""
    robot = Robot()
    return (
        Agent("robot-a", "robot", "edge-a", ("telemetry", "tasks"), 0.5, robot.work),
        Agent("maria", "human", "edge-b", ("tasks", "notes"), 0.6, human),
        Agent("planner", "ai", "edge-b", ("tasks", "plans"), 0.4, planner),
    )


async def prepare(hub: AsyncClient) -> None:
    """Makes the tasks that do not exist yet."""
    paths = [task(number) for number in range(TASKS)]
    known = await hub.batch_get(paths)
    fresh = [
        Put(path, {"title": title, "status": "open", "attempts": 0})
        for path, title in zip(paths, TITLES, strict=True)
        if path not in known
    ]
    if fresh:
        await hub.commit(fresh)


def task(number: int) -> str:
    """The path of the task that is due in this round."""
    return f"{SPACE}/tasks/{number % TASKS + 1}"


@dataclass(slots=True)
class Robot:
    """Reports this machine's readings, and works on tasks."""

    machine: Machine = field(default_factory=Machine)

    async def work(self, client: AsyncClient, number: int) -> None:
        """One round: all readings in one commit; every other round, a task."""
        readings = await asyncio.to_thread(self.machine.read)
        if readings:
            await client.commit(
                [Put(f"{SPACE}/telemetry/{key}", value) for key, value in readings.items()]
            )
        if number % 2 == 0:
            path = task(number // 2)
            seen = await client.get(path)
            await asyncio.sleep(0.3)
            changed: dict[str, Any] = {"status": STATES[number // 2 % 3], "by": "robot-a"}
            await client.patch(path, changed, **_based_on(seen))
            await client.add(path, {"attempts": 1})


async def human(client: AsyncClient, number: int) -> None:
    """Opens a task as a form, thinks, and saves; and takes notes."""
    path = task(number)
    form = await client.get(path)
    await asyncio.sleep(0.9)
    changed = {"status": STATES[number % len(STATES)], "by": "maria", "priority": number % 3 + 1}
    await client.patch(path, changed, **_based_on(form))
    if number % 3 == 0:
        note = {"text": f"looked at {path.rpartition('/')[2]}", "number": number}
        await client.put(f"{SPACE}/notes/maria-{number // 3 % 10}", note)


async def planner(client: AsyncClient, number: int) -> None:
    """Looks at all tasks, thinks, and writes a plan together with what it means for one task."""
    path = task(number)
    tasks = [one async for one in client.list(f"{SPACE}/tasks")]
    await asyncio.sleep(0.6)
    seen = [one for one in tasks if one.path == path]
    plan = {"order": [one.key for one in tasks][:20], "round": number}
    changed = {"plan": f"step {number}", "by": "planner"}
    ops: list[Op] = [Patch(path, changed), Put(f"{SPACE}/plans/current", plan)]
    await client.commit(ops, **_based_on(seen[0] if seen else None))
    await client.add(path, {"attempts": 1})


def _based_on(seen: Any) -> dict[str, Any]:
    return {} if seen is None else {"based_on": seen}
