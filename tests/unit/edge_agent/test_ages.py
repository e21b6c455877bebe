"""How long commits have been pending, as far as this process knows."""

from __future__ import annotations

from edge_agent import ages
from edge_agent.ages import Ages

STREAM = ("site", 1)


def test_the_oldest_is_the_first_that_is_not_decided() -> None:
    known = Ages()
    known.took(STREAM, 1, 3, 10)
    known.took(STREAM, 4, 4, 20)
    assert known.oldest_ns(STREAM, 0) == 10
    assert known.oldest_ns(STREAM, 2) == 10
    assert known.oldest_ns(STREAM, 3) == 20


def test_what_was_there_before_is_of_unknown_age() -> None:
    known = Ages()
    assert known.oldest_ns(STREAM, 5) is None
    known.took(STREAM, 8, 8, 10)
    assert known.oldest_ns(STREAM, 6) is None
    assert known.oldest_ns(STREAM, 7) == 10
    assert known.oldest_ns(("lab", 1), 7) is None


def test_many_are_kept_in_less_detail_and_never_younger_than_they_are() -> None:
    known = Ages()
    for seq in range(1, 3 * ages.MAX_SPANS):
        known.took(STREAM, seq, seq, seq)
    assert len(known._spans[STREAM]) <= ages.MAX_SPANS
    for seq in range(1, 3 * ages.MAX_SPANS, 97):
        oldest = known.oldest_ns(STREAM, seq - 1)
        assert oldest is not None
        assert seq - 64 <= oldest <= seq
