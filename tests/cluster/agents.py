"""Clients that write and read at all levels, in sessions that wander between all doors.

Every content has a number that no other has, so a reader knows whose write it saw. Few records and
many clients: what makes conflicts, stale reads and lost writes likely if there are any.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import count

from holdfast import Add, AsyncClient, Delete, Patch, Put
from holdfast.client.commits import Expect, Op
from holdfast.client.records import Record
from tests.blackbox.history import BOUNDED, EVENTUAL, OK, STRONG, UNKNOWN, Commit
from tests.cluster.plan import ANCHOR, KEYS, OWN, PAIRS, REGISTERS, SPACE, THINGS, Plan
from tests.cluster.recorder import Recorder, Who

KINDS = ("robot", "human", "ai")
ATTEMPTS = 4
SESSION_REFUSALS = 3
"""After which a client begins a new session, knowingly."""

ROAMING = 0.1
"""How often a client goes to another door before a request."""

BOUNDS_MS = (500, 2_000, 10_000)

ACTIONS = {
    "strong_write": 0.16, "strong_swap": 0.09, "strong_read": 0.17, "write": 0.20, "pair": 0.08,
    "own": 0.07, "read": 0.10, "bounded_read": 0.13,
}  # fmt: skip
"""What a client does next, by likelihood."""


def path(collection: str, key: object) -> str:
    return f"{SPACE}/{collection}/{key}"


class Numbers:
    """Contents of one run: no two are the same."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def next(self) -> int:
        return next(self._numbers)


