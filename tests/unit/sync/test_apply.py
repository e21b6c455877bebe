"""What an operation does to a value, where it fits and where it does not."""

from __future__ import annotations

import pytest

from sync.apply import apply, fields_of, names_of, removal
from sync.commit import Kind
from sync.values import InvalidValue

LIVE = b'{"n":1,"x":1}'


@pytest.mark.parametrize(
    ("kind", "payload", "absent", "live"),
    [
        (Kind.NONE, b"", None, LIVE),
        (Kind.CREATE, b'{"x":2}', b'{"x":2}', b'{"n":1,"x":2}'),
        (Kind.REPLACE, b'{"x":2}', b'{"x":2}', b'{"x":2}'),
        (Kind.PATCH, b'{"x":2}', None, b'{"n":1,"x":2}'),
        (Kind.PATCH, b"{}", None, LIVE),
        (Kind.REMOVE, b'["x","y"]', None, b'{"n":1}'),
        (Kind.REMOVE, b"[]", None, LIVE),
        (Kind.DELETE, b"", None, None),
        (Kind.ADD, b'{"n":2,"y":-1}', None, b'{"n":3,"x":1,"y":-1}'),
        (Kind.ADD_CREATE, b'{"n":2}', b'{"n":2}', b'{"n":3,"x":1}'),
    ],
)
def test_every_kind_on_a_record_and_on_none(
    kind: Kind, payload: bytes, absent: bytes | None, live: bytes | None
) -> None:
    assert apply(kind, payload, None) == absent
    assert apply(kind, payload, LIVE) == live


def test_every_kind_is_known() -> None:
    with pytest.raises(AssertionError):
        apply(99, b"", LIVE)


@pytest.mark.parametrize(
    ("kind", "payload", "reason"),
    [
        (Kind.ADD, b'{"x":"1"}', "NOT_AN_INTEGER"),
        (Kind.ADD, b'{"n":1.5}', "NOT_AN_INTEGER"),
        (Kind.ADD, b"[1]", "NOT_AN_OBJECT"),
        (Kind.PATCH, b"[1]", "NOT_AN_OBJECT"),
        (Kind.PATCH, b'{"b":1,"a":1}', "NOT_CANONICAL"),
        (Kind.REMOVE, b'{"x":1}', "MALFORMED_EDIT"),
        (Kind.REMOVE, b"[1]", "MALFORMED_EDIT"),
        (Kind.REMOVE, b"[", "MALFORMED_EDIT"),
        (Kind.REMOVE, b"\xff", "MALFORMED_EDIT"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_as_a_value_is(
    kind: Kind, payload: bytes, reason: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        apply(kind, payload, LIVE)
    assert caught.value.reason == reason


@pytest.mark.promise("merge.numbers-survive")
def test_numbers_keep_their_text_on_the_way_through() -> None:
    value = b'{"a":9007199254740993,"b":1.10,"n":1}'
    assert (
        apply(Kind.PATCH, b'{"c":1.0}', value) == value[:-1].replace(b'"n"', b'"c":1.0,"n"') + b"}"
    )
    big = b'{"n":170141183460469231731687303715884105727}'
    assert apply(Kind.ADD, b'{"n":1}', big) == b'{"n":170141183460469231731687303715884105728}'


def test_removals_are_sorted_and_read_back() -> None:
    payload = removal({"b", "a", 'q"'})
    assert payload == b'["a","b","q\\""]'
    assert names_of(payload) == ["a", "b", 'q"'] == fields_of(Kind.REMOVE, payload)
    assert fields_of(Kind.PATCH, b'{"a":1,"b":2}') == ["a", "b"]
