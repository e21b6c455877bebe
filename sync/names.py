"""Names of spaces, collections, keys and agents, and the paths made of them.

Names stand in paths, files, logs and commands, so spaces and collections are
plain ASCII words. Keys are the users' own: any text without control characters,
slashes too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MAX_NAME_CHARS = 64
"""Spaces and collections: long enough for a site's name, short enough for a table."""

MAX_KEY_BYTES = 512
"""Keys: a path or a URL fits; an index page still holds several."""

MAX_ACTOR_CHARS = 128
MAX_CORRELATION_CHARS = 128

_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9._-]{{0,{MAX_NAME_CHARS - 1}}}")
_COLLECTION = re.compile(rf"(?:_[a-z]+\.)?[A-Za-z_][A-Za-z0-9._-]{{0,{MAX_NAME_CHARS - 1}}}")
"""A reserved collection may be named after another: `_conflicts.tasks`."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


INBOX_PREFIX = "_conflicts."
"""Before a collection's name: where its conflicts wait for a person (see sync.inbox)."""


def inbox_of(collection: str) -> str:
    """Where the conflicts of a collection wait."""
    return INBOX_PREFIX + collection


def is_inbox(collection: str) -> bool:
    """Whether conflicts of another collection wait there."""
    return collection.startswith(INBOX_PREFIX)


def collection_of(inbox: str) -> str:
    """The collection whose conflicts wait there."""
    return inbox.removeprefix(INBOX_PREFIX)


class InvalidName(ValueError):
    """A name that is not one; the message says what is."""

    reason = "INVALID_NAME"


def check_actor(name: str) -> str:
    """The name of who writes. Raises InvalidName."""
    if not 1 <= len(name) <= MAX_ACTOR_CHARS or _CONTROL.search(name):
        raise InvalidName(
            f"an actor's id is 1 to {MAX_ACTOR_CHARS} characters, none of them a control character"
        )
    return name


class Path(NamedTuple):
    """space/collection/key; the key may contain slashes."""

    space: str
    collection: str
    key: str


def check_space(name: str) -> str:
    """The name. Raises InvalidName."""
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"a space's name is 1 to {MAX_NAME_CHARS} letters, digits, '.', '_', '-',"
            f" beginning with a letter; not {name[:80]!r}"
        )
    return name


def check_collection(name: str) -> str:
    """The name. Raises InvalidName."""
    if not _COLLECTION.fullmatch(name):
        raise InvalidName(
            f"a collection's name is 1 to {MAX_NAME_CHARS} letters, digits, '.', '_', '-',"
            f" beginning with a letter; not {name[:80]!r}"
        )
    return name


def check_key(key: str) -> str:
    """The key. Raises InvalidName."""
    check_keys((key,))
    return key


def check_keys(keys: Sequence[str] | Iterable[str]) -> None:
    """Checks a whole column; one scan of the joined text for the usual case. Raises InvalidName."""
    column = list(keys)
    if _CONTROL.search("".join(column)) or not all(column):
        bad = next(key for key in column if not key or _CONTROL.search(key))
        raise InvalidName(f"a key is not empty and has no control characters: {bad[:80]!r}")
    if max(map(len, column), default=0) > MAX_KEY_BYTES // 4:
        for key in column:
            if len(key.encode()) > MAX_KEY_BYTES:
                raise InvalidName(f"a key has at most {MAX_KEY_BYTES} bytes: {key[:80]!r}...")


def parse_path(text: str) -> Path:
    """space/collection/key. Raises InvalidName."""
    parts = text.split("/", 2)
    if len(parts) != 3:
        raise InvalidName(f"a path is space/collection/key, not {text[:80]!r}")
    return Path(check_space(parts[0]), check_collection(parts[1]), check_key(parts[2]))
