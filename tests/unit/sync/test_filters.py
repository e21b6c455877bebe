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


def test_an_expression_means_what_it_says() -> None:
    assert Filter("value.n == 1 && key.startsWith('k')").matches("k", b'{"n":1}')
    assert not Filter("value.n").matches("k", b'{"n":1}')
    assert Filter("").matches("k", b"{}")
    with pytest.raises(InvalidFilter):
        Filter("value.n ==")
