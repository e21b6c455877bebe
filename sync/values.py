"""A record's value: a canonical JSON object, taken apart and put together by its top-level members.

Fields are the top-level members; what is nested inside one is atomic. Members are compared and
copied as text, because Python finds `1`, `1.0` and `true` equal and a replica must not.

Where orjson gives both operands back unchanged, the work is done on its objects; otherwise on the
members' texts. Both give the same bytes and the same refusals.

Invariant: every function returns canonical values, or raises InvalidValue, for any bytes whatever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from sync.canonical_json import (
    MAX_DEPTH,
    MAX_RECORD_BYTES,
    MAX_VALUE_BYTES,
    SORTED,
    InvalidValue,
    Reason,
    canonical,
    check_block,
    check_size,
    deeper,
    exact,
    lone_surrogate,
    not_an_object,
    not_canonical,
    plain_object,
    too_deep,
)

__all__ = [
    "MAX_DEPTH",
    "MAX_INTEGER_DIGITS",
    "MAX_RECORD_BYTES",
    "MAX_VALUE_BYTES",
    "Document",
    "InvalidValue",
    "Reason",
    "add",
    "canonical",
    "check_block",
    "diff",
    "fields",
    "integer",
    "join",
    "merge",
]

# A signed 128-bit counter has 39 digits; so few convert at no cost, far from Python's own limit.
MAX_INTEGER_DIGITS = 40

_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_SHOWN_CHARS = 60  # of a field's name in a message: enough to find it, never a page
# Only positions are wanted from it: numbers stay text, so no digit limit is met.
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)


def fields(value: bytes) -> dict[str, bytes]:
    """The members of a canonical object, each with its exact text, in the order of their names.

    Raises InvalidValue, NOT_CANONICAL or the reason why it is no value at all.
    """
    return _texts(value, _read(value))


def join(fields: Mapping[str, bytes]) -> bytes:
    """The canonical object of these members. Undoes `fields`.

    Raises InvalidValue: for a text that is not one canonical value (`index` is its place in the
    mapping), LONE_SURROGATE for a name, TOO_DEEP or VALUE_TOO_LARGE for the whole.
    """
    check_block(list(fields.values()))
    return _joined(fields)


def merge(value: bytes, sets: bytes, removes: Iterable[str] = ()) -> bytes:
    """`value` without the members named in `removes`, then with those of `sets`.

    A name in both is set. Raises InvalidValue: an operand that is no canonical object, or
    VALUE_TOO_LARGE for the result.
    """
    old, new = _read(value), _read(sets)
    if old is not None and new is not None:
        for name in removes:
            old.pop(name, None)
        old.update(new)
        return _written(old)
    texts = _texts(value, old)
    for name in removes:
        texts.pop(name, None)
    texts.update(_texts(sets, new))
    return _joined(texts)


class Document:
    """A canonical object that is written to many times and read now and then.

    Merging into it costs what is merged, not what is there: its text is made when it is asked for.
    Where orjson does not keep a text, or the size comes near the limit, it is exact and slow.

    Invariant: `text` is what `merge` would have made, one after the other.
    """

    __slots__ = ("_bound", "_members", "_text")

    def __init__(self, text: bytes) -> None:
        self._text: bytes | None = text
        self._members: dict[str, Any] | None = None
        self._bound = len(text)

    @property
    def text(self) -> bytes:
        """The object as it is now."""
        if self._text is None:
            self._text = orjson.dumps(self._members, None, SORTED)
            self._bound = len(self._text)
        return self._text

    @property
    def bound(self) -> int:
        """Bytes of the object, at most."""
        return self._bound

    def merge(self, sets: bytes, *, plain: bool = False) -> list[str]:
        """Sets members; returns their names. `plain` says that orjson keeps the text of `sets`.

        Raises InvalidValue as `merge` does; then nothing has changed.
        """
        bound = self._bound + len(sets)
        if plain and self._members is not None and bound <= MAX_RECORD_BYTES:
            ours = orjson.loads(sets)
            self._members.update(ours)
            self._text, self._bound = None, bound
            return list(ours)
        new = orjson.loads(sets) if plain else _read(sets)
        self._parse()
        if new is None or self._members is None or self._bound + len(sets) > MAX_RECORD_BYTES:
            names = list(fields(sets))
            self.replace(merge(self.text, sets))
            return names
        self._members.update(new)
        self._text, self._bound = None, self._bound + len(sets)
        return list(new)

    def said(self, name: str) -> str | None:
        """The text in a member; None where there is none, or orjson does not keep the object."""
        self._parse()
        found = None if self._members is None else self._members.get(name)
        return found if isinstance(found, str) else None

    def say(self, name: str, text: str, more_bytes: int) -> bool:
        """Sets a member of which `said` has told; the object grows by `more_bytes` at most. False
        where it might become too large: then nothing has changed."""
        assert self._members is not None
        if self._bound + more_bytes > MAX_RECORD_BYTES:
            return False
        self._members[name] = text
        self._text, self._bound = None, self._bound + more_bytes
        return True

    def drop(self, name: str) -> None:
        """Without a member."""
        self._parse()
        if self._members is None:
            self.replace(merge(self.text, b"{}", [name]))
            return
        self._members.pop(name, None)
        self._text = None

    def _parse(self) -> None:
        if self._members is None and self._text is not None:
            self._members = plain_object(self._text)

    def replace(self, text: bytes) -> None:
        """Becomes another object."""
        self._text, self._members, self._bound = text, None, len(text)


def diff(old: bytes, new: bytes) -> tuple[bytes, tuple[str, ...]]:
    """What turns `old` into `new`: the members new or of another text, and the sorted names gone.

    `merge(old, *diff(old, new)) == new`. Raises InvalidValue for an operand that is no canonical
    object.
    """
    before, after = _read(old), _read(new)
    if before is not None and after is not None:
        changed = {
            name: item
            for name, item in after.items()
            if name not in before or _differ(before[name], item)
        }
        return orjson.dumps(changed, None, SORTED), tuple(sorted(before.keys() - after.keys()))
    was, now = _texts(old, before), _texts(new, after)
    texts = {name: text for name, text in now.items() if was.get(name) != text}
    return _joined(texts), tuple(sorted(was.keys() - now.keys()))


def add(value: bytes, deltas: bytes) -> bytes:
    """`value` with each integer of `deltas` added to the member of that name, absent ones being 0.

    Raises InvalidValue: NOT_AN_INTEGER for a member or delta that is none (`1.0` is none),
    NUMBER_TOO_LONG where one or the sum has over MAX_INTEGER_DIGITS digits, or an operand that is
    no canonical object.
    """
    old, more = _read(value), _read(deltas)
    if old is not None and more is not None:
        try:
            return _written(_summed(old, more))
        except orjson.JSONEncodeError:  # a sum beyond 64 bits: only as text
            old = _read(value)
    texts = _texts(value, old)
    for name, delta in _texts(deltas, more).items():
        total = integer(texts.get(name, b"0"), name) + integer(delta, name)
        if abs(total) >= 10**MAX_INTEGER_DIGITS:
            raise _too_long(name)
        texts[name] = b"%d" % total
    return _joined(texts)


def integer(text: bytes, name: str = "") -> int:
    """The integer a member's text says; `name` is the field to speak of in a refusal.

    Raises InvalidValue: NOT_AN_INTEGER, NUMBER_TOO_LONG.
    """
    if _INTEGER.fullmatch(text) is None:
        raise _not_an_integer(name)
    if len(text.removeprefix(b"-")) > MAX_INTEGER_DIGITS:
        raise _too_long(name)
    return int(text)


def _read(value: bytes) -> dict[str, Any] | None:
    """The object where orjson keeps its text, None where only the texts will do.

    Raises InvalidValue unless it is a canonical object.
    """
    check_size(value)
    plain = plain_object(value)
    if plain is None:
        if exact(value) != value:
            raise not_canonical()
        if value[:1] != b"{":
            raise not_an_object()
    return plain


def _texts(value: bytes, plain: dict[str, Any] | None) -> dict[str, bytes]:
    """Each member's text. `value` is canonical, so only `:` and `,` stand between members."""
    if plain is not None:
        return {name: orjson.dumps(item, None, SORTED) for name, item in plain.items()}
    text, at = value.decode(), 1
    texts: dict[str, bytes] = {}
    while text[at] != "}":
        name, colon = _SCANNER.raw_decode(text, at)
        _, end = _SCANNER.raw_decode(text, colon + 1)
        texts[name] = text[colon + 1 : end].encode()
        at = end + 1 if text[end] == "," else end
    return texts


