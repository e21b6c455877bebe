"""What one seed means: who takes part, how slow everything is, and what goes wrong when.

Every part of a plan has a stream of chance of its own, so that leaving one kind of fault out leaves
the rest of the run as it was, as far as it does not depend on that fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cloud_hub.downstream
import cloud_hub.fanout
import cloud_hub.history
import cloud_hub.ingest
import edge_agent.daemon
import edge_agent.intake
import edge_agent.local_store
import edge_agent.retention
import edge_agent.watchers
import sync.hub_session
import sync.origin_search
import sync.window
from sync.messages import Scope
from tests.simulation.clients import COLLECTIONS
from tests.simulation.workloads import WORKLOADS

FAILPOINTS = (
    "edge.commit.before_outbox", "edge.commit.outbox_written", "edge.commit.view_written",
    "edge.push.before", "edge.push.after", "edge.apply.before", "edge.apply.after",
    "hub.commit.before", "hub.commit.after", "hub.answer.after", "hub.fanout.after",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong at a time. `target` is a machine's name, "" for none."""

    at_s: float
    kind: str
    target: str = ""
    seconds: float = 0.0
    detail: Any = None

    def __str__(self) -> str:
        words = [f"{self.at_s:.2f}s", self.kind, self.target]
        words += [f"for {self.seconds:.1f}s"] if self.seconds else []
        words += [str(self.detail)] if self.detail is not None else []
        return " ".join(word for word in words if word)


@dataclass
class Plan:
    """One run."""

    seed: int
    seconds: float
    """How long there is writing and faults."""
    edges: dict[str, dict[str, Scope]]
    spaces: tuple[str, ...]
    gap: float
    push_limit: int
    disk_slowness_s: float
    delay_s: float
    jitter_s: float
    capacity: int
    hub_clients: int
    wanderers: int
    knobs: list[tuple[object, str, object]] = field(default_factory=list)
    """Limits of production code, made small so that they are reached."""
    workloads: tuple[str, ...] = ()
    """What is done beside the agents' work."""
    faults: list[Fault] = field(default_factory=list)
    commits: int = 0
    """How many are to be acknowledged before writing ends; zero: time alone ends it."""
    sample_s: float = 2.0
    """The longest between two looks into the files of an edge."""

    def describe(self) -> str:
        edges = ", ".join(
            name + ("" if scopes["site"].whole else " (part)")
            for name, scopes in self.edges.items()
        )
        knobs = ", ".join(f"{name}={value}" for _, name, value in self.knobs)
        work = ", ".join(("agents", *self.workloads))
        head = (
            f"seed {self.seed}: {self.seconds:.0f} s, {edges}; spaces {', '.join(self.spaces)};"
            f" {work}; push {self.push_limit}; delay {self.delay_s * 1000:.0f} ms;"
            f" {knobs or 'no knobs'}"
        )
        return "\n".join([head, *(f"  {fault}" for fault in self.faults)])


FAR_S = 0.05
"""Beyond this a round trip takes so long that small windows alone would break every deadline."""

LONG_S = 1_000.0
"""A run in which little happens and edges are away for a quarter of an hour."""

KNOBS: tuple[tuple[object, str, tuple[object, ...]], ...] = (
    (edge_agent.retention, "CHECKPOINT_ROWS", (20, 200)),
    (edge_agent.retention, "WINDOW_MS", (2_000, 10_000)),
    (edge_agent.daemon, "SWEEP_SECONDS", (0.5,)),
    (edge_agent.watchers, "QUEUED_EVENTS", (2, 10)),
    (edge_agent.watchers, "TAIL_BATCHES", (1, 2)),
    (edge_agent.intake, "MAX_ARRIVALS", (1, 3)),
    (edge_agent.local_store, "GROUP_COMMITS", (1, 3)),
    (cloud_hub.ingest, "GROUP_COMMITS", (1, 10)),
    (cloud_hub.fanout, "KEPT_BYTES", (1, 2_000)),
    (cloud_hub.history, "PAGE_COMMITS", (1, 5)),
    (cloud_hub.downstream, "BOOKMARK_NS", (100_000_000,)),
    (sync.window, "WINDOW_COMMITS", (1, 4, 20)),
    (sync.origin_search, "FAN_OUT", (2, 5)),
    (sync.hub_session, "AGE_LIMIT_NS", (8_000_000_000,)),
)


