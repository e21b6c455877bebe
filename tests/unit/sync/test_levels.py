"""Levels: what a policy says of them, and at which one a write is served."""

from __future__ import annotations

import json

import pytest

from sync.levels import (
    DEFAULT_LEVELS,
    InvalidLevels,
    Level,
    Levels,
    NotPermitted,
    ReadBound,
    WriteBound,
    bound_of_write,
    level_of_write,
    parse_levels,
)
from sync.policy import InvalidPolicy, parse_collection

EVENTUAL, BOUNDED, STRONG = Level
FEW = WriteBound(max_pending=10, max_age_ms=1_000)


def test_a_policy_that_says_nothing_allows_everything() -> None:
    assert parse_levels({}) == DEFAULT_LEVELS == parse_collection(b"{}").levels


def test_every_member_says_what_it_says() -> None:
    members = {
        "min_write_level": "bounded",
        "min_read_level": "bounded",
        "default_level": "strong",
        "write_bound": {"max_pending": 10, "max_age_ms": 1_000},
        "read_bound": {"max_staleness_ms": 5_000},
    }
    assert parse_levels(members) == Levels(BOUNDED, BOUNDED, STRONG, FEW, ReadBound(5_000))


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"min_write_level": "strict"}, "min_write_level"),
        ({"min_write_level": 3}, "min_write_level"),
        ({"min_read_level": None}, "min_read_level"),
        ({"default_level": ["strong"]}, "default_level"),
        ({"write_bound": 5}, "write_bound"),
        ({"write_bound": {"max_pending": 0}}, "write_bound"),
        ({"write_bound": {"max_pending": True}}, "write_bound"),
        ({"write_bound": {"max_age_ms": 1.5}}, "write_bound"),
        ({"write_bound": {"max_staleness_ms": 5}}, "write_bound"),
        ({"read_bound": {"max_revisions": 1 << 60}}, "read_bound"),
        ({"min_write_level": "bounded"}, "write_bound"),
        ({"default_level": "bounded", "write_bound": {"max_pending": 1}}, "read_bound"),
    ],
)
def test_what_cannot_be_kept_is_named(members: dict[str, object], names: str) -> None:
    with pytest.raises(InvalidLevels, match=f"^{names}"):
        parse_levels(members)
    with pytest.raises(InvalidPolicy, match=f"^{names}"):
        parse_collection(json.dumps(members).encode())


def test_a_write_that_names_no_level_has_the_stronger_of_default_and_minimum() -> None:
    one, other = Levels(default=BOUNDED), Levels(min_write=STRONG)
    assert level_of_write(None, []) is EVENTUAL
    assert level_of_write(None, [("a", one)]) is BOUNDED
    assert level_of_write(None, [("a", one), ("b", other)]) is STRONG
    assert level_of_write(None, [("b", other), ("a", one)]) is STRONG


@pytest.mark.promise("level.minimum")
def test_a_write_may_ask_for_more_and_never_for_less() -> None:
    named = [("parts", Levels(min_write=BOUNDED, default=STRONG))]
    assert level_of_write(BOUNDED, named) is BOUNDED
    assert level_of_write(STRONG, named) is STRONG
    with pytest.raises(NotPermitted, match="parts is not written below bounded"):
        level_of_write(EVENTUAL, named)


def test_a_bounded_write_that_names_no_bound_has_the_tightest_of_the_policies() -> None:
    wide, half = Levels(write_bound=WriteBound(20, 500)), Levels(write_bound=WriteBound(0, 100))
    assert bound_of_write(WriteBound(), [("a", Levels())]) == WriteBound()
    assert bound_of_write(WriteBound(), [("a", wide), ("b", half)]) == WriteBound(20, 100)
    assert bound_of_write(WriteBound(7), [("a", wide)]) == WriteBound(7)


@pytest.mark.promise("level.minimum")
@pytest.mark.parametrize("asked", [WriteBound(11, 1_000), WriteBound(10), WriteBound(0, 999)])
def test_a_bound_that_is_wider_than_the_minimum_is_refused(asked: WriteBound) -> None:
    named = [("parts", Levels(min_write=BOUNDED, write_bound=FEW))]
    with pytest.raises(NotPermitted, match="wider bounds"):
        bound_of_write(asked, named)
    assert bound_of_write(FEW, named) == FEW
    assert bound_of_write(asked, [("parts", Levels(write_bound=FEW))]) == asked
