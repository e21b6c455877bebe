"""Filters of lists and watches: CEL expressions over `key` and `value`.

An expression cannot be interrupted while it runs, so it is bounded when it is accepted: by its
length, and so that its time grows only with the size of the record. A page ends when its filter has
gone through some megabytes. A record on which it fails (a field that is not there) is not meant.

The library is imported when the first filter is used: an edge without filters
does not carry it.
"""

from __future__ import annotations

from typing import Any

import orjson

from sync.expression import InvalidExpression, check_linear, compiled

MAX_CHARS = 512
"""A condition that a person can still read."""


class InvalidFilter(ValueError):
    """A filter that cannot be accepted; the message says why."""

    reason = "FILTER_INVALID"


class Filter:
    """A compiled expression. An empty one means everything.

    Raises InvalidFilter.
    """

    def __init__(self, expression: str) -> None:
        self._program: Any = None
        if expression:
            try:
                self._program = compiled(expression, MAX_CHARS)
                check_linear(expression)
            except InvalidExpression as error:
                raise InvalidFilter(f"a filter: {error}") from error

    @property
    def is_empty(self) -> bool:
        """Whether it means everything."""
        return self._program is None

    def matches(self, key: str, value: bytes) -> bool:
        """Whether a record is meant."""
        if self._program is None:
            return True
        try:
            found = self._program.execute({"key": key, "value": orjson.loads(value)})
        except Exception:  # noqa: BLE001 - a stranger's expression, evaluated on others' paths
            return False
        return found is True