def plan_of(
    seed: int, luck: Callable[[str], random.Random], without: frozenset[str] = frozenset()
) -> Plan:
    """The plan of a seed, less some kinds of faults."""
    plan = _shape(seed, luck("shape"))
    far = plan.delay_s + plan.jitter_s > FAR_S
    if far:
        plan.capacity = max(plan.capacity, 64)
    knobs = luck("knobs")
    for module, name, values in KNOBS:
        if knobs.random() < 0.2 and not (far and name == "WINDOW_COMMITS"):
            plan.knobs.append((module, name, knobs.choice(values)))
    found = luck("faults")
    mix, rare = found.choice(MIXES), luck("rare")
    if rare.random() < RARE:
        mix = rare.choice(RARE_MIXES)
    if "pause" in mix and rare.random() < 0.5:
        plan.seconds, plan.gap = LONG_S, 60 * plan.gap
    plan.workloads = tuple(w.name for w in WORKLOADS if luck(w.name).random() < w.share)
    return with_faults(plan, found, mix, without)


def focused_plan(
    seed: int, luck: Callable[[str], random.Random], families: tuple[str, ...],
    knobs: tuple[tuple[object, str, object], ...], changes: Mapping[str, Any],
) -> Plan:  # fmt: skip
    """A short and busy run with these families of faults only."""
    shape = luck("focus")
    plan = Plan(
        seed=seed, seconds=4.0, edges={f"edge-{i + 1}": _scopes(shape, 0) for i in range(2)},
        spaces=("site",), gap=0.7, push_limit=shape.choice((1, 3, 2_000)), disk_slowness_s=0.001,
        delay_s=0.01, jitter_s=0.005, capacity=64, hub_clients=1, wanderers=1, knobs=list(knobs),
    )  # fmt: skip
    return with_faults(replace(plan, **changes), luck("faults"), families, frozenset())


def with_faults(
    plan: Plan, luck: random.Random, families: tuple[str, ...], without: frozenset[str]
) -> Plan:
    """The plan, with faults of these families."""
    found = (f for f in _faults(luck, plan, families) if f.kind not in without)
    plan.faults = sorted(found, key=lambda f: f.at_s)
    return plan


def _shape(seed: int, shape: random.Random) -> Plan:
    seconds = shape.choice((4.0, 8.0, 8.0, 20.0))
    return Plan(
        seed=seed,
        seconds=seconds,
        edges={f"edge-{i + 1}": _scopes(shape, i) for i in range(shape.choice((2, 2, 3, 3, 4, 5)))},
        spaces=("site",) if shape.random() < 0.5 else ("site", "urgent"),
        gap=shape.choice((0.7, 1.5, 3.0)),
        push_limit=shape.choice((1, 3, 2_000, 2_000)),
        disk_slowness_s=shape.choice((0.0, 0.001, 0.01)),
        delay_s=shape.choice((0.001, 0.02, 0.3)),
        jitter_s=shape.choice((0.0, 0.005, 0.1)),
        capacity=shape.choice((2, 16, 64)),
        hub_clients=shape.choice((0, 1, 2)),
        wanderers=shape.choice((0, 1, 2)),
    )


def _scopes(shape: random.Random, index: int) -> dict[str, Scope]:
    site = Scope()
    if index and shape.random() < 0.25:
        chosen = frozenset(shape.sample(COLLECTIONS, 4)) | {"things"}
        site = Scope(whole=False, collections=chosen)
    return {"site": site, "urgent": Scope()}


