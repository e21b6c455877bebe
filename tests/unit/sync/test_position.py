"""Positions across histories."""

from __future__ import annotations

import pytest

from sync.position import Epoch, Lineage, Position, UnknownEpoch


def epoch(ordinal: int, parent: int = 0, **forks: int) -> Epoch:
    return Epoch(ordinal, bytes([ordinal]) * 16, parent, forks)


# 1 forked at 10 into 2; 2 at 20 into 3; then 1 again, at 5, into 4, which is the present.
LINEAGE = Lineage((epoch(1), epoch(2, 1, site=10), epoch(3, 2, site=20), epoch(4, 1, site=5)))


@pytest.mark.parametrize(
    ("ordinal", "revision", "effective"),
    [
        (4, 99, 99),
        (4, 0, 0),
        (1, 3, 3),
        (1, 5, 5),
        (1, 6, 5),
        (2, 7, 5),
        (2, 4, 4),
        (3, 25, 5),
        (3, 2, 2),
        (9, 0, 0),
    ],
)
def test_a_position_above_a_fork_counts_as_the_fork(
    ordinal: int, revision: int, effective: int
) -> None:
    assert LINEAGE.effective(Position(ordinal, "site", revision)) == effective


def test_both_forks_on_the_way_count() -> None:
    lineage = Lineage((epoch(1), epoch(2, 1, site=10), epoch(3, 1, site=30)))
    assert lineage.effective(Position(2, "site", 50)) == 10
    lineage = Lineage((epoch(1), epoch(2, 1, site=30), epoch(3, 1, site=10)))
    assert lineage.effective(Position(2, "site", 50)) == 10


def test_a_space_without_a_fork_shares_nothing() -> None:
    assert LINEAGE.effective(Position(1, "elsewhere", 3)) == 0


def test_a_straight_line_of_epochs_is_walked_to_its_end() -> None:
    lineage = Lineage((epoch(1), epoch(2, 1, site=9), epoch(3, 2, site=7), epoch(4, 3, site=8)))
    assert lineage.effective(Position(1, "site", 20)) == 7
    assert lineage.effective(Position(3, "site", 20)) == 8


def test_an_unknown_epoch_is_named() -> None:
    with pytest.raises(UnknownEpoch) as caught:
        LINEAGE.effective(Position(9, "site", 1))
    assert (caught.value.ordinal, caught.value.reason) == (9, "EPOCH_UNKNOWN")


def test_what_cannot_be_is_refused() -> None:
    for ordinal, revision in ((-1, 0), (1, -1)):
        with pytest.raises(AssertionError):
            Position(ordinal, "site", revision)
    for table in ((), (epoch(1), epoch(2, 2)), (epoch(1), epoch(2, 3))):
        with pytest.raises(AssertionError):
            Lineage(table)
