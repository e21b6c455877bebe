"""One text per value: what survives, what is refused, and that joining a block hides nothing."""

from __future__ import annotations

import pickle

import pytest

from sync.canonical_json import (
    MAX_DEPTH,
    MAX_RECORD_BYTES,
    MAX_VALUE_BYTES,
    InvalidValue,
    canonical,
    check_block,
    plain_object,
)


def refusal(text: bytes | str) -> str:
    with pytest.raises(InvalidValue) as caught:
        canonical(text)
    assert str(caught.value)
    return caught.value.reason


def test_members_are_sorted_by_code_point_and_space_is_dropped() -> None:
    text = ' { "b" : [ 1 , { "z" : null , "a" : true } ] ,\n"a":"x", "\U00010000":1, "\uffff":2 } '
    written = '{"a":"x","b":[1,{"a":true,"z":null}],"\uffff":2,"\U00010000":1}'
    assert canonical(text) == written.encode()
    assert canonical(text.encode()) == written.encode()


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "-0",
        "1",
        "1.0",
        "1.10",
        "1E5",
        "1e5",
        "1e+5",
        "-0.0",
        "0e0",
        "1e-400",
        "9007199254740993",
        "1180591620717411303424",
        "18446744073709551616",
        "-9223372036854775809",
        "0.1000000000000000055511151231257827",
    ],
)
def test_a_number_keeps_its_text(number: str) -> None:
    text = f'{{"a":[{number}],"b":{number}}}'.encode()
    assert canonical(text) == text
    check_block([text, number.encode()])


def test_escapes_are_the_fewest_that_json_allows() -> None:
    text = rb'{"a":"\u0041\/\u00e9\ud83d\ude00\u001F\u000a\u007f\"\\\b\f\r\t"}'
    assert canonical(text) == '{"a":"A/é😀\\u001f\\n\x7f\\"\\\\\\b\\f\\r\\t"}'.encode()


def test_both_paths_write_strings_alike() -> None:
    every = "".join(map(chr, [*range(0x250), 0x2028, 0xD7FF, 0xE000, 0xFEFF, 0xFFFF, 0x1F600]))
    quoted = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in every)
    fast = canonical(f'{{"a":"{quoted}","b":1}}')
    slow = canonical(f'{{"a":"{quoted}","b":1.10}}')
    assert plain_object(fast) is not None
    assert plain_object(slow) is None
    assert fast == slow.replace(b"1.10", b"1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "INVALID_JSON"),
        (b"{", "INVALID_JSON"),
        (b"{}{}", "INVALID_JSON"),
        (b'{"a":1,}', "INVALID_JSON"),
        (b'{"a":01}', "INVALID_JSON"),
        (b'{"a":1.}', "INVALID_JSON"),
        (b'{"a":+1}', "INVALID_JSON"),
        (b'{"a":.5}', "INVALID_JSON"),
        (b"{'a':1}", "INVALID_JSON"),
        (b'{"a":"\n"}', "INVALID_JSON"),
        (b'{"a":"\\x41"}', "INVALID_JSON"),
        (b"\xef\xbb\xbf{}", "INVALID_JSON"),
        (b'{"a":"\xff"}', "INVALID_JSON"),
        (b'{"a":"\xed\xa0\x80"}', "INVALID_JSON"),
        ('{"a":1٣}', "INVALID_JSON"),
        (b"[]", "NOT_AN_OBJECT"),
        (b"1.10", "NOT_AN_OBJECT"),
        (b"null", "NOT_AN_OBJECT"),
        (b'{"a":1,"a":1}', "DUPLICATE_KEY"),
        (b'{"a":1,"\\u0061":2}', "DUPLICATE_KEY"),
        (b'{"x":{"a":1,"b":2,"a":3}}', "DUPLICATE_KEY"),
        (b'{"a":NaN}', "NUMBER_NOT_FINITE"),
        (b'{"a":Infinity}', "NUMBER_NOT_FINITE"),
        (b'{"a":-Infinity}', "NUMBER_NOT_FINITE"),
        (b'{"a":1e400}', "NUMBER_NOT_FINITE"),
        (b'{"a":' + b"1" * 5000 + b"}", "NUMBER_NOT_FINITE"),
        (rb'{"a":"\ud800"}', "LONE_SURROGATE"),
        (rb'{"a":"\udc00\ud800"}', "LONE_SURROGATE"),
        (rb'{"\ud800":1}', "LONE_SURROGATE"),
        ('{"a":"\ud800"}', "LONE_SURROGATE"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "TOO_DEEP"),
        (b"[" * 100_000, "TOO_DEEP"),
        (b'{"a":"' + b"x" * MAX_VALUE_BYTES + b'"}', "VALUE_TOO_LARGE"),
    ],
)
def test_what_is_no_value_is_refused_with_its_reason(text: bytes | str, reason: str) -> None:
    assert refusal(text) == reason


