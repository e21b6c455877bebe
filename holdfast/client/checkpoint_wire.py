"""Checkpoints and threads between Python and the messages of the interface."""

from __future__ import annotations

from hashlib import sha256

from holdfast.client import values, wire
from holdfast.client.checkpoint_records import (
    Checkpoint,
    CheckpointKind,
    PendingWrite,
    StatePart,
    Thread,
)
from holdfast.errors import InvalidArgument
from holdfast.v1 import checkpoint_service_pb2 as pb

_KINDS = {
    CheckpointKind.AUTO: pb.CHECKPOINT_KIND_AUTO,
    CheckpointKind.MANUAL: pb.CHECKPOINT_KIND_MANUAL,
    CheckpointKind.ERROR_RECOVERY: pb.CHECKPOINT_KIND_ERROR_RECOVERY,
}
_KINDS_BACK = {number: kind for kind, number in _KINDS.items()}


def kind_to(kind: CheckpointKind | str) -> pb.CheckpointKind.ValueType:
    """Raises InvalidArgument."""
    try:
        return _KINDS[CheckpointKind(kind)]
    except ValueError:
        known = ", ".join(CheckpointKind)
        raise InvalidArgument("UNKNOWN_ENUM_VALUE", f"kinds are {known}, not {kind!r}") from None


def part_to(name: str, part: StatePart) -> pb.StatePart:
    """A part, with its bytes as far as it has them."""
    return pb.StatePart(
        name=values.encodable(name),
        tag=values.encodable(part.tag),
        size=part.size,
        sha256=part.sha256,
        chunks=part.chunks,
        data=part.data,
    )


def write_to(write: PendingWrite) -> pb.PendingWrite:
    """What a task has written; with chunks it has been sent before."""
    return pb.PendingWrite(
        task_id=values.encodable(write.task_id),
        task_path=values.encodable(write.task_path),
        index=write.index,
        channel=values.encodable(write.channel),
        tag=values.encodable(write.tag),
        data=None if write.chunks else write.data,
        size=len(write.data),
        sha256=sha256(write.data).digest(),
        chunks=write.chunks,
    )


def checkpoint_from(space: str, message: pb.Checkpoint) -> Checkpoint:
    """A checkpoint; a kind that is new to this client counts as automatic."""
    parts = {
        part.name: StatePart(
            part.tag,
            part.size,
            part.sha256,
            tuple(part.chunks),
            part.data if part.HasField("data") else None,
        )
        for part in message.parts
    }
    return Checkpoint(
        id=message.id,
        thread=message.thread_id,
        space=space,
        namespace=message.namespace,
        parent=message.parent_id,
        kind=_KINDS_BACK.get(message.kind, CheckpointKind.AUTO),
        name=message.name,
        metadata=values.decode(message.metadata_json or "{}"),
        schema_version=message.schema_version,
        parts=parts,
        size=message.size,
        stored=message.stored,
        created_ms=message.created_ms,
        actor=wire.actor_from(message.actor) if message.HasField("actor") else None,
        version=wire.version_from(message.version) if message.HasField("version") else None,
        writes=tuple(map(_write_from, message.writes)),
    )


def _write_from(message: pb.PendingWrite) -> PendingWrite:
    return PendingWrite(
        message.task_id,
        message.index,
        message.channel,
        message.data,
        message.tag,
        message.task_path,
        () if message.HasField("data") else tuple(message.chunks),
    )


def thread_from(space: str, message: pb.Thread) -> Thread:
    """A thread."""
    return Thread(
        id=message.id,
        space=space,
        holder=message.holder,
        token=message.token,
        heads={head.namespace: head.checkpoint_id for head in message.heads},
        created_ms=message.created_ms,
        version=wire.version_from(message.version) if message.HasField("version") else None,
        held_here=message.held_here,
    )
