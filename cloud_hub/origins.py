"""Origins by the hub's own small numbers, and the newest decided commit of each in each space.

A number takes 2 bytes in a record where the id takes 16. The watermark is what makes a repeat
harmless for ever: one row per origin and space, whatever is forgotten of the log.

A context tells what its author had seen undecided by the newest seq of an origin. Strong commits
are never seen undecided, whatever their seq; so what they wrote carries the number negated: no
context has it, and it names the same origin.

Invariant: a number never changes its meaning and never leaves the hub; a watermark never falls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cloud_hub.storage.driver import Transaction
from sync.position import ID_BYTES


@dataclass(frozen=True, slots=True)
class Watermark:
    """The newest decided commit of an origin in a space, and its place and stamp."""

    seq: int = 0
    commit_id: bytes = bytes(ID_BYTES)
    revision: int = 0
    stamp: int = 0


def unseen_name(number: int) -> int:
    """The number under which an origin has written what nobody has seen undecided."""
    return -number


def both_names(ids: Mapping[int, bytes]) -> dict[int, bytes]:
    """The ids, by both numbers of each origin."""
    return {**ids, **{unseen_name(number): origin for number, origin in ids.items()}}


async def numbers(tx: Transaction, ids: Iterable[bytes]) -> dict[bytes, int]:
    """The numbers of those origins that are known."""
    rows = await tx.fetch_by("origins_numbers", (sorted(set(ids)),))
    return {bytes(origin): number for origin, number in rows}


async def register(tx: Transaction, edges: Mapping[bytes, str]) -> dict[bytes, int]:
    """The numbers of all these origins, new ones where they are not known yet.

    `edges` names the edge of each, "" for one that is only known from what others had seen; a name
    that is given replaces an empty or earlier one.
    """
    ids = sorted(edges)  # in one order for everybody, so that two who add the same do not deadlock
    await tx.write_rows("origins_register", (ids, [edges[origin] for origin in ids]))
    return await numbers(tx, ids)


async def identities(tx: Transaction, ids: Iterable[bytes]) -> dict[bytes, str]:
    """The identity of each origin that is known and belongs to one."""
    rows = await tx.fetch_by("origins_identities", (sorted(set(ids)),))
    return {bytes(origin): identity for origin, identity in rows if identity}


async def claim(tx: Transaction, ids: Iterable[bytes], edge: str, identity: str) -> None:
    """Gives those of these origins to an identity that belong to nobody yet."""
    wanted = sorted(set(ids))
    columns = (wanted, [edge] * len(wanted), [identity] * len(wanted))
    await tx.write_rows("origins_claim", columns)


async def names(tx: Transaction, wanted: Iterable[int]) -> dict[int, bytes]:
    """The ids of numbers, negated ones too."""
    asked = set(wanted)
    found: dict[int, bytes] = dict(
        await tx.fetch_by("origins_names", (sorted(set(map(abs, asked))),))
    )
    return {number: found[abs(number)] for number in asked if abs(number) in found}


async def edges_of(tx: Transaction, ids: Iterable[bytes]) -> dict[bytes, str]:
    """The edge's name of each known origin."""
    return dict(await tx.fetch_by("origins_edges", (sorted(set(ids)),)))


async def watermarks(tx: Transaction, space: str, origins: Iterable[int]) -> dict[int, Watermark]:
    """The watermarks, by number, of those origins that have one in the space."""
    rows = await tx.fetch_by("watermarks_load", (sorted(set(origins)),), space)
    return {row[0]: Watermark(*row[1:]) for row in rows}


async def save_watermarks(tx: Transaction, space: str, marks: Mapping[int, Watermark]) -> None:
    """Writes watermarks by number, under the space's locked head."""
    values = marks.values()
    columns = (
        list(marks),
        [mark.seq for mark in values],
        [mark.commit_id for mark in values],
        [mark.revision for mark in values],
        [mark.stamp for mark in values],
    )
    await tx.write_rows("watermarks_save", columns, space)


async def watermarks_everywhere(tx: Transaction, origin: int) -> dict[str, Watermark]:
    """An origin's watermarks by space."""
    rows = await tx.fetch("watermarks_of_origin", origin)
    return {row[0]: Watermark(*row[2:]) for row in rows}
