"""One long run of as many commits as are asked for, at five edges and a hub: every one of them is
accounted for, and every value that lost is looked up.

All workloads at once, with cuts, stalls, crashes, power losses, lost answers and retries all the
way. Nothing is put back on purpose, so that nothing may be missing.
"""

from __future__ import annotations

import random
import time
from collections import Counter

from sync.messages import Scope
from tests.simulation import world
from tests.simulation.plan import Plan, with_faults
from tests.simulation.workloads import WORKLOADS
from tests.simulation.world import Result

EDGES = 5
COMMITS_PER_S = 250
"""Of virtual time, about: tells over how long the faults are spread."""

FAMILIES = ("network", "crash", "power", "hub", "clock", "network")
EVERY_S = 60
"""Each family of faults begins anew as often, with up to eight faults of it."""

SAMPLES = 60
"""Looks into the files of an edge: each is compared with the log as a whole."""


def plan(seed: int, commits: int) -> Plan:
    """What the run is to be."""
    seconds = max(8.0, commits / COMMITS_PER_S)
    made = Plan(
        seed=seed, seconds=seconds,
        edges={f"edge-{i + 1}": {"site": Scope(), "urgent": Scope()} for i in range(EDGES)},
        spaces=("site", "urgent"), gap=0.15, push_limit=200, disk_slowness_s=0.001, delay_s=0.01,
        jitter_s=0.005, capacity=64, hub_clients=2, wanderers=2, commits=commits,
        workloads=tuple(workload.name for workload in WORKLOADS),
        sample_s=max(2.0, 2 * seconds / SAMPLES),
    )  # fmt: skip
    rounds = 1 + int(seconds / EVERY_S)
    luck = random.Random(f"{seed}:counted")
    return with_faults(made, luck, FAMILIES * rounds, frozenset())


def run(seed: int, commits: int) -> Result:
    return world.run(plan(seed, commits))


def told(result: Result, seconds: float) -> str:
    """The counts, for people."""
    ran = f"{result.virtual_s:.0f} virtual s, {seconds:.0f} s"
    lines = [
        f"seed {result.seed}: {result.commits:,} commits asked for, {ran}",
        "acknowledged commits, by how they ended:", *_counts(result.account.outcomes),
        "values they wrote, by where each is found:", *_counts(result.account.values),
        "rows in the log of conflicts:", *_counts(result.account.conflicts),
        f"{len(result.account.gaps)} gaps, {len(result.problems)} problems",
    ]  # fmt: skip
    return "\n".join([*lines, *result.problems])


def _counts(found: Counter[str]) -> list[str]:
    return [f"  {number:9,}  {name}" for name, number in found.most_common()]


def main(seed: int, commits: int) -> int:
    """The command."""
    began = time.monotonic()
    result = run(seed, commits)
    print(told(result, time.monotonic() - began))
    return 1 if result.problems or result.account.gaps else 0
