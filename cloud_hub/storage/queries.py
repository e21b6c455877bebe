"""The named statements of each dialect, from the files in sql/.

A file holds statements, each below a line `-- name: what_it_does`. Arguments come first, then the
columns of a set: in PostgreSQL as arrays ($2::text[] ...), in SQLite as a row in brackets, which is
repeated as often as there are rows: `VALUES [(?1, ?, ?)]`.

Sets of keys are looked up one by one by the index, whatever a planner thinks of its statistics: by
CROSS JOIN, which SQLite never turns round, and by LATERAL with a LIMIT, which PostgreSQL never
turns into another join.

Invariant: both dialects have the same names, so that what runs on one runs on the other; otherwise
the hub does not start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

Dialect = Literal["sqlite", "postgres"]

_PACKAGE = "cloud_hub.storage"
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


class QueriesMalformed(Exception):
    """The statements do not fit together: a mistake in the program."""


@cache
def statements(dialect: Dialect) -> Mapping[str, str]:
    """The statements of a dialect by name. Raises QueriesMalformed."""
    ours, theirs = _load(dialect), _load("postgres" if dialect == "sqlite" else "sqlite")
    if ours.keys() != theirs.keys():
        lone = ", ".join(sorted(ours.keys() ^ theirs.keys()))
        raise QueriesMalformed(f"only one dialect has {lone}")
    return ours


def _load(dialect: Dialect) -> dict[str, str]:
    folder = resources.files(_PACKAGE).joinpath("sql", dialect)
    found: dict[str, str] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            for name, text in parse(entry.read_text(encoding="utf-8")):
                if name in found:
                    raise QueriesMalformed(f"{dialect} has {name} twice")
                found[name] = text
    return found


def parse(text: str) -> list[tuple[str, str]]:
    """Name and text of each statement of a file."""
    _, *parts = _NAME.split(text)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [(name, statement.strip().removesuffix(";")) for name, statement in pairs]
