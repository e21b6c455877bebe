"""Members that are more than a value: sets, watermarks and siblings.

A set is an array of its elements in the order of their texts, each once. Elements are compared as
text, like all members. A watermark is a number, compared exactly.

Invariant: every function returns canonical text, or raises InvalidValue, for any bytes whatever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

import orjson

from sync import values
from sync.values import InvalidValue

MAX_ELEMENTS = 4_096
"""Elements of a set: of each the hub keeps who added it."""

SIBLINGS = "$siblings"
"""The only member of a field that holds several values."""

# Only positions are wanted from it: numbers stay text, so no digit limit is met.
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)


def elements(text: bytes) -> list[bytes]:
    """The elements of a set, in the order of their texts, each once.

    Raises InvalidValue: NOT_A_SET for what is no array, VALUE_TOO_LARGE for too many elements.
    """
    if text[:1] != b"[":
        raise InvalidValue("NOT_A_SET", "the field holds no array of elements")
    found = sorted(set(items(text)))
    if len(found) > MAX_ELEMENTS:
        raise InvalidValue(
            "VALUE_TOO_LARGE",
            f"{len(found)} elements, at most {MAX_ELEMENTS}; make each a record of its own",
        )
    return found


def array(items: Iterable[bytes]) -> bytes:
    """The array of these texts."""
    return b"[" + b",".join(items) + b"]"


def set_add(value: bytes, more: bytes) -> bytes:
    """`value` with the elements that `more` names for each of its fields."""
    fields = values.fields(value)
    for name, new in values.fields(more).items():
        had = elements(fields[name]) if name in fields else []
        fields[name] = _bounded([*had, *elements(new)])
    return values.join(fields)


def set_remove(value: bytes, gone: bytes) -> bytes:
    """`value` without the elements that `gone` names for each of its fields."""
    fields = values.fields(value)
    for name, old in values.fields(gone).items():
        if name in fields:
            names = set(elements(old))
            fields[name] = array(one for one in elements(fields[name]) if one not in names)
    return values.join(fields)


def join_numbers(value: bytes, marks: bytes, *, greatest: bool) -> bytes:
    """`value` with the greater, or lesser, of its number and that of `marks` for each field."""
    fields = values.fields(value)
    for name, mark in values.fields(marks).items():
        had = fields.get(name)
        fields[name] = mark if had is None else further(had, mark, greatest=greatest)
    return values.join(fields)


def further(had: bytes, mark: bytes, *, greatest: bool) -> bytes:
    """The greater, or lesser, of two numbers; `had` if they are equal. Raises InvalidValue."""
    old, new = number(had), number(mark)
    moved = new > old if greatest else new < old
    return mark if moved else had


def number(text: bytes) -> Decimal:
    """The exact number that a member's text says. Raises InvalidValue NOT_A_NUMBER."""
    if not text or text[:1] not in b"-0123456789":
        raise InvalidValue("NOT_A_NUMBER", "a watermark is a number")
    try:
        return Decimal(text.decode())
    except InvalidOperation:
        raise InvalidValue("NOT_A_NUMBER", "a number with too great an exponent") from None


def siblings(text: bytes) -> list[bytes]:
    """The values that a field shows: several siblings, or the only one."""
    opening = b'{"' + SIBLINGS.encode() + b'":['
    if not text.startswith(opening):
        return [text]
    members = values.fields(text)
    return items(members[SIBLINGS]) if set(members) == {SIBLINGS} else [text]


def shown_siblings(texts: list[bytes]) -> bytes:
    """How a field shows these values. Raises InvalidValue VALUE_TOO_LARGE."""
    if len(texts) == 1:
        return texts[0]
    return values.join({SIBLINGS: array(texts)})


def _bounded(items: list[bytes]) -> bytes:
    return array(elements(array(items)))


def items(text: bytes) -> list[bytes]:
    """The texts of an array's elements."""
    try:
        found = [orjson.dumps(item, None, orjson.OPT_SORT_KEYS) for item in orjson.loads(text)]
        if array(found) == text:
            return found
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass
    characters, at = text.decode(), 1
    found = []
    while characters[at] != "]":
        _, end = _SCANNER.raw_decode(characters, at)
        found.append(characters[at:end].encode())
        at = end + 1 if characters[end] == "," else end
    return found
