"""What an author had seen."""

from __future__ import annotations

import pytest

from sync.context import Author, Part

ME, OTHER = 1, 2


def author(base: int = 10, seen: int = 3, others: dict[int, int] | None = None) -> Author:
    return Author(ME, 5, base, seen, others, stamp=77, revision=20)


def part(revision: int, origin: int = OTHER, seq: int = 1) -> Part:
    return Part(revision, origin, seq, 0)


@pytest.mark.promise("concurrent.by-context")
def test_up_to_the_base_everything_was_seen_and_above_it_nothing_foreign() -> None:
    assert not author().concurrent(part(10))
    assert author().concurrent(part(11))


def test_undecided_ones_of_the_own_origin_were_seen_up_to_a_seq() -> None:
    assert not author().concurrent(part(11, ME, 3))
    assert author().concurrent(part(11, ME, 4))


def test_a_commit_has_seen_itself() -> None:
    assert not author().concurrent(part(20, ME, 5))


def test_undecided_ones_of_others_are_seen_if_they_are_named() -> None:
    roamed = author(others={OTHER: 6})
    assert not roamed.concurrent(part(11, OTHER, 6))
    assert roamed.concurrent(part(11, OTHER, 7))
    assert roamed.concurrent(part(11, 3, 1))


def test_its_own_part_is_its_name() -> None:
    assert author().part == Part(20, ME, 5, 77)


@pytest.mark.promise("concurrent.fast-path")
def test_two_numbers_tell_that_nothing_of_a_record_is_concurrent() -> None:
    assert author().saw_all_of(part(10), 10)
    assert author().saw_all_of(part(12, ME, 3), 10)
    assert not author().saw_all_of(part(12, ME, 3), 11)
    assert not author().saw_all_of(part(12, ME, 4), 9)
    assert not author().saw_all_of(part(12), 9)


def test_its_own_writing_does_not_speak_for_what_its_origin_wrote_before() -> None:
    itself = part(20, ME, 5)
    assert not author(seen=3).saw_all_of(itself, 9)
    assert author(seen=4).saw_all_of(itself, 9)
    assert not author(seen=4).saw_all_of(itself, 11)