class Agent:
    """One client."""

    def __init__(
        self, name: str, plan: Plan, doors: dict[str, AsyncClient], recorder: Recorder,
        numbers: Numbers,
    ) -> None:  # fmt: skip
        self.name, self._plan, self._doors = name, plan, doors
        self._recorder, self._numbers = recorder, numbers
        self._luck = plan.luck(name)
        self._actor = (name, self._luck.choice(KINDS))
        self._sessions, self._refusals = 0, 0
        self._door = ""
        self._client: AsyncClient | None = None
        self._move(self._luck.choice([*doors]))
        self.ended = False

    # -- where it is -----------------------------------------------------------

    def _move(self, door: str) -> None:
        """To another door, with all that the session has seen."""
        tokens = self._client.tokens if self._client is not None else None
        self._door = door
        self._client = self._doors[door].session(self._actor, tokens=tokens)

    def _begin_session(self) -> None:
        self._sessions, self._refusals = self._sessions + 1, 0
        self._client = self._doors[self._door].session(self._actor)

    @property
    def _who(self) -> Who:
        assert self._client is not None
        session = f"{self.name}.{self._sessions}"
        return Who(self.name, session, self._door, self._client)

    def _judge(self, status: str, reason: str) -> None:
        """After an answer: whether to go on in this session, and here."""
        if reason in ("SESSION_NOT_CAUGHT_UP", "EPOCH_CHANGED", "WRITES_LOST"):
            self._refusals += 1
            if self._refusals >= SESSION_REFUSALS or reason != "SESSION_NOT_CAUGHT_UP":
                self._begin_session()
        elif status != OK and self._luck.random() < 0.5:
            self._move(self._luck.choice([*self._doors]))

    # -- what it does ----------------------------------------------------------

    async def live(self) -> None:
        """Until `ended` is set; the request at work then is brought to its end."""
        while not self.ended:
            await asyncio.sleep(self._luck.expovariate(1.0) * self._plan.gap_s)
            if self._luck.random() < ROAMING:
                self._move(self._luck.choice([*self._doors]))
            if self._luck.random() < 0.01:
                self._begin_session()
            action = self._luck.choices([*ACTIONS], [*ACTIONS.values()])[0]
            await getattr(self, f"_{action}")()

    def _some(self, collection: str) -> str:
        return path(collection, self._luck.randrange(KEYS[collection]))

    async def _strong_write(self) -> None:
        put = Put(self._some(REGISTERS), {"n": self._numbers.next()})
        await self._commit([put], STRONG)

    async def _strong_swap(self) -> None:
        """Only if nobody has written it since it was read."""
        register = self._some(REGISTERS)
        found = await self._ask([register], STRONG)
        if register in found:
            put = Put(register, {"n": self._numbers.next()})
            await self._commit([put], STRONG, found[register])

    async def _strong_read(self) -> None:
        await self._ask([self._some(REGISTERS)], STRONG)

    async def _write(self) -> None:
        """Something on a record that everybody writes."""
        number, chance = self._numbers.next(), self._luck.random()
        thing = self._some(THINGS)
        ops: list[Op] = [Patch(thing, {"n": number, self.name: number})]
        if chance < 0.3:
            ops = [Put(thing, {"n": number})]
        elif chance < 0.4:
            ops = [Delete(thing)]
        elif chance < 0.6:
            ops.append(Add(path(THINGS, "tally"), {"sum": 1}))
        await self._commit(ops, EVENTUAL)

    async def _pair(self) -> None:
        """Two records that always have one value."""
        number, key = self._numbers.next(), self._luck.randrange(KEYS[PAIRS])
        value = {"n": number}
        ops = [Put(path(PAIRS, f"{key}-left"), value), Put(path(PAIRS, f"{key}-right"), value)]
        await self._commit(ops, EVENTUAL)

    async def _own(self) -> None:
        level = self._luck.choice((EVENTUAL, BOUNDED))
        await self._commit([Put(path(OWN, self.name), {"n": self._numbers.next()})], level)

    async def _read_some(self, level: str, bound_ms: int | None = None) -> None:
        key = self._luck.randrange(KEYS[PAIRS])
        pair = [path(PAIRS, f"{key}-{side}") for side in ("left", "right")]
        mine = path(OWN, self.name)
        names = [path(THINGS, ANCHOR), path(THINGS, "tally"), self._some(THINGS), *pair, mine]
        await self._ask(names, level, bound_ms)

    async def _read(self) -> None:
        await self._read_some(EVENTUAL)

    async def _bounded_read(self) -> None:
        level = BOUNDED if self._door.startswith("edge") else STRONG
        await self._read_some(level, self._luck.choice(BOUNDS_MS) if level == BOUNDED else None)

    # -- how it asks -----------------------------------------------------------

    async def _ask(
        self, names: Sequence[str], level: str, bound_ms: int | None = None
    ) -> dict[str, Record]:
        found, line = await self._recorder.read(
            self._who, names, level=level, timeout_s=self._plan.patience_s,
            max_staleness_ms=bound_ms,
        )  # fmt: skip
        self._judge(line.status, line.reason)
        return found

    async def _commit(self, ops: Sequence[Op], level: str, known: Record | None = None) -> Commit:
        """One commit, asked for again where nobody knows what became of it, here or elsewhere."""
        commit_id = self._luck.randbytes(16)
        expect = [] if known is None else [Expect.at(known.path, known)]
        attempts = 0
        while True:
            line = await self._recorder.commit(
                self._who, ops, commit_id, level=level, timeout_s=self._plan.patience_s,
                expect=expect, known=known,
            )  # fmt: skip
            attempts += 1
            self._judge(line.status, line.reason)
            if line.status != UNKNOWN or attempts == ATTEMPTS or self._luck.random() < 0.2:
                return line


def agents(
    plan: Plan, doors: dict[str, AsyncClient], recorder: Recorder, numbers: Numbers
) -> list[Agent]:
    """All of them, each beginning at another door."""
    return [Agent(f"agent-{n}", plan, doors, recorder, numbers) for n in range(1, plan.agents + 1)]


async def prepare(hub: AsyncClient, plan: Plan, recorder: Recorder, numbers: Numbers) -> None:
    """Creates what is always there."""
    who = Who("setter", "", "hub-1", hub)
    luck = random.Random(plan.seed)
    for names, level in (
        ([path(REGISTERS, key) for key in range(KEYS[REGISTERS])], STRONG),
        ([path(THINGS, ANCHOR)], EVENTUAL),
    ):
        for name in names:
            put = Put(name, {"n": numbers.next()})
            line = await recorder.commit(
                who, [put], luck.randbytes(16), level=level, timeout_s=30.0
            )
            assert line.status == OK, line
