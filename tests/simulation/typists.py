"""Agents that type into one text, at every edge and at the hub, as the other agents' work goes on.

Chosen for some seeds apart from everything else, so that the others run as before.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING

from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from tests.simulation.doors import UNREACHABLE, Door, call
from tests.simulation.history import Attempt
from tests.simulation.outside import places

if TYPE_CHECKING:
    from tests.simulation.world import World

SHARE = 0.25
"""Of the seeds."""

COLLECTION, KEY, FIELD = "pages", "1", "body"
POLICY = {"fields": {FIELD: "text"}}


class Typist:
    """Reads the page, and edits it in one or two places."""

    def __init__(self, world: World, name: str, door: Door, luck: random.Random) -> None:
        self._world, self.name, self._door, self._luck = world, name, door, luck
        self._length = 0

    async def live(self) -> None:
        """Until writing is over."""
        while self._world.writing:
            await asyncio.sleep(self._luck.expovariate(1.0) * self._world.plan.gap)
            if self._luck.random() < 0.3:
                await self._read()
            else:
                await self._type()

    async def _read(self) -> None:
        name = pb.RecordName(collection=COLLECTION, key=KEY)
        request = pb.BatchGetRequest(space="site", names=[name])
        answer = await call(self._world, self._door, "BatchGet", request, 8.0)
        if answer.end == "ok":
            response: pb.BatchGetResponse = answer.response
            texts = [json.loads(found.json).get(FIELD, "") for found in response.records]
            self._length = len(texts[0]) if texts else 0

    async def _type(self) -> None:
        number = len(self._world.history.wanted) + 1
        request = pb.CommitRequest(
            space="site",
            actor=record.Actor(id=self.name, kind=record.ACTOR_KIND_HUMAN),
            commit_id=self._luck.randbytes(16),
            ops=[record.Op(collection=COLLECTION, key=KEY, splice=self._splice(number))],
        )
        wanted = self._world.history.want("site", request.commit_id, list(request.ops))
        began = self._world.loop.time()
        answer = await call(self._world, self._door, "Commit", request, 8.0)
        if answer.end == UNREACHABLE:
            return
        attempt = Attempt(
            self._door.name, began, self._world.loop.time(), answer.end, answer.reason
        )
        if answer.end == "ok":
            response: pb.CommitResponse = answer.response
            attempt.origin, attempt.seq = response.op_id.origin, response.op_id.seq
            attempt.commit_id = response.op_id.commit_id
            attempt.outcome = response.outcome.kind
            attempt.revision = response.outcome.position.revision
            attempt.epoch = response.outcome.position.epoch
            attempt.place, attempt.seen = places(response.answer)
        wanted.attempts.append(attempt)

    def _splice(self, number: int) -> record.SpliceOp:
        at = self._luck.randint(0, self._length)
        runs = [record.SpliceRun(retain=at), record.SpliceRun(insert=f"<{number}>")]
        if self._length - at > 1 and self._luck.random() < 0.4:
            runs.append(record.SpliceRun(delete=self._luck.randint(1, min(4, self._length - at))))
        return record.SpliceOp(field=FIELD, runs=runs)
