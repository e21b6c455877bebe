"""Running seeds and telling what came of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from functools import partial

from tests.simulation import world
from tests.simulation.plan import FAILPOINTS, Plan, focused_plan, plan_of
from tests.simulation.world import Result

SOMETIMES = (
    "outcome applied", "outcome merged", "outcome superseded", "outcome rejected",
    "outcome coalesced", "outcome lost", "conflict concurrent", "conflict delete_edit",
    "conflict missing_base", "conflict precondition", "conflict rejected", "conflict rule_raised",
    "conflict invariant", "state resolved", "state undone", "refused REFUSED_BY_RULE",
    "refused INVARIANT_BROKEN", "refused RULE_MISMATCH", "refused CONFLICT_DECIDED",
    "refused HUB_UNREACHABLE", "refused WRITE_BOUND_EXCEEDED", "refused REVISION_MISMATCH",
    "refused DISK_FULL", "refused OUT_OF_SCOPE", "refused SESSION_NOT_CAUGHT_UP",
)  # fmt: skip
"""What many runs are to come across at least once."""


def plan(seed: int, without: frozenset[str] = frozenset()) -> Plan:
    """What a seed means."""
    return plan_of(seed, partial(_luck, seed), without)


def focused(
    seed: int, families: tuple[str, ...], knobs: tuple[tuple[object, str, object], ...] = (),
    changes: Mapping[str, object] | None = None,
) -> Result:  # fmt: skip
    """One short run with these families of faults only."""
    chance = partial(_luck, seed)
    return world.run(focused_plan(seed, chance, families, knobs, changes or {}))


def _luck(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed}:plan:{name}")


def run_seed(seed: int, without: frozenset[str] = frozenset()) -> Result:
    """One run."""
    return world.run(plan(seed, without))


def run_checked(seed: int, without: frozenset[str] = frozenset()) -> Result:
    """One run; one in a hundred is done twice, and must be the same."""
    result = run_seed(seed, without)
    if seed % TWICE_EVERY == 0:
        again = run_seed(seed, without)
        if (again.digest, again.trace) != (result.digest, result.trace):
            result.problems.append("[repeatable] the same seed was another run the second time")
    return result


def shrunk(seed: int) -> frozenset[str]:
    """Kinds of faults that can be left out, one after another, while the seed goes on failing."""
    without: frozenset[str] = frozenset()
    for kind in sorted({fault.kind for fault in plan(seed).faults}):
        if run_seed(seed, without | {kind}).problems:
            without |= {kind}
    return without


TWICE_EVERY = 100


def failure(result: Result, without: frozenset[str] = frozenset()) -> str:
    """What broke, and the command that repeats it."""
    left_out = "".join(f" --without {kind}" for kind in sorted(without))
    return "\n".join(
        [
            f"seed {result.seed} breaks {len(result.problems)} promises:",
            *(f"  {problem}" for problem in result.problems[:5]),
            f"  repeat: python -m tests.simulation --seed {result.seed} --trace{left_out}",
        ]
    )


def summary(seeds: int, failed: list[Result], reached: Counter[str], seconds: float) -> str:
    """One paragraph about many runs."""
    never = [name for name in FAILPOINTS if not reached[name]]
    never += [f"crash at {name}" for name in FAILPOINTS if not reached[f"crash at {name}"]]
    never += [name for name in SOMETIMES if not reached[name]]
    lines = [f"{seeds} seeds, {len(failed)} failed, {seconds:.0f} s"]
    if failed:
        kinds = Counter(p.partition("]")[0] + "]" for r in failed for p in r.problems)
        lines.append(", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
        lines.append("failed: " + " ".join(str(r.seed) for r in failed))
    if never:
        lines.append("never reached: " + ", ".join(never))
    return "\n".join(lines)
