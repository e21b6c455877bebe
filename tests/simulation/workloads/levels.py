"""Writes and reads at the levels strong and bounded, at every door, of records that nobody writes
otherwise."""

from __future__ import annotations

import json

from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from tests.simulation.doors import call
from tests.simulation.outside import read_line
from tests.simulation.workloads.workload import Client, Workload, actor, at_each_door

COLLECTION = "orders"
LEVELS = {"strong": record.LEVEL_STRONG, "bounded": record.LEVEL_BOUNDED}
PATIENCE_S = 4.0


class Orderer(Client):
    """Writes strongly and reads at either level; bounded writes go to records beside them."""

    async def turn(self) -> None:
        chance = self.luck.random()
        if chance < 0.4:
            await self._read(self.luck.choice(tuple(LEVELS)))
        elif chance < 0.8:
            await self.commit(self._order("strong"), level="strong")
        else:
            await self.commit(self._order("bounded"), level="bounded")

    def _order(self, level: str) -> pb.CommitRequest:
        number = self.next_number
        request = pb.CommitRequest(
            space="site", actor=actor(self.name, record.ACTOR_KIND_ROBOT), level=LEVELS[level]
        )
        op = request.ops.add(collection=COLLECTION, key=f"{level}-{self.luck.randrange(3)}")
        chance = self.luck.random()
        if level == "bounded":
            request.bound.max_pending = self.luck.choice((1, 3, 10))
        if chance < 0.1:
            op.delete.SetInParent()
        elif chance < 0.5:
            op.put.json = json.dumps({"n": number, "at": self.name})
        else:
            op.patch.json = json.dumps({"n": number, self.luck.choice("ab"): number})
        return request

    async def _read(self, level: str) -> None:
        names = [pb.RecordName(collection=COLLECTION, key=f"strong-{i}") for i in range(3)]
        request = pb.BatchGetRequest(space="site", names=names, level=LEVELS[level])
        if level == "bounded":
            request.bound.max_staleness_ms = self.luck.choice((500, 5_000, 60_000))
        began, world = self.world.loop.time(), self.world
        answer = await call(world, self.door, "BatchGet", request, PATIENCE_S)
        if answer.end == "ok":
            world.history.reads.append(
                read_line(
                    request, answer.response, client=self.name, session="", door=self.door.name,
                    level=level, invoked_s=began, returned_s=world.loop.time(),
                )
            )  # fmt: skip


WORKLOAD = Workload("levels", 0.35, at_each_door(Orderer, "orderer"))
