"""One run: start, write and strike, come to rest, gather, judge."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from cloud_hub.change_log import LogRow
from holdfast import AsyncClient
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge_pb
from holdfast.v1 import record_pb2 as record
from sync.messages import Scope
from tests import convergence
from tests.blackbox import checks
from tests.blackbox.checks import search
from tests.blackbox.history import Conflict, Final, History
from tests.blackbox.hub_rows import LOG, decided_lines, entries_of
from tests.cluster.agents import Numbers, agents, prepare
from tests.cluster.machines import Machines, clients, running
from tests.cluster.plan import KILL, SPACE, THINGS, Plan
from tests.cluster.recorder import Recorder
from tests.cluster.witnesses import Witness

PROGRESS_S = 10.0

CONFLICTS = "SELECT revision, collection, key, field, kind, state FROM conflicts WHERE space = $1"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    plan: Plan
    history: History
    problems: list[str]
    seconds: float

    def summary(self) -> str:
        """A few lines about what was done and what was found."""
        history = self.history
        lines = [f"seed {self.plan.seed}: {len(self.problems)} problems, {self.seconds:.0f} s"]
        asked = Counter((c.level, "write", c.status, c.reason) for c in history.commits)
        asked += Counter((r.level, "read", r.status, r.reason) for r in history.reads)
        for (level, kind, status, reason), number in sorted(asked.items()):
            lines.append(f"  {number:6d} {level} {kind}s {status} {reason}".rstrip())
        outcomes = Counter(entry.outcome for entry in history.decided)
        lines.append(
            f"  {len(history.decided):6d} decided: "
            + ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
        )
        lines.append(f"  {len(history.told):6d} messages to watchers")
        lines.append(f"  {search.searched(history):6d} strong requests searched for an order")
        return "\n".join([*lines, *self.problems])


async def run(plan: Plan, database: str, directory: Path, say: Say) -> Result:
    """The whole run, on an empty database."""
    began, recorder = time.monotonic(), Recorder()
    with running(plan, database, directory) as machines:
        async with clients(machines) as doors:
            await _live(plan, machines, doors, recorder, say)
            await _gather(database, machines, doors, recorder.history)
    say("judging")
    problems = await asyncio.to_thread(checks.judge, recorder.history)
    return Result(plan, recorder.history, problems, time.monotonic() - began)


async def _live(
    plan: Plan, machines: Machines, doors: dict[str, AsyncClient], recorder: Recorder, say: Say
) -> None:
    numbers = Numbers()
    await _set_policies(doors["hub-1"])
    await prepare(doors["hub-1"], plan, recorder, numbers)
    await _converged(plan, doors)
    with _watched(doors, recorder) as witnesses:
        everybody = agents(plan, doors, recorder, numbers)
        living = [asyncio.create_task(agent.live()) for agent in everybody]
        striking = asyncio.create_task(_strike(plan, machines, doors, recorder, say))
        await _until(plan, recorder, [*living, striking], say)
        for agent in everybody:
            agent.ended = True
        await asyncio.gather(*living, striking)
        recorder.mark("quiet")
        say("quiet")
        await _settle(plan, doors, witnesses)


async def _until(plan: Plan, recorder: Recorder, tasks: list[asyncio.Task[None]], say: Say) -> None:
    """Waits for the end of writing; raises what ends a task before."""
    ends = time.monotonic() + plan.seconds
    while (left := ends - time.monotonic()) > 0:
        running = [task for task in tasks if not task.done()]
        await asyncio.wait(running, timeout=min(left, PROGRESS_S),
                           return_when=asyncio.FIRST_EXCEPTION)  # fmt: skip
        for task in tasks:
            if task.done():
                task.result()
        history = recorder.history
        say(f"{left:.0f} s left, {len(history.commits)} writes, {len(history.reads)} reads")


async def _set_policies(hub: AsyncClient) -> None:
    policy = admin.Policy(collection=THINGS, json='{"fields":{"sum":"counter"}}')
    actor = record.Actor(id="ann", kind=record.ACTOR_KIND_HUMAN)
    request = admin.SetPolicyRequest(space=SPACE, policy=policy, actor=actor)
    await hub.request("AdminService.SetPolicy", request)


@contextlib.contextmanager
def _watched(doors: dict[str, AsyncClient], recorder: Recorder) -> Iterator[list[Witness]]:
    """A watcher at every hub, at two edges, and one that is told of what is pending, too."""
    hubs = [name for name in doors if name.startswith("hub")]
    edges = [name for name in doors if name.startswith("edge")]
    found = [Witness(door, doors[door], recorder) for door in (*hubs, *edges[:2])]
    found.append(Witness(edges[-1], doors[edges[-1]], recorder, pending=True))
    watching = [asyncio.create_task(witness.live()) for witness in found]
    try:
        yield found
    finally:
        for task in watching:
            task.cancel()


# -- what happens to hubs ----------------------------------------------------


async def _strike(
    plan: Plan, machines: Machines, doors: dict[str, AsyncClient], recorder: Recorder, say: Say
) -> None:
    """All strikes of the plan, and in the end nothing is down. In between, it says when all links
    are good again."""
    began = time.monotonic()
    await _calm(doors, recorder)
    for strike in plan.strikes:
        await asyncio.sleep(max(0.0, began + strike.at_s - time.monotonic()))
        name, hub = f"hub-{strike.hub + 1}", machines.hubs[strike.hub]
        recorder.mark("uneasy")
        recorder.mark(strike.kind, name)
        say(f"{strike.kind} {name} for {strike.seconds:.1f} s")
        if strike.kind == KILL:
            await asyncio.to_thread(hub.kill)
            await asyncio.sleep(strike.seconds)
            await asyncio.to_thread(hub.start)
        else:
            hub.send(signal.SIGSTOP)
            await asyncio.sleep(strike.seconds)
            hub.send(signal.SIGCONT)
        recorder.mark("back", name)
        await _calm(doors, recorder)


async def _calm(doors: dict[str, AsyncClient], recorder: Recorder) -> None:
    """Says so once every edge has its stream, unless the next strike comes first."""
    while True:
        edges = [client for name, client in doors.items() if name.startswith("edge")]
        states = await asyncio.gather(*map(convergence.edge_status, edges))
        if all(status.link == edge_pb.LINK_STATE_STREAMING for status in states):
            recorder.mark("calm")
            return
        await asyncio.sleep(0.3)


# -- the end -----------------------------------------------------------------


async def _converged(plan: Plan, doors: dict[str, AsyncClient]) -> None:
    """Waits until every edge has what the hub has, and the hub what every edge has."""
    edges = {name: client for name, client in doors.items() if name.startswith("edge")}
    whole = {name: {SPACE: Scope()} for name in edges}
    await convergence.settled(doors["hub-1"], edges, whole, seconds=plan.settle_s)


async def _settle(plan: Plan, doors: dict[str, AsyncClient], witnesses: list[Witness]) -> None:
    await _converged(plan, doors)
    head = (await convergence.hub_spaces(doors["hub-1"]))[SPACE].head
    ends = time.monotonic() + plan.settle_s
    while min(w.reached for w in witnesses) < (head.epoch, head.revision):
        if time.monotonic() > ends:
            return  # the checker says which watcher it was
        await asyncio.sleep(0.1)


async def _gather(
    database: str, machines: Machines, doors: dict[str, AsyncClient], history: History
) -> None:
    """What all doors say of themselves, and the log."""
    for name, client in doors.items():
        history.add(await _final(name, client))
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(LOG.replace("?", "$1"), SPACE)
        entries = [one for row in rows for one in entries_of(LogRow(*row), SPACE)]
        for line in decided_lines(SPACE, entries):
            history.add(line)
        for row in await connection.fetch(CONFLICTS, SPACE):
            revision, collection, key, field, kind, state = row
            history.add(
                Conflict(space=SPACE, revision=revision, path=f"{collection}/{key}",
                         field=bytes(field).decode(), kind=kind, state=state)
            )  # fmt: skip
    finally:
        await connection.close()


async def _final(name: str, client: AsyncClient) -> Final:
    if name.startswith("hub"):
        info = (await convergence.hub_spaces(client))[SPACE]
        place = (info.head.epoch, info.head.revision)
        return Final(door=name, space=SPACE, place=place, digests=convergence.tallies(info))
    status = await convergence.edge_status(client)
    mine = next(one for one in status.spaces if one.space == SPACE)
    place = (mine.position.epoch, mine.position.revision)
    return Final(
        door=name, space=SPACE, place=place, pending=status.pending,
        digests=convergence.tallies(mine),
    )  # fmt: skip
