"""What was asked, reduced to what it changes."""

from __future__ import annotations

import pytest

from sync.apply import apply
from sync.commit import Kind
from sync.policy import DEFAULT, CollectionPolicy, Granularity, Rule, Ruling
from sync.reduce import Add, Delete, Patch, Put, Request, RuleMismatch, reduce
from sync.values import InvalidValue

COUNTER = CollectionPolicy(fields={"n": Ruling(Rule.COUNTER)})
RECORD = CollectionPolicy(granularity=Granularity.RECORD)
LIVE = b'{"n":3,"x":1,"y":2}'


def put(value: bytes) -> Put:
    return Put("robots", "r1", value)


def patch(sets: bytes, *removes: str) -> Patch:
    return Patch("robots", "r1", sets, removes)


def shape(
    request: Request, live: bytes | None, policy: CollectionPolicy = DEFAULT
) -> list[tuple[Kind, bytes]]:
    ops = reduce(request, live, policy)
    assert all((op.collection, op.key) == ("robots", "r1") for op in ops)
    return [(op.kind, op.payload) for op in ops]


@pytest.mark.promise("concurrent.put-is-difference")
def test_a_put_is_the_difference_from_what_was_seen() -> None:
    assert shape(put(LIVE), None) == [(Kind.CREATE, LIVE)]
    assert shape(put(b'{"n":3,"x":9,"z":0}'), LIVE) == [
        (Kind.REMOVE, b'["y"]'),
        (Kind.PATCH, b'{"x":9,"z":0}'),
    ]
    assert shape(put(b'{"n":3,"x":1}'), LIVE) == [(Kind.REMOVE, b'["y"]')]
    assert shape(put(b'{"n":3,"x":1.0,"y":2}'), LIVE) == [(Kind.PATCH, b'{"x":1.0}')]


def test_a_put_of_the_same_is_still_a_write() -> None:
    assert shape(put(LIVE), LIVE) == [(Kind.PATCH, b"{}")]


def test_a_patch_sets_and_removes_and_begins_what_is_absent() -> None:
    assert shape(patch(b'{"x":9}', "y", "gone"), LIVE) == [
        (Kind.REMOVE, b'["gone","y"]'),
        (Kind.PATCH, b'{"x":9}'),
    ]
    assert shape(patch(b'{"x":9}', "y"), None) == [(Kind.CREATE, b'{"x":9}')]
    assert shape(patch(b"{}"), LIVE) == [(Kind.PATCH, b"{}")]


def test_deleting_is_deleting() -> None:
    assert shape(Delete("robots", "r1"), LIVE) == [(Kind.DELETE, b"")]
    assert shape(Delete("robots", "r1"), None) == [(Kind.DELETE, b"")]


def test_an_addition_begins_what_is_absent() -> None:
    add = Add("robots", "r1", b'{"n":2}')
    assert shape(add, LIVE, COUNTER) == [(Kind.ADD, b'{"n":2}')]
    assert shape(add, None, COUNTER) == [(Kind.ADD_CREATE, b'{"n":2}')]


@pytest.mark.promise("concurrent.put-is-difference")
def test_on_a_counter_the_difference_is_added() -> None:
    assert shape(put(b'{"n":10,"x":1,"y":2}'), LIVE, COUNTER) == [(Kind.ADD, b'{"n":7}')]
    assert shape(patch(b'{"n":-1,"x":5}'), LIVE, COUNTER) == [
        (Kind.PATCH, b'{"x":5}'),
        (Kind.ADD, b'{"n":-4}'),
    ]


def test_a_counter_in_a_new_record_is_added_without_needing_that_one_to_be_new() -> None:
    """As a plain addition it was lost when another had begun the record meanwhile."""
    assert shape(put(b'{"n":10,"x":1}'), None, COUNTER) == [
        (Kind.CREATE, b'{"x":1}'),
        (Kind.ADD_CREATE, b'{"n":10}'),
    ]


def test_a_field_that_becomes_a_counter_may_be_removed_and_begun() -> None:
    assert shape(put(b'{"x":1,"y":2}'), LIVE, COUNTER) == [(Kind.REMOVE, b'["n"]')]


def test_where_fields_belong_together_the_whole_record_is_written() -> None:
    assert shape(put(b'{"x":9}'), LIVE, RECORD) == [(Kind.REPLACE, b'{"x":9}')]
    assert shape(patch(b'{"x":9}', "y"), LIVE, RECORD) == [(Kind.REPLACE, b'{"n":3,"x":9}')]


def test_a_new_whole_record_says_that_none_was_seen() -> None:
    assert shape(put(b'{"x":9}'), None, RECORD) == [(Kind.CREATE, b'{"x":9}')]
    assert shape(patch(b'{"x":9}'), None, RECORD) == [(Kind.CREATE, b'{"x":9}')]


def test_adding_to_what_is_no_counter_is_refused_with_the_remedy() -> None:
    for policy in (DEFAULT, RECORD, COUNTER):
        with pytest.raises(RuleMismatch, match="counter") as caught:
            reduce(Add("robots", "r1", b'{"x":1}'), LIVE, policy)
        assert caught.value.reason == "RULE_MISMATCH"


@pytest.mark.parametrize(
    ("request_", "live"),
    [
        (Add("robots", "r1", b'{"n":1.5}'), LIVE),
        (Add("robots", "r1", b'{"n":"1"}'), None),
        (Add("robots", "r1", b'{"n":1}'), b'{"n":"many"}'),
        (put(b'{"n":1.5}'), LIVE),
        (put(b'{"n":null}'), None),
    ],
)
def test_a_counter_that_is_no_integer_is_refused(request_: Request, live: bytes | None) -> None:
    with pytest.raises(InvalidValue) as caught:
        reduce(request_, live, COUNTER)
    assert caught.value.reason == "NOT_AN_INTEGER"


@pytest.mark.parametrize("policy", [DEFAULT, COUNTER, RECORD])
@pytest.mark.parametrize("live", [None, LIVE, b"{}", b'{"y":1.50,"z":[1]}'])
@pytest.mark.parametrize("wanted", [LIVE, b"{}", b'{"n":0}', b'{"x":2,"z":[1.0]}'])
def test_what_a_put_means_is_what_its_operations_do(
    wanted: bytes, live: bytes | None, policy: CollectionPolicy
) -> None:
    value = live
    for op in reduce(put(wanted), live, policy):
        value = apply(op.kind, op.payload, value)
    assert value == wanted
