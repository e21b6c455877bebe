"""A run that counts: what became of every acknowledged commit, and where each value is found. A
greater one is `make simulate COMMITS=100000`."""

from __future__ import annotations

import pytest

from tests.simulation import counted

COMMITS = 2_000
ENDS = {"applied", "merged", "superseded", "rejected", "coalesced", "lost"}


@pytest.mark.promise("conflict.every-commit-ends")
@pytest.mark.promise("conflict.loser-kept")
def test_every_acknowledged_commit_ends_and_every_value_is_found() -> None:
    result = counted.run(1, COMMITS)
    account = result.account
    assert not result.problems, counted.told(result, 0.0)
    assert account.outcomes.total() >= COMMITS
    assert set(account.outcomes) <= ENDS
    assert {"applied", "merged", "superseded", "rejected"} <= set(account.outcomes)
    assert account.values["in the log of conflicts"]
    assert not account.values["nowhere"]
