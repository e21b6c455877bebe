"""Linearizability, by the places that answers name and by search: what is caught, what is not."""

from __future__ import annotations

import pytest

from tests.blackbox.checks import judge, search, strong
from tests.blackbox.history import STRONG, UNKNOWN, Found, Line, Read, history_of
from tests.unit.blackbox.lines import decided, expects, pending, read, strongly, version, wrote

ONE, TWO = decided(1, "a", {"x": 1}), decided(2, "b", {"x": 2})
A = strongly("a", {"x": 1}, (0, 1), revision=1)
B = strongly("b", {"x": 2}, (2, 3), revision=2)


def strong_read(n: int | None, when: tuple[float, float], revision: int) -> Read:
    found = None if n is None else version(n, revision)
    return read({"x": found}, when, revision, level=STRONG)


GOOD: dict[str, tuple[Line, ...]] = {
    "one after the other": (ONE, TWO, A, B, strong_read(2, (4, 5), 2)),
    "a read during a write may see either": (
        ONE, TWO, A, B, strong_read(1, (2.1, 2.9), 1), strong_read(2, (2.2, 2.8), 2),
    ),
    "an unanswered write that took effect": (
        ONE, TWO, A, strongly("b", {"x": 2}, (2, 3), status=UNKNOWN), strong_read(1, (4, 5), 1),
        strong_read(2, (6, 7), 2),
    ),
    "an unanswered write that never did": (
        ONE, A, strongly("b", {"x": 2}, (2, 3), status=UNKNOWN), strong_read(1, (4, 5), 1),
    ),
    "a retry is told the first result, long after": (
        ONE, TWO, strongly("a", {"x": 1}, (0, 1), status=UNKNOWN),
        strongly("b", {"x": 2}, (2, 3), revision=2), strong_read(2, (4, 5), 2),
        strongly("a", {"x": 1}, (6, 7), revision=1), strong_read(2, (8, 9), 2),
    ),
    "what one expects, and another finds changed": (
        ONE, TWO, A, strongly("b", {"x": 2}, (2, 3), revision=2, expects=(expects("x", 1, 1),)),
        strongly("c", {"x": 3}, (4, 5), status="refused", reason="REVISION_MISMATCH",
                 expects=(expects("x", 1, 1),)),
        strong_read(2, (6, 7), 2),
    ),
}  # fmt: skip

BAD: dict[str, tuple[Line, ...]] = {
    "a stale read": (ONE, TWO, A, B, strong_read(1, (4, 5), 1)),
    "two reads in the wrong order": (
        ONE, TWO, A, strongly("b", {"x": 2}, (2, 9), revision=2), strong_read(2, (3, 4), 2),
        strong_read(1, (5, 6), 1),
    ),
    "a write that is lost": (ONE, A, B, strong_read(1, (4, 5), 1)),
    "a write before one that was answered before it": (
        decided(1, "b", {"x": 2}), decided(2, "a", {"x": 1}),
        strongly("a", {"x": 1}, (0, 1), revision=2), strongly("b", {"x": 2}, (2, 3), revision=1),
        strong_read(1, (4, 5), 2),
    ),
    "two that expected the same version": (
        ONE, TWO, decided(3, "c", {"x": 3}), A,
        strongly("b", {"x": 2}, (2, 3), revision=2, expects=(expects("x", 1, 1),)),
        strongly("c", {"x": 3}, (2, 3), revision=3, expects=(expects("x", 1, 1),)),
        strong_read(3, (4, 5), 3),
    ),
    "a read of what was never written": (ONE, A, strong_read(7, (2, 3), 1)),
    "an unanswered write that is there and gone again": (
        ONE, TWO, A, strongly("b", {"x": 2}, (2, 3), status=UNKNOWN), strong_read(2, (4, 5), 2),
        strong_read(1, (6, 7), 1),
    ),
}  # fmt: skip

