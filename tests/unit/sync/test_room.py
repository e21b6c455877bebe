"""Room in an answer: what fits, what does not, and that one thing always does."""

from __future__ import annotations

import pytest

from sync.room import ANSWER_BYTES, OVERHEAD_BYTES, AnswerTooLarge, Room, check_room


def test_the_first_always_fits_and_nothing_after_it_if_it_was_too_large() -> None:
    room = Room(1_000)
    assert room.takes(5_000)
    assert not room.takes(0)


def test_what_does_not_fit_ends_it_so_that_the_order_is_kept() -> None:
    room = Room(10 * OVERHEAD_BYTES)
    assert room.takes(0)
    assert not room.takes(20 * OVERHEAD_BYTES)
    assert not room.takes(0)


def test_many_small_things_are_counted_with_what_they_take_beside_their_values() -> None:
    room = Room(10 * OVERHEAD_BYTES)
    assert [room.takes(0) for _ in range(12)] == [True] * 10 + [False] * 2


def test_what_is_too_much_is_refused() -> None:
    check_room([ANSWER_BYTES * 2])
    with pytest.raises(AnswerTooLarge):
        check_room([ANSWER_BYTES // 2] * 3)