MIXES = (
    ("none",), ("network",), ("crash",), ("network", "crash"), ("network", "crash", "clock"),
    ("power", "network"), ("disk", "network"), ("hub", "network"), ("copy", "network"),
    ("restore", "network", "crash"), ("policy", "clock"), ("pause", "network"),
    ("network", "crash", "power", "disk", "hub", "clock", "policy", "restore"),
    ("network", "crash", "power", "copy", "clock", "policy"),
)  # fmt: skip
"""Which families of faults come together: one alone tells most, all at once finds what is left."""

RARE = 0.08
RARE_MIXES = (("damage", "network"), ("damage", "crash", "power"))
"""Chosen apart, so that what is added here leaves the other seeds as they were."""


def _faults(luck: random.Random, plan: Plan, families: tuple[str, ...]) -> list[Fault]:
    found: list[Fault] = []
    for family in families:
        count = luck.randint(1, 2 + min(6, int(plan.seconds / 6)))
        if family in ("copy", "restore", "pause", "disk", "damage"):
            count = min(count, 2)
        found += [_fault(luck, family, plan) for _ in range(count if family != "none" else 0)]
    return found


def _fault(luck: random.Random, family: str, plan: Plan) -> Fault:
    at, edge = luck.uniform(0.5, plan.seconds * 0.95), luck.choice(list(plan.edges))
    anyone = luck.choice((edge, "hub"))
    seconds = luck.choice((0.3, 2.0, 8.0, 20.0)) * luck.uniform(0.5, 1.5)
    if plan.seconds == LONG_S:
        seconds *= 20
    if family == "network":
        return _network_fault(luck, at, edge, seconds)
    if family == "crash":
        if luck.random() < 0.7:
            point = luck.choice(FAILPOINTS)
            target = "hub" if point.startswith("hub") else edge
            return Fault(at, "failpoint", target, luck.uniform(0.1, 5.0), point)
        return Fault(at, luck.choice(("crash", "restart")), anyone, luck.uniform(0.1, 5.0))
    if family == "power":
        return Fault(at, luck.choice(("power", "power", "old_replica")), edge, 1.0)
    if family == "disk":
        return Fault(at, luck.choice(("disk_full", "disk_broken")), edge, seconds)
    if family == "hub":
        return Fault(at, "storage", "hub", seconds, luck.choice((0.1, 0.5, 1.0)))
    if family == "copy":
        return Fault(at, "copy", edge, luck.uniform(0.1, 3.0))
    if family == "restore":
        kind = luck.choice(("old_outbox", "old_outbox", "old_files"))
        return Fault(at, kind, edge, luck.uniform(0.1, 3.0), luck.uniform(0.5, 10.0))
    if family == "policy":
        return Fault(at, "policy", "", 0.0, luck.randrange(1_000))
    if family == "clock":
        detail = luck.choice((5_000, -5_000, 3 * 86_400_000, -3 * 86_400_000, -(10**11), 0))
        return Fault(at, "clock", anyone if abs(detail) <= 5_000 else edge, 0.0, detail)
    return _special_fault(luck, family, at, edge)


def _special_fault(luck: random.Random, family: str, at: float, edge: str) -> Fault:
    """Rare ones, and those that bring one kind of mistake out; see mutants.py."""
    if family == "damage":
        kind = luck.choice(("damaged_replica", "damaged_outbox"))
        return Fault(at, kind, edge, luck.uniform(0.1, 2.0), luck.random())
    if family == "pause":
        return Fault(at, "pause", edge, luck.choice((5.0, 60.0, 900.0)))
    if family == "commit_crash":
        return Fault(at, "failpoint", edge, 0.5, luck.choice(FAILPOINTS[1:3]))
    if family == "between":
        return Fault(at, "failpoint", edge, 0.5, "test.between.transactions")
    if family == "down":
        return Fault(at, "down", edge, 20.0)
    assert family == "hub_power", family
    return Fault(at, "power", "hub", 0.5)


def _network_fault(luck: random.Random, at: float, edge: str, seconds: float) -> Fault:
    kind = luck.choice(("cut", "cut", "down", "hang", "stall", "stall", "slow_reader"))
    detail = luck.choice(("up", "down", "both")) if kind == "stall" else None
    return Fault(at, kind, edge, 0.0 if kind == "cut" else seconds, detail)
