"""Filters: a record on which an expression fails is not meant, and nobody else hears of it."""

from __future__ import annotations

import pytest

from sync.filters import Filter, InvalidFilter


@pytest.mark.parametrize(
    "expression",
    [
        "value.n / 0 == 1", "value.n % 0 == 1", "[1][5] == 1", "value.none.more", "value.n + 'a'",
        "[1, 2].all(x, x / 0 > 1)", "key.matches('(')", "9223372036854775807 + value.n > 0",
    ],
)  # fmt: skip
def test_an_expression_that_fails_means_no_record(expression: str) -> None:
    """One that divided by zero made the commits of others fail after they were stored."""
    assert not Filter(expression).matches("k", b'{"n":1}')


@pytest.mark.parametrize(
    "expression",
    [
        "value.a.map(x, x).size() > 0", "value.a.all(x, x in value.a)",
        "value.a.exists(x, value.b.contains(x))", "value.a.exists (x, key == x)",
        "value.a.filter(x, (x > 1) && (value.a.size() > x)).size() > 0",
        "value.a.all(x, value.a.all(y, x == y))", "value.a.all(x, x + x + x == 'a')",
    ],
)  # fmt: skip
def test_what_grows_faster_than_the_record_is_refused(expression: str) -> None:
    """A filter of forty characters held a daemon for minutes."""
    with pytest.raises(InvalidFilter):
        Filter(expression)


def test_a_comprehension_over_its_element_is_taken() -> None:
    wanted = Filter("value.kind == 'value' && value.tags.exists(t, t == 'key') && key != 'value'")
    assert wanted.matches("k", b'{"kind":"value","tags":["a","key"]}')
    assert not wanted.matches("value", b'{"kind":"value","tags":["a","key"]}')


def test_an_expression_means_what_it_says() -> None:
    assert Filter("value.n == 1 && key.startsWith('k')").matches("k", b'{"n":1}')
    assert not Filter("value.n").matches("k", b'{"n":1}')
    assert Filter("").matches("k", b"{}")
    with pytest.raises(InvalidFilter):
        Filter("value.n ==")
