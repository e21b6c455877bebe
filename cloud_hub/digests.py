"""Per collection, the digest of its live records and their number: what replicas compare with.

Written in the transaction that changes the records. Invariant: equal to the sum over the rows of
`records`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cloud_hub.storage.driver import Transaction
from sync.digest import EMPTY, from_signed, to_signed


class Tally(NamedTuple):
    """The digest of a set of live records (see sync.digest) and how many they are."""

    digest: int
    records: int


NOTHING = Tally(EMPTY, 0)


async def load(tx: Transaction, space: str, collections: Iterable[str]) -> dict[str, Tally]:
    """The tallies of those collections that have one."""
    rows = await tx.fetch_by("digests_load", (sorted(set(collections)),), space)
    return {name: Tally(from_signed(digest), records) for name, digest, records in rows}


async def save(tx: Transaction, space: str, tallies: Mapping[str, Tally]) -> None:
    """Writes tallies, under the space's locked head."""
    columns = (
        list(tallies),
        [to_signed(tally.digest) for tally in tallies.values()],
        [tally.records for tally in tallies.values()],
    )
    await tx.write_rows("digests_save", columns, space)


async def of_space(tx: Transaction, space: str) -> dict[str, Tally]:
    """All tallies of a space, by name of the collection."""
    rows = await tx.fetch("digests_of_space", space)
    return {name: Tally(from_signed(digest), records) for name, digest, records in rows}
