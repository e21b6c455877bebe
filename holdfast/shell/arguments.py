"""What is written on a command line, read into values: actors, durations, sizes, JSON objects.

Invariant: numbers keep the digits they were written with, since an object is put together as text.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

# Generic for the type checker alone: older versions of click, which are allowed, have it plain.
if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType

ACTOR_VARIABLE = "HOLDFAST_ACTOR"
KINDS = ("robot", "human", "ai", "system")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, None: 1.0}
_SIZE = re.compile(r"(\d+)\s*(KiB|MiB|GiB|KB|MB|GB|B)?", re.IGNORECASE)
_BYTES = {
    *(("b", 1), ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000)),
    *(("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30)),
}
MAX_STDIN_CHARS = 8 * 1024 * 1024
"""More than any commit may have: what is longer is refused here instead of being read on."""


class ActorType(ParamType):
    """ID or ID:KIND, as (id, kind)."""

    name = "actor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, colon, kind = str(value).rpartition(":")
        if not colon:
            name, kind = str(value), "human"
        if kind not in KINDS or not name:
            self.fail(f"{value!r}: write ID:KIND with a kind of {', '.join(KINDS)}", param, ctx)
        return name, kind


class DurationType(ParamType):
    """30s, 500ms, 2m, 1h; a bare number is seconds. The value is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value))
        if match is None or not float(match[1]):
            self.fail(f"{value!r}: write a time such as 30s, 500ms or 2m", param, ctx)
        return float(match[1]) * _SECONDS[match[2]]


class SizeType(ParamType):
    """A number of bytes; KiB, MiB, GiB, KB, MB and GB are understood."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        match = _SIZE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r}: write a size such as 256MiB", param, ctx)
        return int(match[1]) * dict(_BYTES)[(match[2] or "b").lower()]


ACTOR = ActorType()
DURATION = DurationType()
SIZE = SizeType()


def default_actor() -> tuple[str, str]:
    """Who is at the keyboard, as far as the system knows."""
    try:
        return getpass.getuser(), "human"
    except (KeyError, OSError):
        return f"uid-{os.getuid()}", "human"


def json_object(words: Sequence[str]) -> str:
    """The text of a JSON object: written as one, read from standard input ("-"), or put together
    from NAME=VALUE. A VALUE that is JSON is that; any other is a text.

    Raises click.UsageError.
    """
    if len(words) == 1 and words[0] == "-":
        return _standard_input()
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        return words[0]
    members = pairs(words, "write a JSON object, or NAME=VALUE")
    return "{" + ",".join(f"{json.dumps(n)}:{_json_text(v)}" for n, v in members.items()) + "}"


def additions(words: Sequence[str]) -> dict[str, int]:
    """Integers by name, from NAME=INTEGER. Raises click.UsageError."""
    found: dict[str, int] = {}
    for name, text in pairs(words, "write NAME=INTEGER").items():
        try:
            found[name] = int(text)
        except ValueError:
            raise click.UsageError(f"{name}={text}: only integers can be added") from None
    return found


def element(word: str) -> Any:
    """An element of a set: a JSON value, or a text."""
    return json.loads(_json_text(word))


def runs_of(text: str) -> list[Any]:
    """The runs of a splice, from a JSON array. Raises click.UsageError."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(run, int | str | list) for run in found):
        raise click.UsageError("--runs: a JSON array of numbers, texts and arrays")
    return found


def pairs(words: Sequence[str], remedy: str) -> dict[str, str]:
    """Texts by name, from NAME=TEXT. Raises click.UsageError."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (equals and name):
            raise click.UsageError(f"{word[:80]!r} is not NAME=VALUE: {remedy}")
        if name in found:
            raise click.UsageError(f"{name} is given twice")
        found[name] = text
    return found


def _json_text(text: str) -> str:
    try:
        json.loads(text, parse_constant=_no_constant, parse_int=len, parse_float=len)
    except ValueError:
        return json.dumps(text, ensure_ascii=False)
    return text


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _standard_input() -> str:
    text = sys.stdin.read(MAX_STDIN_CHARS + 1)
    if len(text) > MAX_STDIN_CHARS:
        raise click.UsageError(f"standard input has more than {MAX_STDIN_CHARS} characters")
    return text
