"""Checkpoints and threads in words and in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.shell import printing

if TYPE_CHECKING:
    from holdfast.client import Checkpoint, Thread
    from holdfast.client.checkpoint_diff import ChangedPart

COLUMNS = ("id", "parent", "kind", "name", "when", "size", "stored", "parts")
THREAD_COLUMNS = ("thread", "holder", "token", "heads")
DIFF_COLUMNS = ("part", "path", "change", "before", "after")


def thread_row(found: Thread) -> tuple[printing.Document, Sequence[Any]]:
    """A thread, as JSON and as cells."""
    document = thread_document(found)
    here = " (this node)" if found.held_here else ""
    heads = ", ".join(f"{name or '-'}: {id_}" for name, id_ in found.heads.items())
    return document, (found.id, (found.holder or "nobody") + here, found.token, heads)


def thread_document(found: Thread) -> printing.Document:
    """A thread."""
    return {
        "thread": found.id,
        "space": found.space,
        "holder": found.holder,
        "token": found.token,
        "held_here": found.held_here,
        "heads": dict(found.heads),
        "created": printing.at_ms(found.created_ms),
    }


def checkpoint_row(found: Checkpoint) -> tuple[printing.Document, Sequence[Any]]:
    """A checkpoint, as JSON and as cells."""
    parts = ", ".join(found.parts)
    return document_of(found), (
        found.id,
        found.parent,
        str(found.kind),
        found.name,
        printing.at_ms(found.created_ms),
        printing.size(found.size),
        printing.size(found.stored),
        parts,
    )


def document_of(found: Checkpoint) -> printing.Document:
    """A checkpoint without its contents."""
    return {
        "id": found.id,
        "thread": found.thread,
        "space": found.space,
        "namespace": found.namespace,
        "parent": found.parent or None,
        "kind": str(found.kind),
        "name": found.name,
        "metadata": dict(found.metadata),
        "schema_version": found.schema_version,
        "created": printing.at_ms(found.created_ms),
        "actor": printing.actor_document(found.actor) if found.actor else None,
        "size": found.size,
        "stored": found.stored,
        "parts": {
            name: {"tag": part.tag, "size": part.size, "sha256": part.sha256.hex()}
            for name, part in found.parts.items()
        },
    }


def changes(
    found: Sequence[ChangedPart],
) -> Iterator[tuple[printing.Document, Sequence[Any]]]:
    """What differs between two, a path or a part at a time."""
    for part in found:
        if part.paths is None:
            sides = [
                None if one is None else {"size": one.size, "sha256": one.sha256.hex()[:12]}
                for one in (part.before, part.after)
            ]
            yield _change(part.name, None, str(part.change), *sides)
            continue
        for one in part.paths:
            yield _change(part.name, one.path, str(one.change), one.before, one.after)
        if part.truncated:
            yield _change(part.name, "...", "more", None, None)


def _change(
    part: str, path: str | None, change: str, before: Any, after: Any
) -> tuple[printing.Document, Sequence[Any]]:
    document = dict(zip(DIFF_COLUMNS, (part, path, change, before, after), strict=True))
    cells = [json.dumps(side, ensure_ascii=False) for side in (before, after)]
    return document, (part, path, change, *cells)
