"""Filters of lists and watches: CEL expressions over `key` and `value`.

An expression cannot be interrupted while it runs, so it is bounded when it is
accepted: by its length, and to one comprehension, over values that are bounded
themselves. A record on which it fails (a field that is not there) is not meant.

The library is imported when the first filter is used: an edge without filters
does not carry it.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

MAX_CHARS = 512
"""A condition that a person can still read."""

MAX_COMPREHENSIONS = 1
"""Nested ones cost the product of their lists."""

_COMPREHENSION = re.compile(r"\.\s*(all|exists|exists_one|map|filter)\s*\(")


class InvalidFilter(ValueError):
    """A filter that cannot be accepted; the message says why."""

    reason = "FILTER_INVALID"


class Filter:
    """A compiled expression. An empty one means everything.

    Raises InvalidFilter.
    """

    def __init__(self, expression: str) -> None:
        self._program: Any = _compile(expression) if expression else None

    def matches(self, key: str, value: bytes) -> bool:
        """Whether a record is meant."""
        if self._program is None:
            return True
        try:
            found = self._program.execute({"key": key, "value": orjson.loads(value)})
        except Exception:  # noqa: BLE001 - a stranger's expression, evaluated on others' paths
            return False
        return found is True


def _compile(expression: str) -> Any:
    if len(expression) > MAX_CHARS:
        raise InvalidFilter(f"a filter has at most {MAX_CHARS} characters")
    if len(_COMPREHENSION.findall(expression)) > MAX_COMPREHENSIONS:
        raise InvalidFilter("a filter has at most one of all, exists, exists_one, map, filter")
    import cel

    try:
        return cel.compile(expression)
    except ValueError as error:
        text = str(error).splitlines()[0]
        raise InvalidFilter(text[:200]) from error
