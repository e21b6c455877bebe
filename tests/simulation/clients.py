"""Clients: agents that write and read at edges and at the hub, and those that watch.

Few records, many writers, old contexts, retries at other doors: what makes conflicts and repeats
likely. Every content carries the number of its commit.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.host.refusal import Refusal
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from tests.simulation.doors import UNREACHABLE, Answer, DeadlineContext, Door, call
from tests.simulation.history import Attempt, Wanted
from tests.simulation.outside import places, read_line, told_line

if TYPE_CHECKING:
    from tests.simulation.world import World

POLICIES = {
    "tallies": {"fields": {"sum": "counter"}},
    "carts": {"fields": {"sum": "counter"}},
    "poses": {"granularity": "record"},
    "notes": {
        "deletes": "edit_wins",
        "fields": {
            "a": "siblings",
            "b": {"rule": "priority"},
            "c": "ask",
            "d": {"rule": "expr", "expr": "ours == theirs ? ours : (base == ours ? theirs : ours)"},
        },
    },
    "telemetry": {"coalesce": True},
}
"""`tallies` are only added to, so their sums can be told from what was acknowledged."""

CHANGES: tuple[tuple[str, dict[str, object]], ...] = (
    ("things", {"granularity": "record"}),
    ("things", {"deletes": "edit_wins"}),
    ("things", {}),
    ("things", {"coalesce": True}),
    ("telemetry", {}),
    ("telemetry", {"coalesce": True}),
    ("poses", {}),
    ("poses", {"granularity": "record"}),
)
"""Policies that somebody changes during a run."""

KINDS = (record.ACTOR_KIND_ROBOT, record.ACTOR_KIND_HUMAN, record.ACTOR_KIND_AI)
COLLECTIONS = ("things", "poses", "notes", "telemetry", "carts", "tallies")
KEYS = 5
ATTEMPTS = 4
SESSION_PATIENCE = 3
"""Refusals for a session after which its client begins a new one, knowingly."""


class Agent:
    """Writes and reads, in one session, at one door or wandering."""

    def __init__(self, world: World, name: str, doors: list[Door], luck: random.Random) -> None:
        self._world, self.name, self._doors, self._luck = world, name, doors, luck
        self._door = doors[0]
        self._token = b""
        self._uses_session = luck.random() < 0.6
        self._patience, self._sessions = SESSION_PATIENCE, 0
        self._losses = world.losses
        self._own_key, self._own_number = f"own-{name}-0", 0
        self._read: pb.BatchGetResponse | None = None
        self._read_space = ""
        self._gap_s = luck.choice((0.1, 0.3, 0.3, 1.0)) * world.plan.gap

    async def live(self) -> None:
        """Until writing is over."""
        while self._world.writing:
            await asyncio.sleep(self._luck.expovariate(1.0) * self._gap_s)
            if len(self._doors) > 1 and self._luck.random() < 0.05:
                self._door = self._luck.choice(self._doors)
            if self._luck.random() < 0.2:
                await self.read()
            else:
                await self.write()

    # -- reading -------------------------------------------------------------

    async def read(self) -> None:
        """Some records of a collection; what was seen may be the context of a later write."""
        space = self._luck.choice(self._world.plan.spaces)
        collection = self._luck.choice(COLLECTIONS)
        names = [pb.RecordName(collection=collection, key=f"k{i}") for i in range(KEYS)]
        names.append(pb.RecordName(collection="things", key=self._own_key))
        request = pb.BatchGetRequest(space=space, names=names, session_token=self._session())
        began, door = self._world.loop.time(), self._door
        answer = await call(self._world, door, "BatchGet", request, 8.0)
        self._judge_session(answer)
        if answer.end != "ok":
            return
        response: pb.BatchGetResponse = answer.response
        self._world.history.reads.append(
            read_line(
                request, response, client=self.name, session=self._session_name, door=door.name,
                invoked_s=began, returned_s=self._world.loop.time(),
            )
        )  # fmt: skip
        self._check_own(space, response)
        self._keep(response.answer.session_token)
        self._read, self._read_space = response, space

    def _session(self) -> bytes:
        return self._token if self._uses_session else b""

    @property
    def _session_name(self) -> str:
        return f"{self.name}.{self._sessions}" if self._uses_session else ""

    def _keep(self, token: bytes) -> None:
        if self._uses_session:
            self._token = token

    def _judge_session(self, answer: Answer) -> None:
        if self._losses != self._world.losses:
            self._begin_session()
        if answer.reason in ("SESSION_NOT_CAUGHT_UP", "EPOCH_CHANGED", "WRITES_LOST"):
            self._patience -= 1
            if not self._patience:
                self._begin_session()

    def _begin_session(self) -> None:
        self._losses, self._patience, self._token = self._world.losses, SESSION_PATIENCE, b""
        self._sessions += 1
        self._read = None
        self._unsure()

    def _unsure(self) -> None:
        """Nobody knows what became of its own record: it goes on with another."""
        stem, _, number = self._own_key.rpartition("-")
        self._own_key, self._own_number = f"{stem}-{int(number) + 1}", 0

    def _check_own(self, space: str, response: pb.BatchGetResponse) -> None:
        if not self._own_number or space != "site":
            return
        if not self._uses_session or self._losses != self._world.losses:
            return
        found = [r for r in response.records if r.key == self._own_key]
        number = json.loads(found[0].json)["n"] if found else 0
        if number < self._own_number:
            self._world.violated(
                "session", f"{self.name} wrote {self._own_number} to {self._own_key} and reads"
                f" {number} at {self._door.name}"
            )  # fmt: skip

    # -- writing -------------------------------------------------------------

    async def write(self) -> None:
        """One commit, asked for again where nobody knows what became of it."""
        own = self._luck.random() < 0.15
        space = "site" if own else self._luck.choice(self._world.plan.spaces)
        number = len(self._world.history.wanted) + 1
        request = self._request(space, number, own)
        wanted = self._world.history.want(space, request.commit_id, list(request.ops))
        attempt = await self._attempt(wanted, request)
        for _ in range(ATTEMPTS - 1):
            if attempt is None or attempt.end != "unknown" or not request.commit_id:
                break
            await asyncio.sleep(self._luck.uniform(0.1, 4.0))
            if not self._world.writing:
                break
            if len(self._doors) > 1 and self._luck.random() < 0.5:
                self._door = self._luck.choice(self._doors)
            attempt = await self._attempt(wanted, request)
        if own and wanted.attempts and request.ops[0].key == self._own_key:
            clean = wanted.attempts[0].end
            if clean == "ok":
                self._own_number = number
            elif any(one.end != "refused" for one in wanted.attempts):
                self._unsure()

    async def _attempt(self, wanted: Wanted, request: pb.CommitRequest) -> Attempt | None:
        door, began = self._door, self._world.loop.time()
        answer = await call(self._world, door, "Commit", request, self._luck.choice((2.0, 8.0)))
        self._judge_session(answer)
        if answer.end == UNREACHABLE:
            return None
        attempt = Attempt(door.name, began, self._world.loop.time(), answer.end, answer.reason)
        attempt.client, attempt.session = self.name, self._session_name
        if answer.end == "ok":
            response: pb.CommitResponse = answer.response
            attempt.place, attempt.seen = places(response.answer)
            attempt.origin, attempt.seq = response.op_id.origin, response.op_id.seq
            attempt.commit_id = response.op_id.commit_id
            attempt.outcome = response.outcome.kind
            attempt.revision = response.outcome.position.revision
            attempt.epoch = response.outcome.position.epoch
            self._keep(response.answer.session_token)
        wanted.attempts.append(attempt)
        self._world.note(
            self.name, f"commit {wanted.number} at {door.name}:", answer.end, answer.reason,
            f"{attempt.origin.hex()[:6]}:{attempt.seq}" if attempt.seq else "",
        )  # fmt: skip
        return attempt

    def _request(self, space: str, number: int, own: bool) -> pb.CommitRequest:
        luck = self._luck
        request = pb.CommitRequest(
            space=space,
            actor=record.Actor(id=self.name, kind=luck.choice(KINDS)),
            session_token=self._session(),
        )
        if luck.random() < 0.6:
            request.commit_id = luck.randbytes(16)
        if luck.random() < 0.3:
            request.correlation_id = f"c{number}"
        if own:
            put = record.PutOp(json=json.dumps({"n": number}))
            request.ops.append(record.Op(collection="things", key=self._own_key, put=put))
            return request
        for _ in range(luck.choice((1, 1, 1, 1, 2, 4))):
            request.ops.append(self._op(number))
        if self._read is not None and self._read_space == space and luck.random() < 0.4:
            self._upon_read(request)
        elif luck.random() < 0.1:
            request.preconditions.append(
                record.Precondition(
                    collection=request.ops[0].collection, key=request.ops[0].key,
                    exists=luck.random() < 0.5,
                )
            )  # fmt: skip
        return request

    def _upon_read(self, request: pb.CommitRequest) -> None:
        """The write depends on what was read: by its context, or by a version."""
        assert self._read is not None
        found = [r for r in self._read.records if r.key.startswith("k")]
        if self._luck.random() < 0.6:
            request.context.CopyFrom(self._read.answer.context)
            if found:
                request.ops[0].collection = found[0].collection
                request.ops[0].key = found[0].key
                _fit(request.ops[0], found[0].collection)
        elif found:
            request.preconditions.append(
                record.Precondition(
                    collection=found[0].collection, key=found[0].key, version=found[0].version
                )
            )

    def _op(self, number: int) -> record.Op:
        luck = self._luck
        op = record.Op(collection=luck.choice(COLLECTIONS), key=f"k{luck.randrange(KEYS)}")
        chance = luck.random()
        if op.collection == "tallies" or (op.collection == "carts" and chance < 0.4):
            op.add.deltas["sum"] = luck.randint(-5, 20)
        elif chance < 0.45:
            op.put.json = json.dumps(self._content(number, op.collection))
        elif chance < 0.85:
            op.patch.json = json.dumps(self._content(number, op.collection))
            if luck.random() < 0.2:
                op.patch.remove.append(luck.choice("bcd"))
                _without(op)
        else:
            op.delete.SetInParent()
        return op

    def _content(self, number: int, collection: str) -> dict[str, object]:
        content: dict[str, object] = {"n": number}
        for name in "abcd":
            if self._luck.random() < 0.35:
                content[name] = self._luck.choice((number, f"v{number}", [number], 2**60 + number))
        if collection == "carts" and self._luck.random() < 0.3:
            content["sum"] = self._luck.randint(0, 50)
        return content


def _without(op: record.Op) -> None:
    """A patch does not set what it removes."""
    content = json.loads(op.patch.json)
    for name in op.patch.remove:
        content.pop(name, None)
    op.patch.json = json.dumps(content)


def _fit(op: record.Op, collection: str) -> None:
    """Only tallies are added to, and nothing else is done to them."""
    adds = op.WhichOneof("action") == "add"
    if collection == "tallies" and not adds:
        op.ClearField("action")
        op.add.deltas["sum"] = 1
    elif adds and collection not in ("tallies", "carts"):
        op.ClearField("action")
        op.delete.SetInParent()


class Watcher:
    """Watches one space at one door, and resumes where it was after every interruption."""

    def __init__(
        self, world: World, door: Door, space: str, collection: str, *, pending: bool
    ) -> None:
        self._world, self._door, self._space, self._pending = world, door, space, pending
        self._collection = collection
        self._resume = b""
        self._lives, self._began = 0, False
        self._begin()

    def _begin(self) -> None:
        self._lives, self._began, self._resume = self._lives + 1, False, b""

    async def live(self) -> None:
        """Until the run is over."""
        while True:
            process = self._door.process
            if process is None or not self._door.up:
                await asyncio.sleep(0.3)
                continue
            task = process.spawn(self._watch(), f"watch@{self._door.name}")
            await asyncio.wait([task, process.died], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.cancelled():
                continue
            error = task.exception()
            reason = getattr(error, "reason", None)
            if reason is None:
                self._world.violated("errors", f"Watch at {self._door.name}: {error!r}", error)
            if isinstance(error, Refusal) and reason != "SHUTTING_DOWN":
                self._world.history.watch_faults.append((self._name, str(reason)))
                self._begin()
            await asyncio.sleep(0.5)

    async def _watch(self) -> None:
        request = pb.WatchRequest(
            space=self._space,
            collection=self._collection,
            resume_token=self._resume,
            include_pending=self._pending,
        )
        context = DeadlineContext(self._world.loop, 1e9)
        async for message in self._door.service.Watch(request, context):
            process = self._door.process
            if process is None or not process.alive:
                return
            self._take(message)

    def _take(self, message: pb.WatchResponse) -> None:
        self._resume = message.resume_token
        line = told_line(
            message, watch=self._name, door=self._door.name, space=self._space,
            collection=self._collection, at_s=self._world.loop.time(),
        )  # fmt: skip
        if line.what == "bookmark" and not self._began:
            self._began, line = True, replace(line, what="began")
        self._world.history.told.append(line)

    @property
    def _name(self) -> str:
        return f"{self._space} at {self._door.name}, life {self._lives}"
