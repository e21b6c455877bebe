"""One run: machines, network and clients put together, faults, healing, quiet, and the evidence.

The run has three parts. While there is writing, things go wrong. Then everything is healed and
nobody writes; within LIVENESS_S everything must have come together. What was seen and what is in
the files is then handed to the checkers.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import logging
import random
import shutil
import sqlite3
import tempfile
import traceback
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from holdfast.host import failpoints
from tests.simulation import evidence
from tests.simulation.checks import judge
from tests.simulation.checks.accounting import Account, account_of
from tests.simulation.clients import POLICIES, Agent, Watcher
from tests.simulation.clocks import SKEWS_MS, SimulatedClock
from tests.simulation.disks import image
from tests.simulation.doors import Door
from tests.simulation.evidence import Evidence
from tests.simulation.faults import Faults, policy_submission
from tests.simulation.history import History
from tests.simulation.loop import NothingToDo, OutOfTurns, VirtualLoop
from tests.simulation.machines import EdgeMachine, HubMachine, Machine
from tests.simulation.network import Link
from tests.simulation.plan import Plan
from tests.simulation.processes import CURRENT, KEPT, Crashed, make_task
from tests.simulation.workloads import BY_NAME

LIVENESS_S = 30.0
"""Within this after healing, every outbox is empty and every cursor at the head."""

TIDY_S = 10.0
"""How often a long run throws away what nobody holds: at moments that its seed decides."""

SHM = Path("/dev/shm")

MISTAKES = (
    AssertionError, AttributeError, IndexError, KeyError, LookupError, NameError, TypeError,
    ValueError, ZeroDivisionError, RecursionError,
)  # fmt: skip
"""Errors that no fault explains."""


@dataclass
class Result:
    """What became of a run."""

    seed: int
    problems: list[str]
    trace: list[str]
    reached: Counter[str] = field(default_factory=Counter)
    virtual_s: float = 0.0
    commits: int = 0
    digest: str = ""
    account: Account = field(default_factory=Account)


class World:
    """One run; `run()` once."""

    def __init__(self, plan: Plan, root: Path) -> None:
        self.plan, self.root = plan, root
        self.loop = VirtualLoop()
        self.loop.set_task_factory(make_task)
        self.loop.set_exception_handler(self._unexpected)
        self.history, self.trace = History(), list[str]()
        self.problems: list[str] = []
        self.reached: Counter[str] = Counter()
        self.writing = True
        self.losses = 0
        self.backups: dict[str, tuple[int, float]] = {}
        self.system_ids: set[bytes] = set()
        self.damaged: set[bytes] = set()
        self.edges: list[EdgeMachine] = []
        self.agents = 0
        luck = self.luck("clocks")
        hub_clock = SimulatedClock(self.loop, luck.choice((0, 0, 700, -2_000)))
        self.hub = HubMachine(self, "hub", hub_clock)
        for name, scopes in plan.edges.items():
            clock = SimulatedClock(self.loop, luck.choice(SKEWS_MS), luck.uniform(50, 1e6))
            self.edges.append(EdgeMachine(self, name, clock, self._link(name), scopes))
        self.faults = Faults(self)

    def luck(self, name: str) -> random.Random:
        """A stream of chance of its own."""
        return random.Random(f"{self.plan.seed}:{name}")

    @property
    def machines(self) -> list[Machine]:
        return [self.hub, *self.edges]

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    def _link(self, name: str) -> Link:
        plan = self.plan
        return Link(
            self.loop, self.luck(f"link:{name}"), plan.delay_s, plan.jitter_s, plan.capacity
        )

    # -- what is noted -------------------------------------------------------

    def note(self, *words: object) -> None:
        text = " ".join(str(word) for word in words if word != "")
        text = text.replace(str(self.root), "")
        self.trace.append(f"{self.loop.time():9.3f}  {text}")

    def violated(self, what: str, text: str, error: BaseException | None = None) -> None:
        """A promise is broken, seen while running."""
        self.note("VIOLATED", f"[{what}]", text)
        if error is not None:
            lines = traceback.format_exception(error)
            self.trace += ["          " + line for part in lines for line in part.splitlines()]
        if len(self.problems) < 50:
            self.problems.append(f"[{what}] {text}")

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, MISTAKES):
            self.violated("errors", f"{context.get('message')}: {error!r}", error)

    def reach(self, name: str) -> None:
        """A failpoint is reached by whoever is running."""
        process = CURRENT.get()
        if process is None or not process.alive:
            return
        self.reached[name] += 1
        machine = next(m for m in self.machines if m.process is process)
        if machine.doomed == name:
            self.reached[f"crash at {name}"] += 1
            machine.crash(f"at {name}", power=self.luck(f"p{len(self.trace)}").random() < 0.2,
                          down_s=machine.luck.uniform(0.1, 3.0))  # fmt: skip
            raise Crashed(name)

    # -- what faults ask for -------------------------------------------------

    def lost_since(self, edge: EdgeMachine, since_s: float, why: str) -> None:
        """What this edge acknowledged since then may be gone."""
        self.losses += 1
        for wanted in self.history.wanted:
            for one in wanted.attempts:
                if one.door == edge.name and one.end == "ok" and one.ended_s >= since_s:
                    wanted.may_be_lost = why

    def damage_row(self, edge: EdgeMachine, path: Path) -> None:
        """Changes a row of a closed outbox; what it says may be lost."""
        luck = self.luck(f"damage:{len(self.trace)}")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            rows = connection.execute(
                "SELECT space, ordinal, seq, commit_id FROM outbox WHERE idx = 0"
            ).fetchall()
            if rows:
                space, ordinal, seq, commit_id = luck.choice(rows[-5:])
                connection.execute(
                    "UPDATE outbox SET claimed = claimed + 1"
                    " WHERE (space, ordinal, seq, idx) = (?, ?, ?, 0)", (space, ordinal, seq)
                )  # fmt: skip
                self.damaged.add(commit_id)
                self.losses += 1

    def copy(self, edge: EdgeMachine, down_s: float) -> None:
        """A second device with the files of the first as they are now."""
        luck = self.luck(f"copy:{len(self.edges)}")
        name = f"{edge.name}-copy-{len(self.edges)}"
        clock = SimulatedClock(self.loop, luck.choice(SKEWS_MS), luck.uniform(50, 1e6))
        twin = EdgeMachine(self, name, clock, self._link(name), edge.scopes, edge.edge)
        shutil.rmtree(twin.directory)
        image(edge.directory, twin.directory, edge.disk, None)
        self.edges.append(twin)
        self.loop.call_later(down_s, twin.start)
        self._agent([twin])

    def set_policy(self, name: str, policy: object, number: int) -> None:
        """An operator changes a policy, in every space."""
        for space in self.plan.spaces:
            commit_id = self.luck(f"policy:{space}:{name}:{number}").randbytes(16)
            self.system_ids.add(commit_id)
            submission = policy_submission(space, name, policy, commit_id)
            if self.hub.up and self.hub.hub is not None:
                self.hub.launch(_quietly(self.hub.hub.ingest.submit(submission)))

    # -- the run -------------------------------------------------------------

    def run(self) -> Result:
        """The whole run, and what the checkers say of it."""
        with self._surroundings():
            try:
                self.loop.run_until_complete(self._live())
            except NothingToDo:
                self.violated("liveness", "everybody waits and nothing is scheduled")
            except OutOfTurns:
                self.violated("liveness", f"something spins at {self.loop.time():.1f} s")
            found = self._end()
        account = Account()
        if found is not None:
            self.reached += evidence.sometimes(found)
            for problem in judge(found):
                self.violated(*problem)
            account = account_of(found) if self.plan.commits else account
        text = "\n".join(self.trace)
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return Result(
            self.plan.seed, self.problems, self.trace, self.reached, self.loop.time(),
            len(self.history.wanted), digest, account,
        )  # fmt: skip

    @contextlib.contextmanager
    def _surroundings(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for module, name, value in self.plan.knobs:
                stack.enter_context(mock.patch.object(module, name, value))
            stack.enter_context(_watched_failpoints(self))
            stack.enter_context(_watched_logs(self))
            yield

    async def _live(self) -> None:
        for machine in self.machines:
            machine.start()
        await asyncio.sleep(1.0)
        for name, policy in POLICIES.items():
            self.set_policy(name, policy, -1)
        for workload in self.plan.workloads:
            for name, policy in BY_NAME[workload].policies.items():
                self.set_policy(name, policy, -1)
        self.faults.schedule()
        self._clients()
        await asyncio.sleep(self.plan.seconds)
        while self.history.acknowledged < self.plan.commits:  # noqa: ASYNC110 - a count, no event
            await asyncio.sleep(1.0)
        self.writing = False
        self.note("healed; quiet from now on")
        self.faults.heal()
        await self._settle()

    def _clients(self) -> None:
        for edge in self.edges:
            self._agent([edge])
            if self.luck(f"second:{edge.name}").random() < 0.3:
                self._agent([edge])
            for space in self.plan.spaces:
                pending = self.luck(f"pending:{edge.name}").random() < 0.5
                collection = "" if edge.scopes[space].whole else "things"
                self._launch(Watcher(self, edge, space, collection, pending=pending).live())
        for _ in range(self.plan.hub_clients):
            self._agent([self.hub])
        for _ in range(self.plan.wanderers):
            doors: list[Door] = [*self.edges, self.hub]
            self.luck(f"doors:{self.agents}").shuffle(doors)
            self._agent(doors)
        for space in self.plan.spaces:
            self._launch(Watcher(self, self.hub, space, "", pending=False).live())
        self._launch(self._take_samples())
        if self.plan.commits:
            self._launch(self._tidy())
        everywhere: list[Door] = [*self.edges, self.hub]
        for workload in self.plan.workloads:
            for client in BY_NAME[workload].clients(self, everywhere):
                self._launch(client.live())

    def _agent(self, doors: list[Door]) -> None:
        self.agents += 1
        name = f"agent-{self.agents}"
        self._launch(Agent(self, name, doors, self.luck(name)).live())

    def _launch(self, work: Coroutine[Any, Any, None]) -> None:
        _ = self.loop.create_task(work)

    async def _take_samples(self) -> None:
        luck = self.luck("samples")
        while True:
            await asyncio.sleep(luck.uniform(0.15, 1.0) * self.plan.sample_s)
            self.sample(luck.choice(self.edges))

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            gc.collect()

    def sample(self, edge: EdgeMachine) -> None:
        """Keeps what is in the files of an edge now."""
        self.history.samples += evidence.samples(edge, self.loop.time())

    async def _settle(self) -> None:
        """Waits until everything has come together; LIVENESS_S is all it gets."""
        began = self.loop.time()
        while True:
            await asyncio.sleep(0.25)
            missing = await evidence.unsettled(self)
            if not missing:
                self.note(f"settled {self.loop.time() - began:.1f} s after healing")
                return
            if self.loop.time() - began > LIVENESS_S:
                for text in missing:
                    self.violated("liveness", text)
                return

    def _end(self) -> Evidence | None:
        """Stops everything and gathers what is left."""
        for edge in self.edges:
            self.sample(edge)
        found = evidence.gather(self) if self.hub.hub is not None else None
        for machine in self.machines:
            if machine.process is not None:
                machine.process.die()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        for _ in range(20):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        self.loop.set_exception_handler(lambda _loop, _context: None)
        self.loop.close()
        return found


async def _quietly(awaited: Any) -> None:
    with contextlib.suppress(Exception):
        await awaited


class _Watched(failpoints.Arming):
    """Tells the world that a failpoint is reached; what happens then is the world's to decide."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__("count")
        self._world, self._name = world, name

    def due(self) -> bool:
        self._world.reach(self._name)
        return False


