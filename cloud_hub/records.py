"""The state of each space: a row per record, tombstones too, with what merging needs to know.

Rows are read and written in sets, as columns. A record's context is kept as numbers beside its
value, so that whether a write is concurrent is decided without parsing anything.

Invariant: digest is 0 for a deleted record; a deleted record keeps its last value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import orjson

from cloud_hub import documents, stamps
from cloud_hub.storage.driver import Row, Transaction
from sync.commit import Actor, ActorKind
from sync.context import Part
from sync.digest import from_signed, to_signed
from sync.names import MAX_KEY_BYTES
from sync.working import Key, Working

ABOVE_ALL_KEYS = "\U0010ffff" * (MAX_KEY_BYTES // 4 + 1)
"""Greater than every key: the greatest character once more than fits into one."""


class StoredRecord(NamedTuple):
    """A record and what the hub keeps with it. `digest` is that of sync.digest, 0 if deleted;
    `actor` wrote it last. A tuple, because one is made for every record that a batch touches."""

    working: Working
    digest: int
    actor: Actor


async def load(tx: Transaction, space: str, keys: Iterable[Key]) -> dict[Key, StoredRecord]:
    """The records, tombstones too, that exist under these distinct keys."""
    wanted = list(keys)
    columns = ([key[0] for key in wanted], [key[1] for key in wanted])
    rows = await tx.fetch_by("records_load", columns, space)
    actors: _Actors = {}
    found = {(row[0], row[1]): _record(row, actors) for row in rows}
    await _fill(tx, space, found)
    return found


async def get(tx: Transaction, space: str, collection: str, key: str) -> StoredRecord | None:
    """One record or tombstone."""
    return (await load(tx, space, [(collection, key)])).get((collection, key))


async def page(
    tx: Transaction, space: str, collection: str, prefix: str, after: str, limit: int
) -> list[tuple[str, StoredRecord]]:
    """Up to `limit` records with their keys, in the order of keys, beginning after a key ("" for
    the first), whose key begins with `prefix`.

    Tombstones are among them, so that a page scans no more than `limit` rows whatever was deleted.
    """
    # No key holds a control character, so nothing lies between a key and itself with \x01 added.
    lower = after + "\x01" if after >= prefix and after else prefix
    rows = await tx.fetch("records_list", space, collection, lower, _end_of(prefix), limit)
    actors: _Actors = {}
    found = {(row[0], row[1]): _record(row, actors) for row in rows}
    await _fill(tx, space, found)
    return [(key, record) for (_, key), record in found.items()]


async def page_back(
    tx: Transaction, space: str, collection: str, prefix: str, before: str, limit: int
) -> list[tuple[str, StoredRecord]]:
    """The same from the greatest key down, beginning before a key ("" for the last)."""
    end = _end_of(prefix)
    upper = min(before, end) if before else end
    rows = await tx.fetch("records_list_back", space, collection, prefix, upper, limit)
    actors: _Actors = {}
    return [(row[1], _record(row, actors)) for row in rows]


async def save(tx: Transaction, space: str, records: Mapping[Key, StoredRecord]) -> None:
    """Writes records as they are now."""
    await documents.save(
        tx, space, {k: (r.working.revision, r.working.body) for k, r in records.items()}
    )
    stored = records.values()
    states = [record.working for record in stored]
    wholes = [state.whole for state in states]
    columns = (
        [key[0] for key in records],
        [key[1] for key in records],
        [state.revision for state in states],
        [state.origin for state in states],
        [state.seq for state in states],
        [state.stamp for state in states],
        [state.other for state in states],
        [whole.revision for whole in wholes],
        [whole.origin for whole in wholes],
        [whole.seq for whole in wholes],
        [whole.stamp for whole in wholes],
        [stamps.encoded(state.parts) for state in states],
        [None if state.gone is None else orjson.dumps(list(state.gone)) for state in states],
        [state.deleted for state in states],
        [to_signed(record.digest) for record in stored],
        [record.actor.id for record in stored],
        [int(record.actor.kind) for record in stored],
        [documents.row_value(state.body) for state in states],
    )
    await tx.write_rows("records_save", columns, space)


async def _fill(tx: Transaction, space: str, found: Mapping[Key, StoredRecord]) -> None:
    """Puts the values in that are beside the rows."""
    apart = [key for key, record in found.items() if not record.working.body.bound]
    for key, body in (await documents.load(tx, space, apart)).items():
        found[key].working.body = body


_Actors: TypeAlias = dict[tuple[str, int], Actor]
"""Those met in one answer: usually a few, for thousands of rows."""


def _record(row: Row, actors: _Actors) -> StoredRecord:
    (_, _, revision, origin, seq, stamp, other, whole_revision, whole_origin, whole_seq,
     whole_stamp, parts, gone, deleted, digest, actor_id, actor_kind, value) = row  # fmt: skip
    actor = actors.get((actor_id, actor_kind))
    if actor is None:
        actor = actors[actor_id, actor_kind] = Actor(actor_id, ActorKind(actor_kind))
    whole = Part(whole_revision, whole_origin, whole_seq, whole_stamp)
    working = Working(
        value, bool(deleted), revision, origin, seq, stamp, other, whole, stamps.decoded(parts),
        Part(*orjson.loads(gone)) if gone else None,
    )  # fmt: skip
    return StoredRecord(working, from_signed(digest), actor)


def _end_of(prefix: str) -> str:
    """The least text greater than all that begin with `prefix`, or one above all keys."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return ABOVE_ALL_KEYS
    following = ord(kept[-1]) + 1
    # Surrogates are no characters: after U+D7FF comes U+E000.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)
