"""Whoever has seen a write and writes after it wins over it, whatever any clock says.

All causal graphs of three commits, all readings of three clocks (a year behind, right, three days
ahead), all names of their origins, by which ties are broken: 1,296 cases.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.batch import batch_of
from sync.clock import MAX_LEAD_MS, HybridClock, decide_stamp, stamp_at
from sync.commit import NO_EXTRA, Commit, Extra
from tests.fleet import NOON_MS, ROBOT, SPACE, Hub, name_of

DAY_MS = 86_400_000
READINGS_MS = (-365 * DAY_MS, 0, 3 * DAY_MS)
PAIRS = ((0, 1), (0, 2), (1, 2))
Graph = frozenset[tuple[int, int]]
Case = tuple[tuple[str, ...], Graph, tuple[int, ...]]


def cases() -> Iterator[Case]:
    graphs = [frozenset(g) for n in range(4) for g in itertools.combinations(PAIRS, n)]
    names = itertools.permutations("abc")
    yield from itertools.product(names, graphs, itertools.product(READINGS_MS, repeat=3))


def ancestors(graph: Graph) -> set[tuple[int, int]]:
    """Pairs of which the first was seen by the second, directly or through another."""
    through = {(0, 2)} if {(0, 1), (1, 2)} <= graph else set()
    return set(graph) | through


def claims(readings: tuple[int, ...]) -> list[int]:
    return [stamp_at(NOON_MS + j + reading) for j, reading in enumerate(readings)]


def beaten(case: Case, stamps: list[int]) -> bool:
    """Whether some ancestor wins over its descendant by last-writer-wins."""
    names, graph, _ = case
    marks = [(stamp, name_of(name)) for stamp, name in zip(stamps, names, strict=True)]
    return any(marks[i] >= marks[j] for i, j in ancestors(graph))


def decided_stamps(case: Case) -> list[int]:
    """The stamps that the hub gives, one commit after the other."""
    names, graph, readings = case
    hub = Hub()
    for j, (name, claimed) in enumerate(zip(names, claims(readings), strict=True)):
        hub.now_ms = NOON_MS + j
        base = 0  # as far as all before was seen; what was seen beyond it is named
        while (base, j) in graph:
            base += 1
        seen = tuple((name_of(names[i]), 1) for i in range(base, j) if (i, j) in graph)
        extra = Extra(seen=seen) if seen else NO_EXTRA
        row = Commit(name_of(f"id{j}"), 1, base, 0, claimed, ROBOT, (), extra)
        hub.push(batch_of(SPACE, name_of(name), 1, [row]))
    return [stamp for decided in hub.log for stamp in decided.stamps]


def clamped_stamps(case: Case) -> list[int]:
    """The same without the step that lifts a stamp above what its author had seen."""
    limits = [stamp_at(NOON_MS + j + MAX_LEAD_MS) for j in range(3)]
    return [min(claim, limit) for claim, limit in zip(claims(case[2]), limits, strict=True)]


@pytest.mark.promise("time.ancestor-loses")
def test_no_ancestor_beats_its_descendant_in_any_case() -> None:
    every = list(cases())
    assert len(every) == 1_296
    assert [case for case in every if beaten(case, decided_stamps(case))] == []


def test_the_clamp_alone_lets_ancestors_beat_their_descendants() -> None:
    """So the test above can fail."""
    assert sum(beaten(case, clamped_stamps(case)) for case in cases()) > 250


MOMENTS = st.lists(st.tuples(st.integers(-(2**20), 2**41), st.integers(0, 5_000)), min_size=1)


@pytest.mark.promise("time.stamped-once")
@given(MOMENTS)
def test_an_origins_stamps_grow_whatever_its_clock_does(moments: list[tuple[int, int]]) -> None:
    clock, hub_ms, last = HybridClock(), NOON_MS, -1
    for reading, passed in moments:
        hub_ms += passed
        claimed = clock.stamp(max(0, reading))
        stamp = decide_stamp(claimed, hub_ms, last)
        assert stamp > last
        assert stamp <= max(stamp_at(hub_ms + MAX_LEAD_MS), last + 1)
        last = stamp
