"""Values with long texts, beside their records' rows, so that a splice need not write all of them.

A row has the value of its record as it was at some revision. What was spliced since stands among
the edits (texts.py), and is done anew when the record is read. Now and then all of it is written
again (sync.body says when), so that few edits are to be done. A record whose value is here has an
empty one in its own row, and one that has none here any more an empty one here.

Invariant: a value here with the edits of its record that are newer is the record's value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloud_hub import texts
from cloud_hub.storage.driver import StorageCorrupt, Transaction
from sync.body import Body
from sync.working import Key

APART = b""
"""Stands for the value in the row of a record; no value is empty."""


async def load(tx: Transaction, space: str, keys: Iterable[Key]) -> dict[Key, Body]:
    """The values of records that have them here. Raises StorageCorrupt."""
    wanted = list(keys)
    if not wanted:
        return {}
    rows = await tx.fetch_by("documents_load", _names(wanted), space)
    stored = {(row[0], row[1]): (row[2], row[3]) for row in rows if row[3]}
    if lost := set(wanted) - stored.keys():
        raise StorageCorrupt(f"{space}: the values of {sorted(lost)[:3]} are not there")
    edits = await texts.since(tx, space, {key: revision for key, (revision, _) in stored.items()})
    found: dict[Key, Body] = {}
    for key, (_, value) in stored.items():
        body = found[key] = Body(value)
        body.apart, body.unkept = True, 0
        for name, effect in edits.get(key, ()):
            body.splice({name: effect})
    return found


async def save(tx: Transaction, space: str, records: Mapping[Key, tuple[int, Body]]) -> None:
    """Writes the values with long texts, where it is due, and drops those that have none any more;
    records are given with their revisions. To be called before their rows are written."""
    due = {k: (at, body) for k, (at, body) in records.items() if body.paged and body.is_due}
    gone = {k: (at, b"") for k, (at, body) in records.items() if body.apart and not body.paged}
    rows = {key: (at, body.value) for key, (at, body) in due.items()} | gone
    if rows:
        columns = (*_names(rows), [at for at, _ in rows.values()], [v for _, v in rows.values()])
        await tx.write_rows("documents_save", columns, space)
    for key, (_, body) in records.items():
        body.apart = body.paged
        if key in due:
            body.unkept = 0


def row_value(body: Body) -> bytes:
    """What stands in the row of a record."""
    return APART if body.apart else body.value


def _names(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    pairs = list(keys)
    return [key[0] for key in pairs], [key[1] for key in pairs]
