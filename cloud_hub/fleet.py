"""The edges that have ever connected, and how far each of their replicas is.

Edges report often and nobody waits for it, so reports are gathered and saved as sets. They are what
an edge said last: for people, and for what may be forgotten; never for what is decided.

Invariant: cursors are only saved of edges that are saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import orjson

from cloud_hub.storage.driver import Transaction


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge as last heard of. `origin` is its newest, 16 bytes; `skew_ms` its wall clock less the
    hub's; `software` its name and version, as it says."""

    name: str
    origin: bytes
    last_seen_ms: int
    pending: int = 0
    outbox_bytes: int = 0
    skew_ms: int = 0
    alarms: tuple[str, ...] = ()
    software: str = ""


@dataclass(frozen=True, slots=True)
class EdgeCursor:
    """How far an edge's replica of a space is. `lowest_base` is the least revision that its
    undecided commits are based on, None if it has none."""

    edge: str
    space: str
    epoch: int
    revision: int
    lowest_base: int | None = None


async def save(tx: Transaction, edges: Iterable[Edge]) -> None:
    """Writes what is known of edges, each once."""
    known = sorted(edges, key=lambda edge: edge.name)  # one order, so that two hubs do not deadlock
    columns = (
        [edge.name for edge in known],
        [edge.origin for edge in known],
        [edge.last_seen_ms for edge in known],
        [edge.pending for edge in known],
        [edge.outbox_bytes for edge in known],
        [edge.skew_ms for edge in known],
        [orjson.dumps(edge.alarms).decode() for edge in known],
        # It comes from outside: one NUL would keep the reports of all others from being saved.
        [edge.software.replace("\0", "\N{REPLACEMENT CHARACTER}") for edge in known],
    )
    await tx.write_rows("edges_save", columns)


async def save_cursors(tx: Transaction, cursors: Iterable[EdgeCursor]) -> None:
    """Writes cursors, each edge and space once."""
    rows = sorted(map(astuple, cursors), key=lambda row: (row[0], row[1]))
    await tx.write_rows("edge_spaces_save", list(zip(*rows, strict=True)) or ((),))


async def page(tx: Transaction, after: str, limit: int) -> list[Edge]:
    """Up to `limit` edges by name, beginning after a name ("" for the first)."""
    rows = await tx.fetch("edges_list", after, limit)
    return [
        Edge(name, origin, seen_ms, pending, size, skew_ms, tuple(orjson.loads(alarms)), software)
        for name, origin, seen_ms, pending, size, skew_ms, alarms, software in rows
    ]


async def cursors_of(tx: Transaction, edges: Sequence[str]) -> dict[str, list[EdgeCursor]]:
    """The cursors of each of these edges, by space."""
    found: dict[str, list[EdgeCursor]] = {name: [] for name in edges}
    for row in sorted(await tx.fetch_by("edge_spaces_of", (edges,))):
        found[row[0]].append(EdgeCursor(*row))
    return found
