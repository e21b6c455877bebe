"""Agents that type into one text and one list, at every edge and at the hub, as the other agents'
work goes on."""

from __future__ import annotations

import json

from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from tests.simulation.doors import call
from tests.simulation.workloads.workload import Client, Workload, actor, at_each_door

COLLECTION, FIELD, LIST = "pages", "body", "steps"
PAGE = 1_000
"""Commits of a run after which a new page is begun, so that pages stay short."""


class Typist(Client):
    """Reads the page, and edits it in one or two places."""

    lengths, page = (0, 0), ""

    def _page(self) -> str:
        page = str(self.next_number // PAGE)
        if page != self.page:
            self.page, self.lengths = page, (0, 0)
        return page

    async def turn(self) -> None:
        if self.luck.random() < 0.3:
            await self._read()
        else:
            human = actor(self.name, record.ACTOR_KIND_HUMAN)
            op = record.Op(
                collection=COLLECTION, key=self._page(), splice=self._splice(self.next_number)
            )
            await self.commit(pb.CommitRequest(space="site", actor=human, ops=[op]))

    async def _read(self) -> None:
        name = pb.RecordName(collection=COLLECTION, key=self._page())
        request = pb.BatchGetRequest(space="site", names=[name])
        answer = await call(self.world, self.door, "BatchGet", request, 8.0)
        if answer.end == "ok":
            pages = [json.loads(found.json) for found in answer.response.records] or [{}]
            self.lengths = len(pages[0].get(FIELD, "")), len(pages[0].get(LIST, ()))

    def _splice(self, number: int) -> record.SpliceOp:
        into_list = self.luck.random() < 0.25
        length = self.lengths[into_list]
        at = self.luck.randint(0, length)
        added = record.SpliceRun(insert=f"<{number}>")
        if into_list:
            added = record.SpliceRun(elements=f"[{number}]")
        runs = [record.SpliceRun(retain=at), added]
        if length - at > 1 and self.luck.random() < 0.4:
            runs.append(record.SpliceRun(delete=self.luck.randint(1, min(4, length - at))))
        return record.SpliceOp(field=LIST if into_list else FIELD, runs=runs)


WORKLOAD = Workload(
    "typing", 0.25, at_each_door(Typist, "typist"),
    {COLLECTION: {"fields": {FIELD: "text", LIST: "list"}}},
)  # fmt: skip
