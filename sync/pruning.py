"""Which steps of a thread stay when it is pruned, and how to go back when one cannot be read.

A step stays if any rule keeps it. The heads (steps that no other follows), those with unfinished
tasks and those with a name stay always: a run goes on from them, and somebody wanted to find them
again. The other rules count from the newest. A byte budget is what comes last: it lets the oldest
go that the other rules kept, and never what stays always, so it can be exceeded.

Invariant: what `kept` answers depends on the steps alone, not on their order; a policy that keeps
more of every kind keeps every step that one with less does, as long as neither has a budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

DAY_MS = 24 * 60 * 60 * 1000

MAX_ANCESTORS = 10_000
"""How far back a sound one is looked for: beyond, an answer would keep others waiting."""


@dataclass(frozen=True, slots=True)
class Step:
    """A checkpoint, as far as pruning is concerned. Ids sort by time; `bytes` is what is kept."""

    id: str
    parent: str | None
    at_ms: int
    bytes: int
    name: str = ""
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What stays: the last so many, the newest of each of the last so many days that have any,
    what is younger than `ttl_ms`; in all at most `budget` bytes. None: no such rule."""

    last: int | None = None
    daily: int | None = None
    ttl_ms: int | None = None
    budget: int | None = None


def kept(steps: Sequence[Step], policy: Policy, now_ms: int) -> frozenset[str]:
    """The ids of the steps that stay. Without any rule but a budget, all others stay at first."""
    newest = sorted(steps, key=lambda step: step.id, reverse=True)
    followed = {step.parent for step in steps}
    always = {s.id for s in steps if s.name or s.unfinished or s.id not in followed}
    chosen = always | _by_rules(newest, policy, now_ms)
    if policy.budget is not None:
        room = policy.budget - sum(step.bytes for step in steps if step.id in always)
        for step in newest:
            if step.id in chosen and step.id not in always:
                room -= step.bytes
                if room < 0:
                    chosen.discard(step.id)
    return frozenset(chosen)


def nearest(start: str, parents: Mapping[str, str | None], sound: Callable[[str], bool]) -> str:
    """The nearest ancestor of a step that is sound; empty if none is, or none is near."""
    at = parents.get(start)
    for _ in range(MAX_ANCESTORS):
        if not at or at not in parents:
            return ""
        if sound(at):
            return at
        at = parents[at]
    return ""


def _by_rules(newest: Sequence[Step], policy: Policy, now_ms: int) -> set[str]:
    if policy.last is None and policy.daily is None and policy.ttl_ms is None:
        return {step.id for step in newest}
    chosen: set[str] = set()
    if policy.last is not None:
        chosen.update(step.id for step in newest[: policy.last])
    if policy.ttl_ms is not None:
        chosen.update(step.id for step in newest if now_ms - step.at_ms < policy.ttl_ms)
    if policy.daily is not None:
        days: dict[int, str] = {}
        for step in newest:
            days.setdefault(step.at_ms // DAY_MS, step.id)
        chosen.update(days[day] for day in sorted(days, reverse=True)[: policy.daily])
    return chosen
