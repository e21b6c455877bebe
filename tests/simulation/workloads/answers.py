"""People who answer conflicts that wait, and undo what was decided, by others, by rules, by
themselves: at edges with and without a link, and at the hub."""

from __future__ import annotations

import json
from typing import Any

from holdfast.v1 import conflict_service_pb2 as pb
from holdfast.v1 import record_pb2 as record
from tests.simulation.doors import call
from tests.simulation.workloads.workload import PATIENCE_S, Client, Workload, actor, at_each_door

CHOICES = (pb.CONFLICT_CHOICE_OURS, pb.CONFLICT_CHOICE_THEIRS, pb.CONFLICT_CHOICE_VALUE)

UNANSWERED = frozenset({"tallies", "crews", "marks"})
"""What these hold in the end is told from what was added to them; nobody writes over it."""


class Person(Client):
    """Looks into the inbox, and says something of one of the newest conflicts in it."""

    async def turn(self) -> None:
        world, luck = self.world, self.luck
        space = luck.choice(world.plan.spaces)
        request = pb.ListConflictsRequest(space=space, page_size=10)
        if not self.door.up:
            return
        found = await call(
            world, self.door, "ListConflicts", request, PATIENCE_S, self.door.conflicts
        )
        if found.end != "ok" or not found.response.conflicts or not self.door.up:
            return
        waiting = [one for one in found.response.conflicts if one.collection not in UNANSWERED]
        if not waiting:
            return
        conflict = luck.choice(waiting)
        opened = conflict.state == pb.CONFLICT_STATE_OPEN
        resolves = luck.random() < (0.9 if opened else 0.15)
        await self._say(space, conflict, resolves=resolves)

    async def _say(self, space: str, conflict: pb.Conflict, *, resolves: bool) -> None:
        human = actor(self.name, record.ACTOR_KIND_HUMAN)
        said: Any = pb.ResolveConflictRequest() if resolves else pb.UndoConflictRequest()
        said.space, said.id, said.note = space, conflict.id, f"said by {self.name}"
        said.actor.CopyFrom(human)
        said.commit_id = self.luck.randbytes(16)
        about = record.Op(collection=conflict.collection, key=conflict.key)
        wanted = self.world.history.want(space, said.commit_id, [about])
        if resolves:
            said.choice = self.luck.choice(CHOICES)
            if said.choice == pb.CONFLICT_CHOICE_VALUE:
                value = wanted.number if conflict.field else {"n": wanted.number}
                said.json = json.dumps(value)
        method = "ResolveConflict" if resolves else "UndoConflict"
        await self.asked(wanted, method, said, service=self.door.conflicts)


WORKLOAD = Workload("answers", 0.5, at_each_door(Person, "person"))
