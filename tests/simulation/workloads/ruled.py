"""Actors of every kind who write fields of every rule, without knowing of each other.

Invariant: what one of them writes is different from what everybody else writes, as far as the rule
lets it: so it can be told where a value has gone.
"""

from __future__ import annotations

import json

from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from tests.simulation.workloads.workload import Client, Workload, actor, at_each_door

ORDER = ("pending", "assigned", "active", "done")
BLEND = "base == null ? CONFLICT : ours + theirs - base"

POLICIES: dict[str, object] = {
    "duties": {
        "fields": {
            "claim": "first", "high": "max", "low": "min", "mode": "priority",
            "route": "siblings", "verdict": "ask", "tags": "set", "count": "counter",
            "status": {"rule": "rank", "order": list(ORDER)},
            "blend": {"rule": "expr", "expr": BLEND},
        }
    },
    "facts": {
        "fields": {
            "reported": {"rule": "owner", "kind": "robot"},
            "desired": {"rule": "owner", "kind": "human"},
        }
    },
    "berths": {"granularity": "record", "rule": "first"},
    "stocks": {
        "fields": {"used": "counter"}, "deletes": "edit_wins",
        "invariants": {"fits": "value.used <= 30"},
    },
    "crews": {"fields": {"members": "set"}},
    "marks": {"fields": {"high": "max", "low": "min"}},
}  # fmt: skip
"""`crews` are only added to, and of `marks` no field is ever removed: so what they hold in the end
can be told from what was acknowledged."""

KEYS = 3
PAGE = 1_000
"""Commits after which sets that only grow begin anew."""

KINDS = (record.ACTOR_KIND_ROBOT, record.ACTOR_KIND_HUMAN, record.ACTOR_KIND_AI)


class Worker(Client):
    """Writes one or two records at a time."""

    async def turn(self) -> None:
        number = self.next_number
        request = pb.CommitRequest(
            space=self.luck.choice(self.world.plan.spaces),
            actor=actor(self.name, self.luck.choice(KINDS)),
            ops=[self._op(number) for _ in range(self.luck.choice((1, 1, 1, 2)))],
        )
        if self.luck.random() < 0.1:
            first = request.ops[0]
            condition = record.Precondition(
                collection=first.collection, key=first.key, exists=self.luck.random() < 0.7
            )
            request.preconditions.append(condition)
        await self.commit(request)

    def _op(self, number: int) -> record.Op:
        luck = self.luck
        collection = luck.choices(tuple(POLICIES), (6, 2, 1, 2, 1, 1))[0]
        op = record.Op(collection=collection, key=f"r{luck.randrange(KEYS)}")
        if collection == "crews":
            op.key += f"-{number // PAGE}"
        chance = luck.random()
        if collection == "crews":
            _set(op.set_add, "members", number)
        elif collection == "marks":
            value = luck.randint(-(10**9), 10**9) * 1_000_000 + number
            op.patch.json = json.dumps({luck.choice(("high", "low")): value, "n": number})
        elif collection == "stocks" and chance < 0.7:
            op.add.deltas["used"] = luck.randint(-8, 12)
        elif collection == "stocks":
            op.patch.json = json.dumps({"n": number, "used": luck.randint(0, 40)})
        elif chance < 0.05:
            op.delete.SetInParent()
        elif collection != "duties":
            names = {"facts": ("reported", "desired"), "berths": ("by", "until")}[collection]
            op.patch.json = json.dumps({"n": number, luck.choice(names): number})
        else:
            self._duty(op, number, chance)
        return op

    def _duty(self, op: record.Op, number: int, chance: float) -> None:
        luck = self.luck
        if chance < 0.2:
            op.add.deltas["count"] = luck.randint(-5, 20)
        elif chance < 0.35:
            _set(op.set_add, "tags", luck.randrange(12))
        elif chance < 0.45:
            _set(op.set_remove, "tags", luck.randrange(12))
        elif chance < 0.55:
            op.put.json = json.dumps({**self._fields(number), "n": number})
        else:
            op.patch.json = json.dumps({**self._fields(number), "n": number})

    def _fields(self, number: int) -> dict[str, object]:
        luck = self.luck
        found: dict[str, object] = {
            "claim": f"by {number}", "high": 2**60 + number, "low": -number, "mode": [number],
            "route": f"via {number}", "verdict": {"of": number},
            "status": luck.choice((*ORDER, *ORDER, f"gone {number}")), "blend": number,
        }  # fmt: skip
        return {name: value for name, value in found.items() if luck.random() < 0.3}


def _set(op: record.SetAddOp | record.SetRemoveOp, name: str, element: int) -> None:
    op.field = name
    op.elements.append(json.dumps(element))


WORKLOAD = Workload("ruled", 0.5, at_each_door(Worker, "worker"), POLICIES)
