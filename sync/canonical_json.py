"""The one text a JSON value may have: sorted keys, no white space, numbers as they were written.

Replicas compare, hash and merge values as bytes, so equal bytes must be the only way to be equal.
Most parsers lose what a number said (`1.10`, 2^70 in digits, `1` against `1.0`); here it survives,
because a number is copied as text and never computed with.

Two paths give one answer. The fast one asks orjson to read and write the bytes again: what comes
back unchanged is canonical, since orjson writes nothing else. Whatever it would change goes the
exact path, which reads with the standard library, keeps each number's text, and lets orjson write
the strings.

Invariant: what leaves here is one JSON value in UTF-8, at most MAX_DEPTH deep, that orjson can
read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

import orjson

MAX_VALUE_BYTES = 256 * 1024
"""Of what one request writes into one record; larger things are blobs."""

MAX_RECORD_BYTES = MAX_VALUE_BYTES
"""Of what a record becomes by many writes. What a conflict tells is four of them, and one may be as
large as a whole commit: all that has to fit a message."""

# Well below what any reader's stack bears (orjson writes 254 levels); people nest by the handful.
MAX_DEPTH = 64

SORTED = orjson.OPT_SORT_KEYS

Reason = Literal[
    "INVALID_JSON",
    "NOT_AN_OBJECT",
    "DUPLICATE_KEY",
    "NUMBER_NOT_FINITE",
    "LONE_SURROGATE",
    "TOO_DEEP",
    "VALUE_TOO_LARGE",
    "NUMBER_TOO_LONG",
    "NOT_CANONICAL",
    "NOT_AN_INTEGER",
    "NOT_A_NUMBER",
    "NOT_A_SET",
    "MALFORMED_EDIT",
    "SPLICE_MISMATCH",
]

# A whole string (or the rest of the text, if it never ends) or one bracket. Possessive, so that
# hostile quotes and backslashes are each read once.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


class InvalidValue(ValueError):
    """A value that cannot be stored; the message says what to change.

    `reason` is for programs. `index` is the place in the block that was checked, None for a single
    value.
    """

    def __init__(self, reason: Reason, message: str, index: int | None = None) -> None:
        super().__init__(reason, message, index)
        self._reason: Reason = reason
        self._message = message
        self._index = index

    @property
    def reason(self) -> Reason:
        return self._reason

    @property
    def index(self) -> int | None:
        return self._index

    def at(self, index: int) -> InvalidValue:
        """The same refusal, placed in a block."""
        return InvalidValue(self._reason, self._message, index)

    def __str__(self) -> str:
        return self._message if self._index is None else f"value {self._index}: {self._message}"


def canonical(text: bytes | str, *, max_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """The canonical text of one JSON object. `max_bytes` bounds the input, which never grows.

    Raises InvalidValue: VALUE_TOO_LARGE, INVALID_JSON, NOT_AN_OBJECT, DUPLICATE_KEY,
    NUMBER_NOT_FINITE, LONE_SURROGATE, TOO_DEEP.
    """
    raw = _encoded(text) if isinstance(text, str) else text
    check_size(raw, max_bytes)
    if plain_object(raw) is not None:
        return raw
    written = exact(raw)
    if written[:1] != b"{":
        raise not_an_object()
    return written


def canonical_value(text: str) -> bytes:
    """The canonical text of one JSON value of any kind.

    Raises InvalidValue as `canonical` does.
    """
    raw = _encoded(text)
    check_size(raw, MAX_VALUE_BYTES)
    return raw if _is_plain_block([raw]) else exact(raw)


def check_block(values: Sequence[bytes]) -> bool:
    """Whether orjson keeps all of these texts; if not, they are canonical all the same.

    Raises InvalidValue, with the index, unless each value by itself is one canonical JSON value.

    Each piece is compared with what orjson writes for one element of the joined array. Equality
    proves the piece canonical whatever the joining did to its neighbours: `[1` and `2],3` join to
    two elements, but are the text of neither.
    """
    plain = _is_plain_block(values)
    if not plain:
        for index, value in enumerate(values):
            try:
                check_value(value)
            except InvalidValue as refused:
                raise refused.at(index) from None
    return plain


def check_value(value: bytes) -> None:
    """Raises InvalidValue unless this is one canonical JSON value of any kind."""
    check_size(value)
    if _is_plain_block([value]):
        return
    if exact(value) != value:
        raise not_canonical()


def check_size(value: bytes, max_bytes: int = MAX_RECORD_BYTES) -> None:
    """Raises InvalidValue VALUE_TOO_LARGE above `max_bytes`."""
    check_bytes(len(value), max_bytes)


def check_bytes(size: int, max_bytes: int = MAX_RECORD_BYTES) -> None:
    """Raises InvalidValue VALUE_TOO_LARGE if a value of this size is above `max_bytes`."""
    if size > max_bytes:
        raise InvalidValue(
            "VALUE_TOO_LARGE",
            f"{size} bytes, at most {max_bytes}; split it, or store it as a blob",
        )


def plain_object(raw: bytes) -> dict[str, Any] | None:
    """The object, if orjson reads and writes it without changing a byte and it is not too deep.

    Else None, which says nothing about validity: the exact path decides.
    """
    try:
        parsed = orjson.loads(raw)
        if type(parsed) is not dict or orjson.dumps(parsed, None, SORTED) != raw:
            return None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return None if too_deep(raw) else parsed


def exact(raw: bytes) -> bytes:
    """The canonical text of any JSON value, number texts kept. Raises InvalidValue."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidValue(
            "INVALID_JSON", f"byte {error.start} is not UTF-8; encode the text as UTF-8"
        ) from None
    if too_deep(raw):
        raise deeper()
    try:
        return orjson.dumps(_EXACT.decode(text), None, SORTED)
    except json.JSONDecodeError as error:
        raise InvalidValue("INVALID_JSON", f"{error}; send one JSON value") from None
    except orjson.JSONEncodeError:
        raise lone_surrogate() from None


