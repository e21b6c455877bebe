"""Paths: space/collection/key, as one text. The key may contain slashes.

Only the shape is looked at here; what names may contain, the doors know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from holdfast.errors import InvalidArgument


class Path(NamedTuple):
    """The path of a record; in a place for listings `collection` and `key` may be empty."""

    space: str
    collection: str = ""
    key: str = ""


def record_path(text: str) -> Path:
    """space/collection/key. Raises InvalidArgument INVALID_NAME."""
    parts = _split(text)
    if len(parts) != 3:
        raise InvalidArgument("INVALID_NAME", f"a path is space/collection/key, not {text[:80]!r}")
    return Path(*parts)


def listing_path(text: str) -> Path:
    """space/collection or space/collection/prefix. Raises InvalidArgument INVALID_NAME."""
    parts = _split(text)
    if len(parts) < 2:
        raise InvalidArgument(
            "INVALID_NAME", f"what is listed is space/collection[/prefix], not {text[:80]!r}"
        )
    return Path(*parts)


def watched_path(text: str) -> Path:
    """space, space/collection or space/collection/prefix. Raises InvalidArgument INVALID_NAME."""
    return Path(*_split(text))


def one_space(texts: Iterable[str]) -> str:
    """The space that all these paths have in common. Raises InvalidArgument."""
    spaces = {record_path(text).space for text in texts}
    if len(spaces) > 1:
        raise InvalidArgument(
            "MALFORMED_REQUEST", f"one request is of one space, not of {', '.join(sorted(spaces))}"
        )
    if not spaces:
        raise InvalidArgument("MALFORMED_REQUEST", "name at least one record")
    return spaces.pop()


def _split(text: str) -> list[str]:
    parts = text.split("/", 2)
    # "space/collection/" lists the collection: a prefix may be empty, a name may not.
    if len(parts) == 3 and not parts[2]:
        parts.pop()
    if not all(parts):
        raise InvalidArgument("INVALID_NAME", f"a part of the path is empty: {text[:80]!r}")
    return parts
