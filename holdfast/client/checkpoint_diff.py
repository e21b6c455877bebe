"""What differs between two checkpoints: parts, and within parts that are JSON the paths.

Doors never look into a state; programs do, which is why this is here. Paths are JSON pointers
(RFC 6901). Members of objects are told one by one, arrays by position, since nothing says which
element has become which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from holdfast.client import values
from holdfast.client.checkpoint_records import JSON, Checkpoint, StatePart
from holdfast.errors import InvalidArgument

MAX_PATHS = 10_000
"""Told of one part; beyond that somebody wants to see both states."""

ABSENT = object()
"""In the place of a value that is not there."""


class PartChange(StrEnum):
    """What became of a part."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class ChangedPath:
    """A place within a JSON part. None is null; what is not there is told by `change`."""

    path: str
    change: PartChange
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ChangedPart:
    """A part that is not the same in both. `paths` is None where one of them is not JSON, or was
    not loaded."""

    name: str
    change: PartChange
    before: StatePart | None
    after: StatePart | None
    paths: tuple[ChangedPath, ...] | None
    truncated: bool = False
    """There are more paths than are told."""


def diff(before: Checkpoint, after: Checkpoint) -> tuple[ChangedPart, ...]:
    """The parts that differ, by name."""
    names = sorted(before.parts.keys() | after.parts.keys())
    pairs = ((name, before.parts.get(name), after.parts.get(name)) for name in names)
    return tuple(_changed(*pair) for pair in pairs if not _same(pair[1], pair[2]))


def _same(one: StatePart | None, other: StatePart | None) -> bool:
    if one is None or other is None:
        return False
    return (one.sha256, one.tag) == (other.sha256, other.tag)


def _changed(name: str, before: StatePart | None, after: StatePart | None) -> ChangedPart:
    if before is None:
        return ChangedPart(name, PartChange.ADDED, before, after, None)
    if after is None:
        return ChangedPart(name, PartChange.REMOVED, before, after, None)
    texts = [one.data for one in (before, after) if one.tag == JSON and one.data is not None]
    if len(texts) < 2:
        return ChangedPart(name, PartChange.CHANGED, before, after, None)
    try:
        old, new = (values.decode_any(text.decode()) for text in texts)
    except ValueError:
        return ChangedPart(name, PartChange.CHANGED, before, after, None)
    found: list[ChangedPath] = []
    for one in _paths("", old, new):
        if len(found) == MAX_PATHS:
            return ChangedPart(name, PartChange.CHANGED, before, after, tuple(found), True)
        found.append(one)
    return ChangedPart(name, PartChange.CHANGED, before, after, tuple(found))


def _paths(path: str, old: Any, new: Any) -> Iterator[ChangedPath]:
    if old is ABSENT:
        yield ChangedPath(path, PartChange.ADDED, None, new)
    elif new is ABSENT:
        yield ChangedPath(path, PartChange.REMOVED, old, None)
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            below = f"{path}/{_escaped(name)}"
            yield from _paths(below, old.get(name, ABSENT), new.get(name, ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        for n in range(max(len(old), len(new))):
            one = old[n] if n < len(old) else ABSENT
            yield from _paths(f"{path}/{n}", one, new[n] if n < len(new) else ABSENT)
    elif not values.same(old, new):
        yield ChangedPath(path, PartChange.CHANGED, old, new)


def with_paths(present: Any, wanted: Any, paths: tuple[str, ...]) -> Any:
    """A JSON value with some of its places as they are in another; what is not there is taken away.

    Raises InvalidArgument for a path that is none, or that leads through what is no object.
    """
    for path in paths:
        present = _with(present, wanted, _names(path), path)
    return present


def _with(present: Any, wanted: Any, names: list[str], path: str) -> Any:
    if not names:
        return wanted
    if not isinstance(present, Mapping) or not (isinstance(wanted, Mapping) or wanted is ABSENT):
        raise InvalidArgument("MALFORMED_REQUEST", f"{path}: only members of objects can be named")
    name, rest = names[0], names[1:]
    there: Any = wanted.get(name, ABSENT) if isinstance(wanted, Mapping) else ABSENT
    made = dict(present)
    if rest and there is not ABSENT:
        made[name] = _with(made.get(name, {}), there, rest, path)
    elif rest and name in made:
        made[name] = _with(made[name], ABSENT, rest, path)
    elif there is ABSENT:
        made.pop(name, None)
    else:
        made[name] = there
    return made


def _names(path: str) -> list[str]:
    if not path.startswith("/"):
        raise InvalidArgument("MALFORMED_REQUEST", f"{path!r}: a path begins with '/'")
    return [name.replace("~1", "/").replace("~0", "~") for name in path[1:].split("/")]


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
