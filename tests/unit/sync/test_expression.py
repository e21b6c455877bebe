"""Expressions of strangers: what is refused when it is written, and what gives no answer."""

from __future__ import annotations

import pytest

from sync.expression import MAX_INPUT_BYTES, Expression, Failed, InvalidExpression

NAMES = ("ours", "theirs")


@pytest.mark.parametrize(
    "text",
    [
        "", "ours +", "yours", "ours " + "+ 1" * 90, "ours.map(x, x)",
        "ours.all(x, theirs.all(y, x == y))", "ours.all(x, size(ours + ours + ours) > 0)",
        "ours.all(x, size([ours, ours]) > 0)", "ours.all(x, {'a': ours} != {})",
        "size(" + "+".join(["ours"] * 18) + ") > 0",
    ],
)  # fmt: skip
def test_what_could_hold_the_interpreter_is_refused_when_it_is_written(text: str) -> None:
    with pytest.raises(InvalidExpression):
        Expression(text, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "ours.all(x, x > 0) ? ours : theirs", "ours.exists(x, x in ['a', '+', 'map('])",
        "ours > theirs ? ours : theirs", "'[ours + ours + ours]' == ours",
    ],
)  # fmt: skip
def test_what_people_write_is_taken(text: str) -> None:
    Expression(text, NAMES)


def test_inputs_are_bounded_exact_and_not_changed() -> None:
    expression = Expression("ours", NAMES)
    for text in (b"1", b"1.0", b'{"a":[1,null,true]}', b"-9223372036854775808"):
        assert expression.written({"ours": text}) == text
    for text in (b"9223372036854775808", b"1.10", b'["' + b"a" * MAX_INPUT_BYTES + b'"]'):
        with pytest.raises(Failed):
            expression.written({"ours": text})
    assert Expression("theirs", NAMES).written({"ours": b"1.10", "theirs": b"1"}) == b"1"


def test_a_result_that_is_no_json_is_no_answer() -> None:
    for text in ("b'x'", "1.0 / 0.0", "duration('1s')", "{1: 2}", "9223372036854775807 + 1"):
        with pytest.raises(Failed):
            Expression(text, NAMES).written({})
