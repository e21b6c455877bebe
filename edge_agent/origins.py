"""The incarnations of an outbox, and where each stands in each space.

An origin is one incarnation of outbox.db. A copied or restored file takes a new one; elsewhere in
these tables an origin is its ordinal, in the order of their lives, and the last one writes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edge_agent import statements

SQL = statements.load("outbox")

Stream = tuple[str, int]
"""A space and the ordinal of an origin in it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One incarnation of this database."""

    ordinal: int
    id: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Counter:
    """Where one origin stands in one space."""

    last_seq: int = 0
    last_id: bytes = b""
    last_stamp: int = 0
    trimmed_seq: int = 0
    size_bytes: int = 0


NOTHING = Counter()


@dataclass(frozen=True, slots=True)
class Renaming:
    """Commits that were given a new origin."""

    space: str
    old_ordinal: int
    old_first_seq: int
    count: int
    new_ordinal: int
    new_first_seq: int


def write_counter(connection: sqlite3.Connection, stream: Stream, counter: Counter) -> None:
    """Writes one counter as it is to be."""
    connection.execute(
        SQL["set_counter"],
        (*stream, counter.last_seq, counter.last_id, counter.last_stamp, counter.trimmed_seq,
         counter.size_bytes),
    )  # fmt: skip
