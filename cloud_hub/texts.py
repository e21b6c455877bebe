"""Texts and lists: their latest edits as they took effect, and the bridges to edges' own versions.

An edit stands in the log, too, within its batch. Here it stands by its record, so that what a
splice has to be placed beside is found without walking through batches. A bridge is written in the
transaction that decided the edit it is as of, and so is never behind it.

Invariant: an edit of a document is here exactly if it is in the log, or is a barrier.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import orjson

from cloud_hub.storage.driver import Transaction
from sync import splices
from sync.context import Part
from sync.texts import Edited, Span, SpanKey, Texts
from sync.transform import Splice, splice
from sync.weave import Bridge
from sync.working import Key


async def load(
    tx: Transaction, space: str, bases: Mapping[Key, int], revisions: Mapping[Key, int],
    origins: Iterable[int],
) -> Texts:  # fmt: skip
    """What splices on these records have to be placed beside.

    `bases` has the lowest base of those that write each record, `revisions` the records' own.
    """
    texts = Texts()
    pairs = [(*key, origin) for key in bases for origin in sorted(set(origins))]
    columns = tuple(map(list, zip(*pairs, strict=True))) or ([], [], [])
    since = dict(bases)
    for row in await tx.fetch_by("text_spans_load", columns, space):
        collection, key, field, origin, revision, seq, stamp, base, strands = row
        last = Part(revision, origin, seq, stamp)
        bridge = None if strands is None else Bridge(base, orjson.loads(strands))
        place: SpanKey = ((collection, key), bytes(field).decode(), origin)
        texts.spans[place] = Span(last, bridge)
        texts.stored.add(place)
        since[collection, key] = min(since[collection, key], revision)
    wanted = {key: after for key, after in since.items() if revisions.get(key, 0) > after}
    if wanted:
        texts.history = await _history(tx, space, wanted)
    return texts


async def since(
    tx: Transaction, space: str, revisions: Mapping[Key, int]
) -> dict[Key, list[tuple[str, Splice]]]:
    """The edits of these records after a revision each, with their fields, in order."""
    history = await _history(tx, space, revisions)
    return {
        key: [(one.field, one.effect) for one in edits if one.effect is not None]
        for key, edits in history.items()
    }


async def save(tx: Transaction, space: str, texts: Texts) -> None:
    """Writes what a transaction has made of documents, under the space's locked head."""
    if texts.edited:
        await _save_edits(tx, space, texts.edited)
    kept = {
        key: texts.spans[key]
        for key in sorted(texts.touched)
        if key in texts.stored or _uneven(texts.spans[key])
    }
    if kept:
        columns = (
            *_names(list(kept)),
            [span.last.revision for span in kept.values()],
            [span.last.seq for span in kept.values()],
            [span.last.stamp for span in kept.values()],
            [0 if span.bridge is None else span.bridge.base for span in kept.values()],
            [
                None if span.bridge is None else orjson.dumps(span.bridge.strands, tuple)
                for span in kept.values()
            ],
        )
        await tx.write_rows("text_spans_save", columns, space)


async def _history(
    tx: Transaction, space: str, since: Mapping[Key, int]
) -> dict[Key, list[Edited]]:
    columns = ([k[0] for k in since], [k[1] for k in since], list(since.values()))
    rows = await tx.fetch_by("text_edits_load", columns, space)
    found: dict[Key, list[Edited]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row[2], row[3])):
        collection, key, revision, _, field, origin, seq, stamp, effect = row
        made = None if effect is None else _effect(bytes(effect))
        edited = Edited(bytes(field).decode(), Part(revision, origin, seq, stamp), made)
        found[collection, key].append(edited)
    return dict(found)


def _effect(payload: bytes) -> Splice:
    """An effect is stored as a payload of one field without a name."""
    return splices.decode(payload).get("", splice(()))


async def _save_edits(tx: Transaction, space: str, edits: Iterable[tuple[Key, Edited]]) -> None:
    rows = list(edits)
    indexes, counts = [], defaultdict[tuple[Key, int], int](int)
    for key, one in rows:
        indexes.append(counts[key, one.part.revision])
        counts[key, one.part.revision] += 1
    columns = (
        [key[0] for key, _ in rows],
        [key[1] for key, _ in rows],
        [one.part.revision for _, one in rows],
        indexes,
        [one.field.encode() for _, one in rows],
        [one.part.origin for _, one in rows],
        [one.part.seq for _, one in rows],
        [one.part.stamp for _, one in rows],
        [None if one.effect is None else splices.encode({"": one.effect}) for _, one in rows],
    )
    await tx.write_rows("text_edits_save", columns, space)


def _uneven(span: Span) -> bool:
    return span.bridge is None or not span.bridge.even


def _names(keys: list[SpanKey]) -> tuple[list[str], list[str], list[bytes], list[int]]:
    return (
        [key[0][0] for key in keys],
        [key[0][1] for key in keys],
        [key[1].encode() for key in keys],
        [key[2] for key in keys],
    )
