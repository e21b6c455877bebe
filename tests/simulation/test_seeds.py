"""Fixed seeds on every change: some that found something once, and the first ones. More run with
`make simulate`."""

from __future__ import annotations

import pytest

from tests.simulation import sweep

FOUND = {
    4: "commits of one group at the hub's door counted as blind, and were stamped below causes",
    6: "who loses against a deletion by an origin that the group does not name stopped the hub",
    32: "commits at the hub's door were stamped below what their authors had seen",
    36: "a stream that ended while changes were applied left watchers without them",
    65: "after a commit of unknown outcome, what was told next left a gap",
    120: "a commit that the disk kept out of the view was missing from its author's reads",
    44: "a stream that ended by agreement was taken for a lost link",
    143: "a replica that began anew for its splices took what was on the way for a wrong stream",
    285: "two copies of a card moved the same commit to two origins, and it took effect twice",
    485: "a repeat decided elsewhere kept its effect in the view of its edge",
}
"""What each seed found when it was run first. Plans change, so a seed may not find it again."""

FIRST = range(1, 11)


@pytest.mark.parametrize("seed", sorted({*FOUND, *FIRST}))
def test_seed(seed: int) -> None:
    result = sweep.run_seed(seed)
    assert not result.problems, sweep.failure(result)


def test_a_seed_is_one_run() -> None:
    first, second = sweep.run_seed(2), sweep.run_seed(2)
    assert first.digest == second.digest
    assert first.trace == second.trace
