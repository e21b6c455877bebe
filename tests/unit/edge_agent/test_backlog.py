"""The age of the oldest commit that waits, and the line that is made of it."""

from __future__ import annotations

import pytest

from edge_agent.backlog import MARKS, SPACING_NS, Backlog
from sync.clock import BootInstant

SECOND = 1_000_000_000
A, B = ("control", b"a" * 16), ("bulk", b"a" * 16)


def _at(seconds: float) -> BootInstant:
    return BootInstant(int(seconds * SECOND))


def test_the_oldest_of_all_streams_counts() -> None:
    backlog = Backlog()
    backlog.took(B, 10, _at(1))
    backlog.took(A, 1, _at(5))
    assert backlog.oldest_ms(_at(7)) == 6_000
    backlog.decided(A, 1)  # the urgent one overtakes
    assert backlog.oldest_ms(_at(8)) == 7_000
    backlog.decided(B, 9)
    assert backlog.oldest_ms(_at(8)) == 7_000
    backlog.decided(B, 10)
    assert backlog.oldest_ms(_at(8)) == 0


def test_what_is_decided_makes_way_for_what_came_later() -> None:
    backlog = Backlog()
    backlog.took(A, 5, _at(1))
    backlog.took(A, 6, _at(10))
    backlog.decided(A, 5)
    assert backlog.oldest_ms(_at(11)) == 1_000


def test_commits_that_come_together_share_a_mark() -> None:
    backlog = Backlog()
    backlog.took(A, 1, _at(1))
    backlog.took(A, 500, BootInstant(_at(1) + SPACING_NS - 1))
    backlog.decided(A, 499)
    assert backlog.oldest_ms(_at(3)) == 2_000
    backlog.decided(A, 500)
    assert backlog.oldest_ms(_at(3)) == 0


@pytest.mark.promise("rule.limits")
def test_marks_are_bounded_and_never_make_it_younger() -> None:
    backlog, days = Backlog(), 4 * 86_400
    for second in range(1, days, 60):
        backlog.took(A, second, _at(second))
    assert len(backlog._marks[A]) <= MARKS
    now = _at(days)
    assert backlog.oldest_ms(now) == (days - 1) * 1_000
    for decided in (days // 3, days // 2, days - 600):
        backlog.decided(A, decided)
        assert backlog.oldest_ms(now) >= (days - decided - 60) * 1_000


def test_a_stream_that_is_gone_is_not_waited_for() -> None:
    backlog = Backlog()
    backlog.took(A, 1, _at(1))
    backlog.took(B, 1, _at(4))
    backlog.keep({B})
    assert backlog.oldest_ms(_at(5)) == 1_000