def test_depth_counts_brackets_outside_strings_only() -> None:
    deepest = b'{"a":' * MAX_DEPTH + b"1.50" + b"}" * MAX_DEPTH
    wide = b'{"a":[' + b",".join([b"[]"] * 500) + b"]}"
    quoted = b'{"a":"' + b'{[\\"' * 500 + b'","b":"' + b"[" * 500 + b'"}'
    for text in (deepest, wide, quoted):
        assert canonical(text) == text
        check_block([text])


def test_the_size_limit_is_the_callers_and_inclusive() -> None:
    assert canonical(b'{"a":1}', max_bytes=7) == b'{"a":1}'
    with pytest.raises(InvalidValue, match="at most 6"):
        canonical(b'{"a":1}', max_bytes=6)


def test_hostile_quotes_and_digits_take_linear_time() -> None:
    half = MAX_VALUE_BYTES // 2 - 20
    assert refusal(b'{"a":' + b"[" * 70 + b'"' + b'\\"' * (half - 70)) == "TOO_DEEP"
    assert refusal(b'{"[' + b"[" * 70 + b'\\"' * (half - 70)) == "INVALID_JSON"
    text = b'{"a":0.' + b"1" * half + b"}"
    assert canonical(text) == text


@pytest.mark.parametrize(
    "pieces",
    [
        [b"1,2"],
        [b"[1", b"2]"],
        [b"[1", b"2],3"],
        [b"[1", b"2],[3", b"4]"],
        [b'"a', b'b","c"'],
        [b"],["],
        [b"]", b"["],
        [b""],
        [b"", b""],
        [b"{}", b""],
        [b"{} "],
        [b'{"a":1', b'"b":2},{}'],
        [b'{"b":1,"a":2}'],
        [b'{"a": 1}'],
        [rb'"\u0041"'],
        [b"1,1.10"],
    ],
)
def test_no_piece_of_a_block_hides_behind_its_neighbours(pieces: list[bytes]) -> None:
    with pytest.raises(InvalidValue):
        check_block(pieces)
    with pytest.raises(InvalidValue) as caught:
        check_block([b"{}", *pieces, b"1.10"])
    assert caught.value.index in range(1, 1 + len(pieces))


def test_a_block_may_hold_any_canonical_value_or_none() -> None:
    check_block([])
    check_block([b"{}", b"[]", b"null", b'"a"', b"1", b"1.10", b"true", b'{"a":1E5}'])


def test_a_block_names_the_first_value_refused() -> None:
    with pytest.raises(InvalidValue, match="value 2") as caught:
        check_block([b"{}", b"1.10", b'{"b":1,"a":1}', b"nonsense"])
    assert (caught.value.index, caught.value.reason) == (2, "NOT_CANONICAL")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[" * 65 + b"]" * 65, "TOO_DEEP"),
        (b"[" * 300 + b"]" * 300, "TOO_DEEP"),
        (b'"' + b"x" * MAX_RECORD_BYTES + b'"', "VALUE_TOO_LARGE"),
        (b"1e999", "NUMBER_NOT_FINITE"),
        (rb'"\udfff"', "LONE_SURROGATE"),
    ],
)
def test_a_block_has_the_limits_of_a_value(value: bytes, reason: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_block([b"1", value])
    assert (caught.value.index, caught.value.reason) == (1, reason)


def test_a_refusal_survives_pickling_and_cannot_be_rewritten() -> None:
    refused = InvalidValue("TOO_DEEP", "flatten it", 3)
    copy = pickle.loads(pickle.dumps(refused))
    assert (copy.reason, copy.index, str(copy)) == ("TOO_DEEP", 3, "value 3: flatten it")
    with pytest.raises(AttributeError):
        copy.reason = "OTHER"