def _written(members: dict[str, Any]) -> bytes:
    written = orjson.dumps(members, None, SORTED)
    check_size(written)
    return written


def _joined(texts: Mapping[str, bytes]) -> bytes:
    try:
        joined = _written({name: orjson.Fragment(text) for name, text in texts.items()})
    except orjson.JSONEncodeError:
        raise lone_surrogate() from None
    if too_deep(joined):
        raise deeper()
    return joined


def _differ(one: Any, other: Any) -> bool:
    # Equal strings have equal texts; equal numbers (1, 1.0, true), and what holds them, need not.
    return bool(one != other) or (type(one) is not str and orjson.dumps(one) != orjson.dumps(other))


def _summed(members: dict[str, Any], deltas: dict[str, Any]) -> dict[str, Any]:
    for name, delta in deltas.items():
        total = members.get(name, 0)
        if type(total) is not int or type(delta) is not int:  # bool is an int to Python, not to us
            raise _not_an_integer(name)
        members[name] = total + delta
    return members


def _not_an_integer(name: str) -> InvalidValue:
    return InvalidValue(
        "NOT_AN_INTEGER",
        f"field {name[:_SHOWN_CHARS]!r}: only integers are added to, and added; put it instead",
    )


def _too_long(name: str) -> InvalidValue:
    return InvalidValue(
        "NUMBER_TOO_LONG",
        f"field {name[:_SHOWN_CHARS]!r}: over {MAX_INTEGER_DIGITS} digits; split the counter",
    )
