"""Values, for any bytes: one text each, two paths that agree, and only InvalidValue raised."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import values
from sync.canonical_json import InvalidValue, canonical, check_block, exact

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | st.sampled_from("abcde")
INTEGERS = st.integers(-(10**22), 10**22).map(str)
NUMBERS = INTEGERS | st.from_regex(
    r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z",
    alphabet="-+.eE0123456789",
).filter(lambda text: not math.isinf(float(text)))
SCALARS = NUMBERS | NAMES.map(json.dumps) | st.sampled_from(["true", "false", "null"])


def _object(members: dict[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in members.items()) + "}"


def _list(items: list[str]) -> str:
    return "[ " + ", ".join(items) + "]"


TEXTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(_list)
        | st.dictionaries(NAMES, inner, max_size=3).map(_object)
    ),
    max_leaves=12,
)
LOOSE = st.dictionaries(NAMES, TEXTS, max_size=5).map(_object)
OBJECTS = LOOSE.map(canonical)
COUNTERS = (
    st.dictionaries(st.sampled_from("abcde"), INTEGERS, max_size=4).map(_object).map(canonical)
)
BROKEN = st.text(st.sampled_from('{}[]",:\\ 01-.eEau\x00\ud800'), max_size=12).map(
    lambda text: text.encode(errors="surrogatepass")
)
PIECES = st.lists(BROKEN | TEXTS.map(str.encode) | OBJECTS, max_size=4)


def only_texts() -> Any:
    """Every operand goes the way of texts, as if orjson kept none of them."""
    return mock.patch.object(values, "plain_object", return_value=None)


def answer(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except InvalidValue as refused:
        return refused.reason


@given(LOOSE)
def test_canonical_says_the_same_in_one_text_that_everyone_reads(text: str) -> None:
    written = canonical(text)
    assert canonical(written) == written == exact(written)
    assert exact(text.encode()) == written
    kept = json.JSONDecoder(parse_int=str, parse_float=str)
    assert kept.decode(written.decode()) == kept.decode(text)
    orjson.loads(written)


@given(st.binary(max_size=40) | BROKEN | st.text(max_size=20))
def test_nothing_but_invalid_value_comes_of_any_bytes(text: bytes | str) -> None:
    answer(lambda: canonical(text))
    raw = text if isinstance(text, bytes) else text.encode()
    answer(lambda: check_block([raw]))
    for call in (values.merge, values.diff, values.add):
        answer(partial(call, raw, b"{}"))
        answer(partial(call, b'{"a":1.10}', raw))
    answer(lambda: values.join({"a": raw}))


@given(BROKEN)
def test_what_canonical_accepts_is_json_by_the_standard_library(raw: bytes) -> None:
    written = answer(lambda: canonical(raw))
    if isinstance(written, bytes):
        assert json.loads(written) == json.loads(raw)


@given(PIECES)
def test_a_block_is_good_exactly_if_each_value_alone_is(pieces: list[bytes]) -> None:
    def good(piece: bytes) -> bool:
        return answer(lambda: exact(piece)) == piece

    refused = [index for index, piece in enumerate(pieces) if not good(piece)]
    if not refused:
        check_block(pieces)
        return
    with pytest.raises(InvalidValue) as caught:
        check_block(pieces)
    assert caught.value.index == refused[0]


@given(st.lists(OBJECTS, min_size=1, max_size=4), st.data())
def test_a_block_cut_elsewhere_is_refused(block: list[bytes], data: st.DataObject) -> None:
    joined = b",".join(block)
    commas = [at for at, byte in enumerate(joined) if byte == ord(",")]
    cuts = data.draw(st.lists(st.sampled_from(commas), unique=True).map(sorted)) if commas else []
    starts, ends = [0, *(at + 1 for at in cuts)], [*cuts, len(joined)]
    pieces = [joined[start:end] for start, end in zip(starts, ends, strict=True)]
    accepted = isinstance(answer(lambda: check_block(pieces)), bool)
    assert accepted == (pieces == block)


@given(OBJECTS)
def test_join_undoes_fields(value: bytes) -> None:
    assert values.join(values.fields(value)) == value


@given(OBJECTS, OBJECTS)
def test_merge_of_the_difference_gives_the_new_value(old: bytes, new: bytes) -> None:
    sets, removes = values.diff(old, new)
    assert values.merge(old, sets, removes) == new
    assert (sets == b"{}" and not removes) == (old == new)


@given(OBJECTS, OBJECTS, st.lists(NAMES, max_size=3))
def test_merge_is_what_it_says_of_the_members(
    value: bytes, sets: bytes, removes: list[str]
) -> None:
    kept = {n: text for n, text in values.fields(value).items() if n not in removes}
    assert values.fields(values.merge(value, sets, removes)) == {**kept, **values.fields(sets)}


@given(OBJECTS | COUNTERS, OBJECTS | COUNTERS, st.lists(NAMES, max_size=3))
def test_both_paths_answer_alike(one: bytes, other: bytes, removes: list[str]) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: values.fields(one),
        lambda: values.merge(one, other, removes),
        lambda: values.diff(one, other),
        lambda: values.add(one, other),
    ]
    for call in calls:
        fast = answer(call)
        with only_texts():
            assert answer(call) == fast


@given(COUNTERS, st.lists(COUNTERS, max_size=4), st.randoms(use_true_random=False))
def test_deltas_add_up_in_any_order(value: bytes, deltas: list[bytes], random: Any) -> None:
    expected = {name: int(text) for name, text in values.fields(value).items()}
    for delta in deltas:
        for name, text in values.fields(delta).items():
            expected[name] = expected.get(name, 0) + int(text)
    random.shuffle(deltas)
    for delta in deltas:
        value = values.add(value, delta)
    assert {name: int(text) for name, text in values.fields(value).items()} == expected


@given(OBJECTS, st.lists(st.tuples(OBJECTS, st.booleans()), max_size=5))
def test_a_document_is_what_merging_one_after_the_other_makes(
    value: bytes, writes: list[tuple[bytes, bool]]
) -> None:
    document, expected = values.Document(value), value
    for sets, read in writes:
        plain = check_block([sets])
        assert sorted(document.merge(sets, plain=plain)) == sorted(values.fields(sets))
        expected = values.merge(expected, sets)
        if read:
            assert document.text == expected
    assert document.text == expected


@given(OBJECTS, OBJECTS)
def test_a_document_that_orjson_would_change_is_merged_by_its_texts(
    value: bytes, sets: bytes
) -> None:
    with only_texts():
        document = values.Document(value)
        document.merge(sets)
        assert document.text == values.merge(value, sets)
