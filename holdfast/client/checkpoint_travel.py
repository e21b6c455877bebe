"""Going back: forks, restoring as a new checkpoint, and what differs between two.

Nothing is taken back. What a checkpoint had is copied by the door into a new one, so its contents
are neither sent nor stored again; only where places within a JSON part are chosen, that part is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from holdfast.client import values
from holdfast.client.call import Steps
from holdfast.client.checkpoint_diff import ChangedPart, diff, with_paths
from holdfast.client.checkpoint_options import LoadOptions, SaveOptions
from holdfast.client.checkpoint_records import JSON, STATE, Checkpoint, CheckpointKind, StatePart
from holdfast.client.checkpoints import Checkpoints
from holdfast.errors import InvalidArgument

COMPARED_BYTES = 16 << 20
"""Of a JSON part: larger ones are told by their sizes and hashes."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What restoring has changed, or would; `checkpoint` is None in a dry run."""

    changes: tuple[ChangedPart, ...]
    checkpoint: Checkpoint | None


def fork(thread: Checkpoints, id_: str, name: str, options: SaveOptions) -> Steps[Checkpoint]:
    """See `AsyncCheckpoints.fork`."""
    found = yield from thread.load(name, id_, _look(options))
    given: SaveOptions = {
        "metadata": found.metadata, "schema_version": found.schema_version,
        "kind": CheckpointKind.MANUAL, **options, "parent": found.id, "fork": True,
        "unchanged": tuple(found.parts),
    }  # fmt: skip
    return (yield from thread.save(name, None, None, given))


def difference(
    thread: Checkpoints, name: str, before: str, after: str, options: LoadOptions
) -> Steps[tuple[ChangedPart, ...]]:
    """See `AsyncCheckpoints.diff`."""
    look: LoadOptions = {**options, "metadata_only": True}
    one = yield from thread.load(name, before, look)
    other = yield from thread.load(name, after, look)
    pair = yield from _compared(thread, one, other)
    return diff(*pair)


def restore(
    thread: Checkpoints, name: str, id_: str, parts: Iterable[str] | None, paths: Iterable[str],
    dry_run: bool, options: SaveOptions,
) -> Steps[Restored]:  # fmt: skip
    """See `AsyncCheckpoints.restore`."""
    look = _look(options)
    head = yield from thread.load(name, "", look)
    old = yield from thread.load(name, id_, look)
    chosen = tuple(paths)
    copied: dict[str, str] = {}
    data: dict[str, Any] = {}
    if chosen:
        part = _only(parts, old)
        head, old = yield from _compared(thread, head, old)
        text = with_paths(_json(head, part), _json(old, part), chosen)
        data[part] = StatePart.of(values.encode_field(text).encode(), JSON)
    else:
        copied = dict.fromkeys(tuple(old.parts) if parts is None else tuple(parts), old.id)
        missing = copied.keys() - old.parts.keys()
        if missing:
            raise InvalidArgument("MALFORMED_REQUEST", f"{old.id} has no part {missing.pop()!r}")
    whole = parts is None and not chosen
    kept = () if whole else tuple(n for n in head.parts if n not in copied and n not in data)
    made: Mapping[str, StatePart] = {
        **{each: head.parts[each] for each in kept},
        **{each: old.parts[each] for each in copied},
        **data,
    }
    pair = yield from _compared(thread, head, replace(head, parts=made), of=old)
    changes = diff(*pair)
    if dry_run:
        return Restored(changes, None)
    given: SaveOptions = {
        "metadata": {"restored": old.id}, "schema_version": old.schema_version,
        "kind": CheckpointKind.MANUAL, **options, "parent": head.id, "unchanged": kept,
    }  # fmt: skip
    saved = yield from thread.save(name, None, data, given, copied)
    return Restored(changes, saved)


def _look(options: SaveOptions) -> LoadOptions:
    found: LoadOptions = {"metadata_only": True}
    if "space" in options:
        found["space"] = options["space"]
    if "namespace" in options:
        found["namespace"] = options["namespace"]
    return found


def _only(parts: Iterable[str] | None, old: Checkpoint) -> str:
    """The part that paths are of."""
    named = (STATE,) if parts is None else tuple(parts)
    if len(named) != 1 or named[0] not in old.parts:
        raise InvalidArgument("MALFORMED_REQUEST", "paths are of one part that is there: name it")
    return named[0]


def _json(found: Checkpoint, name: str) -> Any:
    part = found.parts.get(name)
    if part is None or part.tag != JSON or part.data is None:
        raise InvalidArgument("MALFORMED_REQUEST", f"part {name!r} of {found.id} is not JSON")
    return values.decode_any(part.data.decode())


def _compared(
    thread: Checkpoints, one: Checkpoint, other: Checkpoint, of: Checkpoint | None = None
) -> Steps[tuple[Checkpoint, Checkpoint]]:
    """Both, with the contents of JSON parts that differ. `of` has those of the other."""
    loaded: list[Checkpoint] = []
    for found, owner in ((one, one), (other, of or other)):
        parts = dict(found.parts)
        for name, part in parts.items():
            twin = (other if found is one else one).parts.get(name)
            differs = twin is not None and twin.sha256 != part.sha256
            small = part.tag == JSON and part.size <= COMPARED_BYTES
            if differs and small and part.data is None:
                data = bytearray()
                for index in range(len(part.chunks)):
                    whose = replace(owner, parts={name: part})
                    data += yield from thread.chunk(whose, name, index)
                parts[name] = replace(part, data=bytes(data))
        loaded.append(replace(found, parts=parts))
    return loaded[0], loaded[1]
