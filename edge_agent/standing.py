"""Where a replica stands in one space: its cursor, and what of its own it knows decided.

Read at the beginning of every transaction and written at its end, so the cursor always moves with
what it covers.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field, replace

from edge_agent import statements
from sync.messages import Scope
from sync.position import NOWHERE, Cursor

SQL = statements.load("replica")


WHOLE = "*"


@dataclass(slots=True)
class Own:
    """One origin of this edge. Pending means decided_seq < seq <= overlay_seq."""

    origin: bytes
    decided_seq: int = 0
    decided_id: bytes = b""
    overlay_seq: int = 0
    """The view of records contains commits up to here."""

    @property
    def newest_pending(self) -> int:
        """The newest undecided seq in the view, zero if there is none."""
        return self.overlay_seq if self.overlay_seq > self.decided_seq else 0


@dataclass(slots=True)
class Standing:
    """One space. `own` is by ordinal, in the order of the origins' lives."""

    space: str
    cursor: Cursor = NOWHERE
    policies_revision: int = 0
    tail_bytes: int = 0
    tail_from: int = 0
    scope: str = ""
    """What the copy is of, as `scope_name` says it; empty before the first welcome."""
    own: dict[int, Own] = field(default_factory=dict)

    @property
    def seen(self) -> tuple[tuple[bytes, int], ...]:
        """What the view contains beyond the cursor."""
        return tuple(
            (own.origin, own.newest_pending) for own in self.own.values() if own.newest_pending
        )

    @property
    def whole(self) -> bool:
        """Whether the copy is of all of the space."""
        return self.scope == WHOLE

    @property
    def hub_part(self) -> Standing:
        """The same without what is pending."""
        own = {n: replace(o, overlay_seq=o.decided_seq) for n, o in self.own.items()}
        return replace(self, own=own)

    def owned(self, ordinal: int, origin: bytes) -> Own:
        """The entry of an origin, made if it is new."""
        return self.own.setdefault(ordinal, Own(origin))


def scope_name(scope: Scope) -> str:
    """A scope in one text, equal for equal scopes."""
    return WHOLE if scope.whole else "," + ",".join(sorted(scope.collections))


def load(connection: sqlite3.Connection, space: str) -> Standing:
    """The standing of a space; NOWHERE if nothing is known of it."""
    standing = Standing(space)
    row = connection.execute(SQL["cursor"], (space,)).fetchone()
    if row is not None:
        standing.cursor = Cursor(row[0], row[1], row[2])
        standing.policies_revision, standing.tail_bytes, standing.tail_from = row[3:6]
        standing.scope = row[6]
    for ordinal, *columns in connection.execute(SQL["own"], (space,)):
        standing.own[ordinal] = Own(*columns)
    return standing


def spaces(connection: sqlite3.Connection) -> list[str]:
    """Every space that the replica knows of, sorted."""
    names = {row[0] for row in connection.execute(SQL["cursors"])}
    names |= {row[0] for row in connection.execute(SQL["own_spaces"])}
    return sorted(names)


def save(connection: sqlite3.Connection, standing: Standing) -> None:
    """Writes a standing, within the transaction that made it true."""
    cursor = standing.cursor
    connection.execute(
        SQL["set_cursor"],
        (standing.space, cursor.epoch, cursor.revision, cursor.token, standing.policies_revision,
         standing.tail_bytes, standing.tail_from, standing.scope),
    )  # fmt: skip
    for ordinal, own in standing.own.items():
        connection.execute(
            SQL["set_own"],
            (standing.space, ordinal, own.origin, own.decided_seq, own.decided_id, own.overlay_seq),
        )
