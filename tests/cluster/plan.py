"""What one run is: how many take part, for how long, and what happens to the hubs when.

A seed decides what clients do and in which order hubs are struck; processes and networks are real,
so a seed repeats the plan and not the run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from itertools import cycle

SPACE = "site"

REGISTERS = "registers"
"""Written at level strong alone, so that a sequential model says what must be read."""

THINGS, PAIRS, OWN = "things", "pairs", "own"

KEYS = {REGISTERS: 6, THINGS: 5, PAIRS: 3}
"""Few, so that clients meet; a register has few clients at a time, so that the search is short."""

ANCHOR = "anchor"
"""A record of THINGS that is always there: so every read has something to say."""

KILL, FREEZE = "kill", "freeze"


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens to one hub, and how long it lasts until it is started again or thawed."""

    at_s: float
    kind: str
    hub: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int = 1
    seconds: float = 60.0
    """How long clients write."""
    hubs: int = 3
    edges: int = 8
    agents: int = 12
    gap_s: float = 0.15
    """Between two requests of one client, on average."""
    frozen_s: float = 75.0
    """Longer than every time-out: the longest is the edge's for a stream that is silent (30 s) and
    the hub's (60 s)."""
    down_s: float = 2.0
    patience_s: float = 3.0
    """The deadline of a request."""
    settle_s: float = 60.0
    strikes: tuple[Strike, ...] = field(default=())

    def luck(self, name: str) -> random.Random:
        return random.Random(f"{self.seed}:{name}")


def with_strikes(plan: Plan) -> Plan:
    """The plan with its hubs killed and frozen in turn, one at a time, until it is over."""
    luck = plan.luck("strikes")
    hubs = [*range(plan.hubs)]
    luck.shuffle(hubs)
    found: list[Strike] = []
    now = 2.0
    for hub, kind in zip(cycle(hubs), cycle((KILL, FREEZE)), strict=False):
        seconds = plan.frozen_s if kind == FREEZE else plan.down_s * luck.uniform(0.3, 1.5)
        if now + seconds > plan.seconds:
            break
        found.append(Strike(now, kind, hub, seconds))
        now += seconds + luck.uniform(2.0, 6.0)
    return replace(plan, strikes=tuple(found))
