"""What a workload is, and how its clients ask: one commit, whose end is put into the history.

Invariant: every request that was sent is in the history, whatever came of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from tests.simulation.doors import UNREACHABLE, Door, call
from tests.simulation.history import Attempt, Wanted
from tests.simulation.outside import places

if TYPE_CHECKING:
    from tests.simulation.world import World

PATIENCE_S = 8.0


class Client:
    """Does something again and again at one door, until writing is over."""

    def __init__(self, world: World, name: str, door: Door, luck: random.Random) -> None:
        self.world, self.name, self.door, self.luck = world, name, door, luck
        self.gap_s = world.plan.gap

    async def live(self) -> None:
        while self.world.writing:
            await asyncio.sleep(self.luck.expovariate(1.0) * self.gap_s)
            if self.world.writing:
                await self.turn()

    async def turn(self) -> None:
        raise NotImplementedError

    @property
    def next_number(self) -> int:
        """The number of the commit that is wanted next."""
        return len(self.world.history.wanted) + 1

    async def commit(self, request: pb.CommitRequest, *, level: str = "eventual") -> Attempt | None:
        """Asks once; None if the door was closed."""
        request.commit_id = request.commit_id or self.luck.randbytes(16)
        wanted = self.world.history.want(request.space, request.commit_id, list(request.ops))
        return await self.asked(wanted, "Commit", request, level=level)

    async def asked(
        self, wanted: Wanted, method: str, request: Any, *, service: Any = None,
        level: str = "eventual",
    ) -> Attempt | None:  # fmt: skip
        """One call whose answer has a CommitResponse in it, or is one."""
        world, door, began = self.world, self.door, self.world.loop.time()
        answer = await call(world, door, method, request, PATIENCE_S, service)
        if answer.end == UNREACHABLE:
            return None
        attempt = Attempt(door.name, began, world.loop.time(), answer.end, answer.reason)
        attempt.client, attempt.level = self.name, level
        if answer.end == "ok":
            took(attempt, getattr(answer.response, "commit", answer.response))
        wanted.attempts.append(attempt)
        world.note(
            self.name, f"{method} {wanted.number} at {door.name}:", answer.end, answer.reason
        )
        return attempt


def took(attempt: Attempt, response: pb.CommitResponse) -> None:
    """Notes what an answer says."""
    attempt.place, attempt.seen = places(response.answer)
    attempt.origin, attempt.seq = response.op_id.origin, response.op_id.seq
    attempt.commit_id = response.op_id.commit_id
    attempt.outcome = response.outcome.kind
    attempt.revision = response.outcome.position.revision
    attempt.epoch = response.outcome.position.epoch


def actor(name: str, kind: int) -> record.Actor:
    return record.Actor(id=name, kind=kind)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of work. `share` is how many of the seeds have it."""

    name: str
    share: float
    clients: Callable[[World, Iterable[Door]], Iterable[Client]]
    policies: Mapping[str, object] = field(default_factory=dict)


def at_each_door(
    make: Callable[[World, str, Door, random.Random], Client], what: str
) -> Callable[[World, Iterable[Door]], Iterable[Client]]:
    """One client at every door."""

    def clients(world: World, doors: Iterable[Door]) -> Iterable[Client]:
        for door in doors:
            name = f"{what}-{door.name}"
            yield make(world, name, door, world.luck(name))

    return clients
