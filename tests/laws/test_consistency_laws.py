"""The staleness bound against a model that knows the truth: what the hub had acknowledged, and
when, by a time that neither side can read.

The device's boot clock runs wrong by up to half of what is allowed for, stands still while its
machine is paused, and begins anew at a reboot; its wall clock is set to whatever anybody likes.
Questions and answers take any time; the hub may be frozen before and after it reads its head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.consistency import Bound, Freshness, Instant, Proof
from sync.position import Position

SPACE = "site"


@dataclass
class World:
    """True time in seconds; the hub's head; one device."""

    rate: float
    now: float = 1_000.0
    paused: float = 0.0
    booted: float = 0.0
    wall_offset: float = 0.0
    head: int = 0
    acknowledged: list[float] = field(default_factory=list)
    held: int = 0
    freshness: Freshness = field(default_factory=Freshness)
    on_the_way: list[tuple[int, int]] = field(default_factory=list)
    """Questions read by the hub: when they were asked by the boot clock, and its head then."""

    @property
    def instant(self) -> Instant:
        boot_s = (self.now - self.paused - self.booted) * self.rate
        return Instant(int(boot_s * 1e9), int((self.now + self.wall_offset) * 1e3))

    def holds_all_before(self, moment: float) -> bool:
        return self.held >= sum(1 for when in self.acknowledged if when < moment)


def do(world: World, step: str, amount: float) -> None:
    match step:
        case "pass":
            world.now += amount
        case "commit":
            world.head += 1
            world.acknowledged.append(world.now)
        case "ask":
            at = world.instant
            world.freshness.asked(at)
            world.now += amount  # on its way, or the hub is frozen before it reads
            world.on_the_way.append((at.boot_ns, world.head))
        case "hear" if world.on_the_way:
            asked_ns, head = world.on_the_way.pop(int(amount) % len(world.on_the_way))
            world.freshness.heard(asked_ns, [Position(1, SPACE, head)], world.instant)
        case "apply":
            world.held = min(world.head, world.held + int(amount) + 1)
        case "fall back":
            world.held = max(0, world.held - int(amount) - 1)
        case "set the wall clock":
            world.wall_offset += (amount - 20) * 1_000
        case "pause":
            world.paused += amount  # and the wall clock is right again when the machine goes on
            world.now += amount
        case "reboot":
            world.booted = world.now - world.paused
            world.freshness, world.on_the_way = Freshness(), []


OFTEN = ("pass", "commit", "ask", "hear", "apply")
SELDOM = ("fall back", "pause", "reboot")
STEPS = st.lists(
    st.tuples(st.sampled_from((*OFTEN, *OFTEN, *SELDOM)), st.floats(0, 40)),
    min_size=8,
    max_size=60,
)


@pytest.mark.promise("read.bound-without-clocks")
@given(STEPS, st.floats(0.9995, 1.0005))
def test_a_bound_is_never_below_the_truth(steps: Sequence[tuple[str, float]], rate: float) -> None:
    world = World(rate)
    for step, amount in steps:
        do(world, step, amount)
        at = world.instant
        world.freshness.look(at)
        proof = world.freshness.proof(Position(1, SPACE, world.held), at)
        if proof.staleness_ms is not None:
            assert world.holds_all_before(world.now - proof.staleness_ms / 1e3)


@pytest.mark.promise("read.bound-without-clocks")
@given(STEPS, st.floats(0, 40), st.floats(-1e9, 1e9))
def test_a_wall_clock_that_is_wrong_proves_the_same_and_one_that_jumps_proves_nothing(
    steps: Sequence[tuple[str, float]], jump: float, wrong_by: float
) -> None:
    calm = [(step, amount) for step, amount in steps if step != "pause"]
    right, wrong = World(1.0), World(1.0, wall_offset=wrong_by)
    for step, amount in calm:
        for world in (right, wrong):
            do(world, step, amount)
            world.freshness.look(world.instant)
    held = Position(1, SPACE, right.held)
    found = [w.freshness.proof(held, w.instant).staleness_ms for w in (right, wrong)]
    assert (found[0] is None) == (found[1] is None)
    if found[0] is not None and found[1] is not None:
        assert abs(found[0] - found[1]) <= 2, "a millisecond of rounding at each end"
    if abs(jump - 20) > 0.001:
        do(wrong, "set the wall clock", jump)
        wrong.freshness.look(wrong.instant)
        assert wrong.freshness.proof(held, wrong.instant).staleness_ms is None


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 100), st.integers(0, 100))
def test_a_proof_keeps_what_it_proves_and_nothing_less(age: int, most: int, k: int, n: int) -> None:
    assert Proof(age, k).keeps(Bound(most)) == (age <= most)
    assert Proof(age, k).keeps(Bound(behind=n)) == (k <= n)
    assert Proof(age, k).keeps(Bound(most, n)) == (age <= most and k <= n)
    assert not Proof(None, k).keeps(Bound(most)) and not Proof(age).keeps(Bound(behind=n))
