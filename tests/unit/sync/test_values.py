"""Members taken apart, merged, compared by text, and added to."""

from __future__ import annotations

import pytest

from sync.canonical_json import MAX_RECORD_BYTES, InvalidValue
from sync.values import MAX_INTEGER_DIGITS, add, diff, fields, integer, join, merge

LONGEST = b"9" * MAX_INTEGER_DIGITS


def test_fields_keep_each_members_text() -> None:
    value = '{"":[],"a":1.10,"b":{"x":[1E5,"},"]},"é\\"":"\\\\"}'.encode()
    parts = {"": b"[]", "a": b"1.10", "b": b'{"x":[1E5,"},"]}', 'é"': b'"\\\\"'}
    assert fields(value) == parts
    assert join(parts) == value
    assert join(dict(reversed(parts.items()))) == value


def test_an_empty_object_has_no_fields() -> None:
    assert fields(b"{}") == {}
    assert join({}) == b"{}"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[]", "NOT_AN_OBJECT"),
        (b"1.10", "NOT_AN_OBJECT"),
        (b'{"b":1,"a":2}', "NOT_CANONICAL"),
        (b'{"a":1.10 }', "NOT_CANONICAL"),
        (b"", "INVALID_JSON"),
        (b'{"a":"' + b"x" * MAX_RECORD_BYTES + b'"}', "VALUE_TOO_LARGE"),
    ],
)
def test_every_function_refuses_what_is_no_canonical_object(value: bytes, reason: str) -> None:
    for call in (
        lambda: fields(value),
        lambda: merge(value, b"{}"),
        lambda: merge(b"{}", value),
        lambda: diff(value, b"{}"),
        lambda: diff(b'{"a":1.10}', value),
        lambda: add(value, b"{}"),
        lambda: add(b"{}", value),
    ):
        with pytest.raises(InvalidValue) as caught:
            call()
        assert caught.value.reason == reason


@pytest.mark.parametrize("text", [b"", b" 1", b'1,"z":2', b'{"b":1,"a":2}', b"NaN"])
def test_join_takes_only_canonical_texts(text: bytes) -> None:
    with pytest.raises(InvalidValue) as caught:
        join({"a": b"1", "b": text})
    assert caught.value.index == 1


def test_join_refuses_what_is_too_deep_as_a_whole_and_names_that_utf8_cannot_write() -> None:
    with pytest.raises(InvalidValue, match="deeper"):
        join({"a": b"[" * 64 + b"]" * 64})
    with pytest.raises(InvalidValue, match="surrogate"):
        join({"\ud800": b"1"})


@pytest.mark.parametrize("odd", [b"2", b"2.50"])
def test_merge_sets_removes_and_keeps_the_rest(odd: bytes) -> None:
    value = b'{"a":1,"b":' + odd + b',"c":{"x":1},"d":4}'
    merged = merge(value, b'{"c":{"y":1E2},"e":5}', ["a", "absent"])
    assert merged == b'{"b":' + odd + b',"c":{"y":1E2},"d":4,"e":5}'
    assert merge(value, b'{"a":9}', ["a"]) == value.replace(b'"a":1', b'"a":9')
    assert merge(value, b"{}") == value


def test_a_merge_may_not_outgrow_a_record() -> None:
    half = b"x" * (MAX_RECORD_BYTES // 2)
    one, other = b'{"a":"' + half + b'"}', b'{"b":"' + half + b'"}'
    for left, right in ((one, other), (join({**fields(one), "n": b"1.0e1"}), other)):
        with pytest.raises(InvalidValue) as caught:
            merge(left, right)
        assert caught.value.reason == "VALUE_TOO_LARGE"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"1", b"1.0"), (b"1", b"true"), (b"0", b"false"), (b"0.0", b"-0.0"), (b"[1]", b"[1.0]"),
     (b"1", b"1.00"), (b"1e2", b"1E2"), (b'{"x":1}', b'{"x":true}')],
)  # fmt: skip
def test_diff_goes_by_text_where_python_would_find_them_equal(old: bytes, new: bytes) -> None:
    before, after = b'{"a":' + old + b',"z":0}', b'{"a":' + new + b',"z":0}'
    assert diff(before, after) == (b'{"a":' + new + b"}", ())
    assert diff(before, before) == (b"{}", ())


def test_diff_names_what_is_gone_in_order() -> None:
    assert diff(b'{"a":1,"b":1,"c":1}', b'{"b":1,"d":2}') == (b'{"d":2}', ("a", "c"))
    assert diff(b'{"a":1,"b":1.10,"c":1}', b'{"b":1.10,"d":2}') == (b'{"d":2}', ("a", "c"))


@pytest.mark.parametrize("odd", [b"2", b"2.50"])
def test_add_counts_from_zero_and_leaves_the_rest(odd: bytes) -> None:
    value = b'{"n":5,"other":' + odd + b"}"
    assert add(value, b'{"m":3,"n":-7}') == b'{"m":3,"n":-2,"other":' + odd + b"}"
    assert add(value, b"{}") == value


def test_add_is_exact_beyond_every_machine_integer() -> None:
    assert add(b'{"n":9007199254740993}', b'{"n":1}') == b'{"n":9007199254740994}'
    assert add(b'{"n":18446744073709551615}', b'{"n":1}') == b'{"n":18446744073709551616}'
    assert add(b'{"n":18446744073709551616}', b'{"n":-1}') == b'{"n":18446744073709551615}'
    assert add(b'{"n":-9223372036854775808}', b'{"n":-1}') == b'{"n":-9223372036854775809}'
    assert add(b'{"n":-0}', b'{"n":-0}') == b'{"n":0}'


@pytest.mark.parametrize("text", [b"1.0", b"1e3", b"true", b"null", b'"1"', b"[1]", b"1.10"])
def test_add_needs_integers_on_both_sides(text: bytes) -> None:
    for value, deltas in ((b'{"n":' + text + b"}", b'{"n":1}'), (b"{}", b'{"n":' + text + b"}")):
        with pytest.raises(InvalidValue, match="'n'") as caught:
            add(value, deltas)
        assert caught.value.reason == "NOT_AN_INTEGER"


@pytest.mark.parametrize(
    ("value", "delta"),
    [(LONGEST, b"1"), (b"-" + LONGEST, b"-1"), (LONGEST + b"0", b"0"), (b"0", b"1" + LONGEST)],
)
def test_integers_are_at_most_forty_digits(value: bytes, delta: bytes) -> None:
    with pytest.raises(InvalidValue) as caught:
        add(b'{"n":' + value + b"}", b'{"n":' + delta + b"}")
    assert caught.value.reason == "NUMBER_TOO_LONG"
    assert add(b'{"n":-' + LONGEST + b"}", b'{"n":' + LONGEST + b"}") == b'{"n":0}'


def test_an_integer_is_read_from_its_text() -> None:
    assert [integer(text) for text in (b"0", b"-0", b"-12", LONGEST)] == [0, 0, -12, int(LONGEST)]
    for text in (b"", b"1.0", b"+1", b"01", b" 1", b"1\n", b"1" * 5000):
        with pytest.raises(InvalidValue):
            integer(text)
