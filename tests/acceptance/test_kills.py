"""kill -9 at both ends, again and again: at any moment, and at every place in the code that has a
name for it. Agents write on. In the end nothing that was acknowledged is lost and nothing is there
twice.

HOLDFAST_TEST_KILLS says how many (12 without it, enough for every place once); HOLDFAST_TEST_SEED
which.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

# Both daemons' places are declared when their modules are imported.
import cloud_hub.hub  # noqa: F401
import edge_agent.daemon  # noqa: F401
from holdfast import AsyncClient, OpId
from holdfast.host import failpoints as places
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import record_pb2 as record
from sync.messages import Scope
from tests import convergence
from tests.acceptance.writers import COUNTER, SPACE, Watcher, Writer, whole_history
from tests.daemons import DaemonProcess, EdgeProcess, HubProcess, failpoints

pytestmark = pytest.mark.acceptance

KILLS = int(os.environ.get("HOLDFAST_TEST_KILLS", "13"))
SEED = int(os.environ.get("HOLDFAST_TEST_SEED", "1"))
SHARES = {"hub": 5 / 13, "edge": 8 / 13}
"""Of the kills, about as each side has places."""

CRASH_SECONDS = 60.0
"""Until a place is reached: agents write all the time, but an edge that has lost its hub many times
dials less and less often."""

LONGEST_LIFE_SECONDS = 0.4
"""Of a daemon that is killed at any moment."""


# -- what happens to a replica while its edge is down ----------------------------------------------


def _keep(data: Path) -> None:
    """Today's replica, to be put back later."""
    backup = data.with_name(data.name + ".backup")
    shutil.rmtree(backup, ignore_errors=True)
    backup.mkdir()
    for file in data.glob("replica.db*"):
        if file.suffix != ".damaged":
            shutil.copy2(file, backup / file.name)


def _set_back(data: Path) -> None:
    backup = data.with_name(data.name + ".backup")
    if backup.exists():
        _delete(data)
        for file in backup.iterdir():
            shutil.copy2(file, data / file.name)


def _delete(data: Path) -> None:
    for name in ("replica.db", "replica.db-wal", "replica.db-shm"):
        (data / name).unlink(missing_ok=True)


def _damage(data: Path) -> None:
    """Other bytes than were written, in the middle of the file."""
    replica = data / "replica.db"
    content = bytearray(replica.read_bytes())
    luck = random.Random(len(content))
    for _ in range(len(content) // 100):
        content[luck.randrange(100, len(content))] ^= 0x55
    replica.write_bytes(content)


FATES: tuple[Callable[[Path], None], ...] = (_keep, _set_back, _keep, _delete, _damage, _set_back)


# -- the plan --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kill:
    """At which place in the code a daemon ends, and the how manieth time it comes there; without a
    place, after so many seconds of life."""

    place: str = ""
    hit: int = 1
    after_seconds: float = 0.0


def _plan(side: str, count: int, luck: random.Random) -> Iterator[Kill]:
    """Every place of a side once before any twice, and then now and again any moment."""
    names = [name for name in sorted(places.declared()) if name.startswith(f"{side}.")]
    luck.shuffle(names)
    for turn in range(count):
        if turn % (len(names) + 1) == len(names):
            yield Kill(after_seconds=luck.uniform(0, LONGEST_LIFE_SECONDS))
        else:
            yield Kill(names[turn % (len(names) + 1)], luck.randint(1, 4))


async def _haunt(
    victim: DaemonProcess, plan: Iterable[Kill], fates: Iterator[Callable[[Path], None]]
) -> int:
    """Kills a daemon as planned, each time at its next start, and lets fate have its files in
    between. In the end it runs. Returns how often it was killed."""
    await asyncio.to_thread(victim.kill)
    number = 1
    for number, kill in enumerate(plan, start=2):  # noqa: B007 - the last one is returned
        began = time.monotonic()
        if kill.place:
            victim.environment = failpoints(f"{kill.place}=crash@{kill.hit}")
            await asyncio.to_thread(_run_into, victim, kill)
        else:
            await asyncio.to_thread(victim.start)
            await asyncio.sleep(kill.after_seconds)
            await asyncio.to_thread(victim.kill)
        victim.environment = {}
        fate = next(fates, None)
        if fate is not None:
            await asyncio.to_thread(fate, victim.data)  # type: ignore[attr-defined]
        told = fate.__name__ if fate else ""
        print(f"{victim.log.stem} {kill} {told} {time.monotonic() - began:.1f} s")
    await asyncio.to_thread(victim.start)
    return number


def _run_into(victim: DaemonProcess, kill: Kill) -> None:
    """Starts a daemon and waits for its end, which may come before it is ready."""
    victim.launch()
    assert victim.wait(CRASH_SECONDS) == -signal.SIGKILL, (kill, victim.log_end())


async def _set_policy(hub: AsyncClient) -> None:
    policy = admin.Policy(collection="stock", json='{"fields":{"n":"counter"}}')
    actor = record.Actor(id="ann", kind=record.ACTOR_KIND_HUMAN)
    request = admin.SetPolicyRequest(space=SPACE, policy=policy, actor=actor)
    await hub.request("AdminService.SetPolicy", request)


def test_every_place_has_its_turn() -> None:
    sides = {name.partition(".")[0] for name in places.declared()}
    assert sides >= set(SHARES)
    for side, share in SHARES.items():
        planned = {kill.place for kill in _plan(side, round(13 * share), random.Random(SEED))}
        assert planned >= {name for name in places.declared() if name.startswith(side)}


@pytest.mark.slow
@pytest.mark.timeout(60 + 15 * KILLS)
@pytest.mark.promise("write.eventual.durable")
@pytest.mark.promise("write.retry-same-id")
@pytest.mark.promise("merge.counters-exact")
@pytest.mark.promise("merge.twice-is-once")
@pytest.mark.promise("outbox.survives-power-loss")
@pytest.mark.promise("outbox.pending-by-watermark")
@pytest.mark.promise("rule.commit-then-ack")
@pytest.mark.promise("seen.converged")
@pytest.mark.promise("seen.origin-order")
@pytest.mark.promise("watch.unique")
@pytest.mark.promise("watch.reliable")
@pytest.mark.promise("watch.resumable")
async def test_killed_again_and_again(tmp_path: Path) -> None:
    luck = random.Random(SEED)
    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a", scopes=[SPACE]) as a,
        EdgeProcess(hub.address, tmp_path / "b", scopes=[SPACE]) as b,
    ):
        keepers = {"hub": hub.client(), "a": a.client(), "b": b.client()}
        await _set_policy(keepers["hub"])
        await _settled(keepers)
        watchers = [Watcher(b.client()), Watcher(keepers["hub"])]
        for watcher in watchers:
            await watcher.start()
        writers = [Writer("a1", a.client()), Writer("a2", a.client()), Writer("b1", b.client())]
        writing = [asyncio.create_task(writer.run()) for writer in writers]
        kills = await asyncio.gather(
            _haunt(hub, _plan("hub", round(KILLS * SHARES["hub"]), luck), iter(())),
            _haunt(a, _plan("edge", round(KILLS * SHARES["edge"]), luck), cycle(FATES)),
        )
        assert not any(task.done() for task in writing), "an agent was refused for good"
        print(f"{sum(kills) + 1} kills")
        # The one that was not killed yet; it would take a while to believe that the hub is back.
        await asyncio.to_thread(b.kill)
        await asyncio.to_thread(b.start)
        for writer in writers:
            writer.ended = True
        await asyncio.gather(*writing)
        await _settled(keepers)
        await _check(keepers, writers, watchers)
        for client in (*keepers.values(), *[writer.client for writer in writers]):
            await client.close()


