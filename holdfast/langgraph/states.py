"""LangGraph's checkpoints as states of parts, and back.

Each channel's value is a part, so that a channel which a step has not written costs nothing: it is
named as unchanged. What else is in a checkpoint is one more part. Names that are too long, or too
many, share a part. Metadata are the checkpoint's own, as JSON, so that lists can be filtered by
them; what JSON cannot give back as it was stands in a part as well.

Invariant: `checkpoint_of(parts) == checkpoint` for what `parts_of` has made of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    CheckpointMetadata,
    CheckpointTuple,
    writes_sort_key,
)
from langgraph.checkpoint.base import Checkpoint as GraphCheckpoint
from langgraph.checkpoint.serde.base import SerializerProtocol

from holdfast.client.checkpoint_records import Checkpoint, PendingWrite, StatePart

BODY, METADATA, REST = "=checkpoint", "=metadata", "=rest"
CHANNEL = "channel:"

MAX_NAME_CHARS = 128
MAX_CHANNELS = 200
"""Parts of their own; a checkpoint has at most 256 parts."""

MAX_METADATA_CHARS = 100_000
"""Of metadata as JSON: they stand in the record, with everything else that names the parts."""


def part_of(channel: str) -> str:
    """The name of a channel's part; REST if it is too long for one."""
    name = CHANNEL + channel
    return name if len(name) <= MAX_NAME_CHARS else REST


def parts_of(
    serde: SerializerProtocol, checkpoint: GraphCheckpoint, new_versions: ChannelVersions,
    before: Mapping[str, Any],
) -> tuple[dict[str, StatePart], list[str]]:  # fmt: skip
    """The parts of a checkpoint, and the names of those that are as in its parent, which has parts
    of channels at the versions `before`."""
    found: dict[str, StatePart] = {}
    unchanged: list[str] = []
    rest: dict[str, tuple[str, bytes]] = {}
    channels = checkpoint["channel_values"]
    for channel, version in checkpoint["channel_versions"].items():
        name = part_of(channel)
        single = name != REST and len(found) + len(unchanged) < MAX_CHANNELS
        if single and channel not in new_versions and before.get(channel) == version:
            unchanged.append(name)
        elif channel in channels and single:
            found[name] = _part(serde, channels[channel])
        elif channel in channels:
            rest[channel] = serde.dumps_typed(channels[channel])
    body = {name: value for name, value in checkpoint.items() if name != "channel_values"}
    found[BODY] = _part(serde, body)
    if rest:
        found[REST] = _part(serde, rest)
    return found, unchanged


def checkpoint_of(serde: SerializerProtocol, found: Checkpoint) -> GraphCheckpoint:
    """LangGraph's checkpoint of one that was loaded with its contents."""
    channels: dict[str, Any] = {}
    for name, part in found.parts.items():
        if name.startswith(CHANNEL):
            channels[name[len(CHANNEL) :]] = loaded(serde, part)
    if REST in found.parts:
        rest = loaded(serde, found.parts[REST])
        channels |= {name: serde.loads_typed((tag, data)) for name, (tag, data) in rest.items()}
    body = loaded(serde, found.parts[BODY])
    return cast(GraphCheckpoint, {**body, "channel_values": channels})


def kept_versions(found: Checkpoint, versions: ChannelVersions) -> dict[str, Any]:
    """At which versions a checkpoint has channels in parts of their own."""
    return {
        channel: version
        for channel, version in versions.items()
        if part_of(channel) != REST and part_of(channel) in found.parts
    }


def metadata_to(
    serde: SerializerProtocol, metadata: CheckpointMetadata
) -> tuple[dict[str, Any], StatePart | None]:
    """Metadata as JSON, and as a part where that would not give them back."""
    try:
        text = json.dumps(metadata, allow_nan=False)
        text.encode("ascii").decode()
        if len(text) <= MAX_METADATA_CHARS and json.loads(text) == metadata:
            found: dict[str, Any] = json.loads(text)
            return found, None
    except (TypeError, ValueError, RecursionError):
        pass
    plain = {name: value for name, value in metadata.items() if _is_plain(value)}
    return plain, _part(serde, metadata)


def metadata_of(serde: SerializerProtocol, found: Checkpoint) -> CheckpointMetadata:
    """Metadata of a checkpoint that was loaded with its contents."""
    if METADATA in found.parts:
        return cast(CheckpointMetadata, loaded(serde, found.parts[METADATA]))
    return cast(CheckpointMetadata, dict(found.metadata))


def tuple_of(serde: SerializerProtocol, found: Checkpoint) -> CheckpointTuple:
    """What LangGraph is given of a checkpoint that was loaded."""
    writes = sorted(found.writes, key=lambda w: writes_sort_key(w.task_path, w.task_id, w.index))
    parent = config_of(found.thread, found.namespace, found.parent) if found.parent else None
    return CheckpointTuple(
        config=config_of(found.thread, found.namespace, found.id),
        checkpoint=checkpoint_of(serde, found),
        metadata=metadata_of(serde, found),
        parent_config=parent,
        pending_writes=[(w.task_id, w.channel, serde.loads_typed((w.tag, w.data))) for w in writes],
    )


def writes_of(
    serde: SerializerProtocol, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
) -> list[PendingWrite]:
    """What a task has written."""
    found = []
    for index, (channel, value) in enumerate(writes):
        tag, data = serde.dumps_typed(value)
        place = WRITES_IDX_MAP.get(channel, index)
        found.append(PendingWrite(task_id, place, channel, data, tag, task_path))
    return found


def config_of(thread: str, namespace: str, id_: str) -> RunnableConfig:
    """The name of a checkpoint, as LangGraph has it."""
    return {
        "configurable": {
            "thread_id": thread,
            "checkpoint_ns": namespace,
            "checkpoint_id": id_,
        }
    }


def loaded(serde: SerializerProtocol, part: StatePart) -> Any:
    """What a part holds."""
    assert part.data is not None, "it was loaded with its contents"
    return serde.loads_typed((part.tag, part.data))


def _part(serde: SerializerProtocol, value: Any) -> StatePart:
    tag, data = serde.dumps_typed(value)
    return StatePart.of(data, tag)


def _is_plain(value: Any) -> bool:
    """Whether a member of metadata can be filtered by although others cannot."""
    if isinstance(value, str):
        return len(value) < 1_000 and value.isprintable()
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 53)