WITNESS_ONLY: dict[str, tuple[Line, ...]] = {
    "merged away after it was acknowledged": (
        ONE, decided(2, "b", {}, outcome="superseded"), A, B,
    ),
    "an answer that is not decided": (
        ONE, A, read({"x": pending(2, "edge", 1)}, (2, 3), 1, level=STRONG),
    ),
    "the right value of a state that is too old": (
        ONE, decided(2, "b", {"y": 2}), A, strongly("b", {"y": 2}, (2, 3), revision=2),
        strong_read(1, (4, 5), 1),
    ),
}  # fmt: skip
"""What values alone cannot show."""


@pytest.mark.parametrize("name", GOOD)
def test_what_can_have_happened_passes(name: str) -> None:
    history = history_of(*GOOD[name])
    assert judge(history) == []
    assert search.searched(history) >= 2


@pytest.mark.parametrize("name", [*BAD, *WITNESS_ONLY])
def test_the_witness_catches(name: str) -> None:
    assert strong.by_witness(history_of(*(BAD | WITNESS_ONLY)[name]))


@pytest.mark.parametrize("name", BAD)
def test_the_search_catches(name: str) -> None:
    assert search.by_search(history_of(*BAD[name]))


def test_the_search_believes_no_revision() -> None:
    """A door that answers an old value as if it were new: all places are in order."""
    lie = read({"x": Found({"n": 1}, (1, 2), "hub", 2)}, (4, 5), 2, level=STRONG)
    assert search.by_search(history_of(ONE, TWO, A, B, lie))


def test_a_refused_condition_that_was_true_is_caught_by_the_search() -> None:
    refused = strongly(
        "b", {"x": 2}, (2, 3), status="refused", reason="REVISION_MISMATCH",
        expects=(expects("x", 1, 1),),
    )  # fmt: skip
    assert search.by_search(history_of(ONE, A, refused))


def test_records_used_together_are_searched_together() -> None:
    """Each record alone could have been so; both together not."""
    x, y = strongly("a", {"x": 1}, (0, 9), revision=1), strongly("b", {"y": 1}, (0, 9), revision=2)
    log = decided(1, "a", {"x": 1}), decided(2, "b", {"y": 1})
    one = read({"x": version(1, 1), "y": None}, (1, 2), 1, level=STRONG)
    other = read({"x": None, "y": version(1, 2)}, (1, 2), 2, level=STRONG)
    assert not search.by_search(history_of(*log, x, y, one))
    assert not search.by_search(history_of(*log, x, y, other))
    assert search.by_search(history_of(*log, x, y, one, other))


def test_records_that_others_merge_into_are_not_searched() -> None:
    merged = wrote("b", {"x": 2}, (2, 3), revision=2, outcome="merged")
    history = history_of(ONE, decided(2, "b", {"x": 2}, outcome="merged"), A, merged)
    assert search.searched(history) == 0


def test_a_search_that_gives_up_says_so() -> None:
    """Many writes at once and a last read that none of them explains."""
    writes = [strongly(f"w{n}", {"x": n}, (0, 100), revision=n) for n in range(1, 12)]
    log = [decided(n, f"w{n}", {"x": n}) for n in range(1, 12)]
    wrong = strong_read(99, (200, 201), 11)
    found = search.by_search(history_of(*log, *writes, wrong), max_steps=2_000)
    assert len(found) == 1 and "too many" in found[0]


def test_a_long_history_of_a_few_clients_is_searched_quickly() -> None:
    lines: list[Line] = []
    for n in range(1, 2_001):
        lines.append(decided(n, f"w{n}", {"x": n}))
        lines.append(strongly(f"w{n}", {"x": n}, (n, n + 1.5), revision=n))
        lines.append(read({"x": version(n, n)}, (n + 0.2, n + 1.8), n, level=STRONG))
    assert judge(history_of(*lines), ("strong by witness", "strong by search")) == []