async def _settled(keepers: dict[str, AsyncClient]) -> None:
    edges = {name: client for name, client in keepers.items() if name != "hub"}
    whole = {name: {SPACE: Scope()} for name in edges}
    await convergence.settled(keepers["hub"], edges, whole, seconds=60)


async def _check(
    keepers: dict[str, AsyncClient], writers: list[Writer], watchers: list[Watcher]
) -> None:
    acknowledged = {c: op_id for writer in writers for c, op_id in writer.acknowledged.items()}
    print(f"{len(acknowledged)} commits, {sum(w.tries for w in writers)} tries")
    history = await whole_history(keepers["hub"], COUNTER)
    times = Counter(entry.outcome.op_id.commit_id for entry in history.entries)
    assert set(times) == set(acknowledged), "nothing lost, and nothing that nobody wrote"
    assert set(times.values()) == {1}, "nothing twice"
    for name, client in keepers.items():
        counter = await client.get(COUNTER)
        assert counter is not None
        assert (name, counter.value["n"]) == (name, len(acknowledged))
    await _check_outcomes(keepers["hub"], acknowledged)
    seqs: dict[bytes, list[int]] = {}
    for entry in reversed(history.entries):
        op_id = entry.outcome.op_id
        seqs.setdefault(op_id.origin, []).append(op_id.seq)
    assert all(found == sorted(set(found)) for found in seqs.values())
    newest = history.entries[0].outcome.position
    assert newest is not None
    for watcher in watchers:
        await watcher.end(newest.revision)
        assert watcher.revisions == sorted(set(watcher.revisions)), "in order, none twice"
        told = Counter(watcher.commit_ids)
        assert {c: told[c] for c in acknowledged} == dict.fromkeys(acknowledged, 1)


async def _check_outcomes(hub: AsyncClient, acknowledged: Mapping[bytes, OpId]) -> None:
    """The names that commits were acknowledged with lead to what became of them."""
    op_ids = list(acknowledged.values())
    for start in range(0, len(op_ids), 1_000):
        asked = op_ids[start : start + 1_000]
        found = await hub.outcomes(asked)
        assert [one.op_id.commit_id for one in found] == [one.commit_id for one in asked]
        assert {str(one.kind) for one in found} <= {"applied", "merged", "superseded"}
