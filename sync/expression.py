"""CEL expressions of strangers: filters, rules and invariants.

An expression cannot be interrupted while it runs, and one of 40 characters was seen to run for two
minutes. So it is bounded when it is accepted: by its length, to 16 `+` (each copies what is on its
left), to one comprehension, never `map` (it copies its list at each step), and in the company of a
comprehension to one `+` and no list or map that names a variable; and it is run on inputs that are
bounded themselves. Within that the worst that was found runs for about a tenth of a second.

Inputs are immutable: what an expression is given is parsed for it, from text. Numbers that CEL
would change are not given to it.

The library is imported when the first expression is used: an edge without any does not carry it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import orjson

MAX_COMPREHENSIONS = 1
"""Nested ones cost the product of their lists."""

MAX_RULE_CHARS = 256
"""A decision that a person can still follow."""

MAX_SUMS = 16
"""`+` in one expression: on lists the cost grows with the square of their number."""

MAX_INPUT_BYTES = 8 * 1024
"""What a rule is given, all variables together."""

MAX_LOOPED_BYTES = 1024
"""The same where a comprehension may go through it: at most 500 elements."""

_LOOP = re.compile(r"\.\s*(all|exists|exists_one|existsOne|map|filter)\s*\(")
_TEXT = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_LIST = re.compile(r"\[[^\]]*[A-Za-z_]")

INT64 = range(-(2**63), 2**63)


class InvalidExpression(ValueError):
    """An expression that cannot be accepted; the message says why."""


class Failed(Exception):
    """An expression gave no answer on what it was given; the message says why."""


def compiled(expression: str, max_chars: int) -> Any:
    """The program of an expression. Raises InvalidExpression."""
    if len(expression) > max_chars:
        raise InvalidExpression(f"at most {max_chars} characters")
    if len(_LOOP.findall(expression)) > MAX_COMPREHENSIONS:
        raise InvalidExpression("at most one of all, exists, exists_one, map, filter")
    import cel

    try:
        return cel.compile(expression)
    except ValueError as error:
        text = str(error).splitlines()[0]
        raise InvalidExpression(text[:200]) from error


class Expression:
    """An expression of a policy over some of the variables `known`.

    Raises InvalidExpression.
    """

    __slots__ = ("_program", "looped", "names", "text")

    def __init__(self, text: str, known: Collection[str]) -> None:
        if not text:
            raise InvalidExpression("an expression that says nothing")
        self._program = compiled(text, MAX_RULE_CHARS)
        self.text = text
        self.looped = _looped(text)
        mentioned = set(self._program.variables())
        strangers = sorted(mentioned - set(known))
        if strangers and not self.looped:  # a comprehension brings a name of its own
            raise InvalidExpression(f"{strangers[0]}: unknown; known are {', '.join(known)}")
        if len(strangers) > 1:
            raise InvalidExpression(f"{', '.join(strangers)}: known are {', '.join(known)}")
        self.names = frozenset(mentioned - set(strangers))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def value(self, given: Mapping[str, bytes]) -> Any:
        """What it says of these variables, each the text of a JSON value. Raises Failed."""
        used = {name: given[name] for name in self.names if name in given}
        limit = MAX_LOOPED_BYTES if self.looped else MAX_INPUT_BYTES
        size = sum(map(len, used.values()))
        if size > limit:
            raise Failed(f"{size} bytes to decide on; an expression takes at most {limit}")
        variables = {name: _parsed(name, text) for name, text in used.items()}
        try:
            return self._program.execute(variables)
        except Exception as error:
            raise Failed(f"{type(error).__name__}: {error}"[:200]) from error

    def written(self, given: Mapping[str, bytes]) -> bytes:
        """The canonical text of what it says. Raises Failed, also where the text would not be what
        was meant: a number out of range, or no JSON."""
        value = self.value(given)
        _check(value)
        return orjson.dumps(value, None, orjson.OPT_SORT_KEYS)


def _looped(text: str) -> bool:
    """Whether there is a comprehension. Raises InvalidExpression for what is too much beside one:
    each of these copies a list at every step."""
    bare = _TEXT.sub("''", text)
    loops = _LOOP.findall(bare)
    if bare.count("+") > MAX_SUMS:
        raise InvalidExpression(f"at most {MAX_SUMS} +")
    if not loops:
        return False
    if "map" in loops:
        raise InvalidExpression("map is not allowed: it copies its list at each step")
    if bare.count("+") > 1:
        raise InvalidExpression("at most one + beside a comprehension")
    if "{" in bare or _LIST.search(bare):
        raise InvalidExpression("no map, and no list of variables, beside a comprehension")
    return True


def check_linear(text: str) -> None:
    """Raises InvalidExpression unless the time of an expression grows only with what it is given,
    however large that is: for filters, which are tried on whole records.

    So a comprehension may say nothing of the variables within its parentheses: beside its own
    element, it would go through them at every step.
    """
    _looped(text)
    bare = _TEXT.sub("''", text)
    loop = _LOOP.search(bare)
    if loop is None:
        return
    depth, end = 1, loop.end()
    while depth and end < len(bare):
        depth += {"(": 1, ")": -1}.get(bare[end], 0)
        end += 1
    if re.search(r"\b(value|key)\b", bare[loop.end() : end]):
        raise InvalidExpression("a comprehension looks at its element alone, not at value or key")


def _parsed(name: str, text: bytes) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Failed(f"{name}: {error}") from error
    _check(value)
    if orjson.dumps(value, None, orjson.OPT_SORT_KEYS) != text:
        raise Failed(f"{name}: a number that CEL would change")
    return value


def _check(value: Any) -> None:
    """Raises Failed unless this is JSON that CEL keeps."""
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if value not in INT64:
            raise Failed("an integer beyond 64 bits")
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
            raise Failed("a number that is not finite")
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Failed("a member whose name is no text")
            _check(item)
    else:
        raise Failed(f"a {type(value).__name__}, which is no JSON")