@contextlib.contextmanager
def _watched_failpoints(world: World) -> Iterator[None]:
    watched = {name: _Watched(world, name) for name in failpoints.declared()}
    with mock.patch.dict(failpoints._armed, watched):
        yield


class _Logs(logging.Handler):
    """Errors that production code has caught and logged are findings too."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.DEBUG)
        self._world = world

    def emit(self, log: logging.LogRecord) -> None:
        process = CURRENT.get()
        if process is None or not process.alive:
            return
        error = log.exc_info[1] if log.exc_info else None
        if isinstance(error, MISTAKES):
            self._world.violated("errors", f"{process.name}: {log.getMessage()}: {error!r}", error)
        elif log.levelno >= logging.INFO:
            self._world.note(process.name, "says:", log.getMessage())


@contextlib.contextmanager
def _watched_logs(world: World) -> Iterator[None]:
    handler = _Logs(world)
    with contextlib.ExitStack() as stack:
        for name in ("edge_agent", "cloud_hub", "holdfast", "sync", "asyncio"):
            logger = logging.getLogger(name)
            stack.enter_context(mock.patch.object(logger, "handlers", [handler]))
            stack.enter_context(mock.patch.object(logger, "propagate", new=False))
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.INFO)
        yield


def run(plan: Plan) -> Result:
    """One run, in files that are gone afterwards."""
    place = SHM if SHM.is_dir() and shutil.disk_usage(SHM).free > 1 << 30 else None
    with tempfile.TemporaryDirectory(prefix="holdfast-", dir=place) as directory:
        world = World(plan, Path(directory))
        # What the collector finds would be closed at a moment that no seed decides.
        gc.disable()
        try:
            return world.run()
        finally:
            asyncio.set_event_loop(None)
            KEPT.clear()
            del world
            gc.enable()
            gc.collect()
