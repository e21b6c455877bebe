"""What one watch is sent: each outcome once, and never that a commit is pending after it."""

from __future__ import annotations

from edge_agent.events import PENDING, Event, Interest
from edge_agent.watchers import _Subscription
from sync.commit import APPLIED, NO_EXTRA, Actor, ActorKind, OpId, Outcome
from sync.position import Position

ORIGIN = b"o" * 16


def event(seq: int, revision: int, outcome: Outcome) -> Event:
    return Event(
        OpId(ORIGIN, seq, b"i" * 16), Position(1, "site", revision), outcome,
        Actor("arm", ActorKind.ROBOT), NO_EXTRA, (), (),
    )  # fmt: skip


def test_what_was_pending_is_told_and_then_its_outcome() -> None:
    watch = _Subscription(Interest("site", include_pending=True))
    told = [event(1, 0, PENDING), event(1, 0, PENDING), event(1, 7, APPLIED), event(1, 7, APPLIED)]
    assert [watch.told(one) for one in told] == [False, True, False, True]


def test_a_watch_that_began_with_the_outcome_is_not_told_afterwards_that_it_is_pending() -> None:
    """One that began while a commit was taken read the outcome from the log, and was then told what
    had been put into its queue before."""
    watch = _Subscription(Interest("site", include_pending=True))
    told = [event(3, 9, APPLIED), event(2, 0, PENDING), event(3, 0, PENDING), event(4, 0, PENDING)]
    assert [watch.told(one) for one in told] == [False, True, True, False]
