"""SQL by name, from the .sql files of this package.

A file holds statements, each after a line `-- name: what_it_does`. So a statement can be read,
explained and tried in a shell as it stands, and no module contains any.

Invariant: a name that is not in the file fails when it is looked up, which every statement's test
does.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_ROW = re.compile(r"\((?:\?(?:, )?)+\)")

CHUNKS = (128, 32, 8)
"""Rows of one INSERT, largest first. Several rows per statement take the interpreter's lock once,
where a statement per row takes it again for each; beyond a hundred nothing more is won. Few sizes,
so that SQLite's compiled statements are used again."""


@cache
def load(name: str) -> Mapping[str, str]:
    """The statements of `sql/<name>.sql` by their names."""
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")
    parts = _NAME.split(text)
    found = {title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}
    assert len(found) == len(parts) // 2, f"{name}.sql has a name twice"
    return found


@cache
def _widened(statement: str, rows: int) -> str:
    match = _ROW.search(statement)
    assert match is not None, statement
    values = ", ".join([match[0]] * rows)
    return statement[: match.start()] + values + statement[match.end() :]


def insert(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Runs an INSERT ... VALUES (?, ...) on many rows, several per statement."""
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            chunk = rows[start : start + size]
            connection.execute(_widened(statement, size), list(chain.from_iterable(chunk)))
            start += size
    for row in rows[start:]:
        connection.execute(statement, row)
