"""Values between Python and JSON text.

Members are compared as the text that Python writes for them, because Python finds `1`, `1.0` and
`True` equal and Holdfast does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from holdfast.errors import InvalidArgument


def encode(value: Mapping[str, Any] | str) -> str:
    """The text of a JSON object; a str is taken as that text already.

    Raises InvalidArgument: NOT_AN_OBJECT, INVALID_JSON (what Python cannot write as JSON),
    LONE_SURROGATE.
    """
    if isinstance(value, str):
        return encodable(value)
    if not isinstance(value, Mapping):
        raise InvalidArgument("NOT_AN_OBJECT", f"a value is a mapping, not a {type(value)}")
    return encode_field(dict(value))


def encode_field(value: Any) -> str:
    """The text of any JSON value. Raises InvalidArgument INVALID_JSON, LONE_SURROGATE."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument("INVALID_JSON", f"the value: {error}") from error
    return encodable(text)


def encodable(text: str) -> str:
    """The text, if it can be written as UTF-8. Raises InvalidArgument LONE_SURROGATE."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument("LONE_SURROGATE", f"at character {error.start}") from error
    return text


def decode(text: str) -> dict[str, Any]:
    """The object of a text that a door sent. Integers are exact however long."""
    value = decode_any(text)
    assert isinstance(value, dict), "doors send objects"
    return value


def decode_any(text: str) -> Any:
    """The value of a text that a door sent. Integers are exact however long."""
    return json.loads(text, parse_int=_integer)


def same(one: object, other: object) -> bool:
    """Whether two values have the same text."""
    return not _differ(one, other)


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What turns `old` into `new`: the members to set, and the names to remove."""
    sets = {name: item for name, item in new.items() if name not in old or _differ(old[name], item)}
    return sets, tuple(name for name in old if name not in new)


def _differ(one: object, other: object) -> bool:
    try:
        return json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)
    except ValueError:  # an integer that Python does not write: writing it again does no harm
        return True


# Python refuses to convert more digits than this at once, since that takes quadratic time; longer
# ones are taken apart, which for what fits into a record is fast enough.
_DIGITS_AT_ONCE = 4_000


def _integer(digits: str) -> int:
    if len(digits) <= _DIGITS_AT_ONCE:
        return int(digits)
    sign, digits = (-1, digits[1:]) if digits[0] == "-" else (1, digits)
    total = 0
    for at in range(0, len(digits), _DIGITS_AT_ONCE):
        part = digits[at : at + _DIGITS_AT_ONCE]
        total = total * 10 ** len(part) + int(part)
    return sign * total