def too_deep(raw: bytes) -> bool:
    """Whether brackets outside strings nest deeper than MAX_DEPTH.

    Exact as far as the text is valid JSON, which is as far as a parser goes into it.
    """
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _STRUCTURE.finditer(raw):
        first = raw[token.start()]
        if first in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in b"}]":
            depth -= 1
    return False


def not_an_object() -> InvalidValue:
    """The refusal of a value that is another kind of JSON."""
    return InvalidValue("NOT_AN_OBJECT", 'a value is a JSON object; wrap it, as in {"value": ...}')


def not_canonical() -> InvalidValue:
    """The refusal of valid JSON in another form than its one text."""
    return InvalidValue(
        "NOT_CANONICAL", "valid JSON in another form; canonicalize it before it is stored or sent"
    )


def deeper() -> InvalidValue:
    """The refusal of nesting beyond MAX_DEPTH."""
    return InvalidValue(
        "TOO_DEEP", f"nested deeper than {MAX_DEPTH}; flatten it or split it into records"
    )


def lone_surrogate() -> InvalidValue:
    """The refusal of a string that UTF-8 cannot write."""
    return InvalidValue(
        "LONE_SURROGATE",
        "half of a surrogate pair cannot be stored; replace it or send both halves",
    )


def _is_plain_block(values: Sequence[bytes]) -> bool:
    joined = b"[" + b",".join(values) + b"]"
    try:
        written = [orjson.dumps(value, None, SORTED) for value in orjson.loads(joined)]
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False
    return written == list(values) and not any(
        len(v) > MAX_RECORD_BYTES or too_deep(v) for v in values
    )


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise lone_surrogate() from None


def _number(text: str) -> orjson.Fragment:
    # Text that overflows a double is refused: readers would see Infinity, and orjson an error.
    if math.isinf(float(text)):
        raise InvalidValue(
            "NUMBER_NOT_FINITE", "a number beyond the range of a double; send it as a string"
        )
    return orjson.Fragment(text)


def _constant(name: str) -> NoReturn:
    raise InvalidValue("NUMBER_NOT_FINITE", f"{name} is not JSON; send null or a string")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidValue("DUPLICATE_KEY", "an object names a member twice; send each name once")
    return members


_EXACT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_number, parse_float=_number, parse_constant=_constant
)
