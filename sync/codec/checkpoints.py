"""Checkpoints as they are asked for and told: the messages of CheckpointService and BlobService."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from holdfast.v1 import blob_service_pb2 as blob_pb
from holdfast.v1 import checkpoint_service_pb2 as pb
from holdfast.v1 import record_pb2
from sync import chains, framing
from sync.chains import CHUNK_BYTES, HASH_BYTES, MAX_DEPTH, Blob
from sync.codec.requests import BadRequest
from sync.contents import Part, described
from sync.pruning import Policy
from sync.threads import Checkpoint, CheckpointKind, Place, TaskWrites, Thread

KINDS = {
    pb.CHECKPOINT_KIND_AUTO: CheckpointKind.AUTO,
    pb.CHECKPOINT_KIND_MANUAL: CheckpointKind.MANUAL,
    pb.CHECKPOINT_KIND_ERROR_RECOVERY: CheckpointKind.ERROR_RECOVERY,
}
_KINDS_BACK = {kind: number for number, kind in KINDS.items()}


def kind_from(number: pb.CheckpointKind.ValueType) -> CheckpointKind:
    """Raises BadRequest."""
    if number == pb.CHECKPOINT_KIND_UNSPECIFIED:
        return CheckpointKind.AUTO
    if number not in KINDS:
        raise BadRequest("UNKNOWN_ENUM_VALUE", "kind: one of AUTO, MANUAL, ERROR_RECOVERY")
    return KINDS[number]


def part_from(message: pb.StatePart) -> Part:
    """A part, by its data or by what is said of it. Raises BadRequest, InvalidManifest."""
    if message.HasField("data"):
        part = described(message.data, message.tag)
        if message.sha256 not in (b"", part.hash):
            raise BadRequest("MALFORMED_REQUEST", f"part {message.name!r} has another hash")
        return part
    return Part(message.tag, message.size, message.sha256, b"", tuple(message.chunks))


def part_to(name: str, part: Part, data: bytes | None = None) -> pb.StatePart:
    """A part as it travels; with its bytes where they are given, or stand in it."""
    if data is None and not part.chunks:
        data = part.inline
    return pb.StatePart(
        name=name, tag=part.tag, size=part.size, sha256=part.hash, chunks=part.chunks, data=data
    )


def write_from(message: pb.PendingWrite) -> Part:
    """What was written, by its data or by what is said of it. Raises InvalidManifest."""
    if message.HasField("data"):
        return described(message.data, message.tag)
    return Part(message.tag, message.size, message.sha256, b"", tuple(message.chunks))


def checkpoint_to(
    place: Place, id_: str, found: Checkpoint, record: record_pb2.Record | None,
    data: Mapping[str, bytes] | None = None, *, bare: bool = False,
) -> pb.Checkpoint:  # fmt: skip
    """A checkpoint as it travels; `data` are bytes of its parts, `bare` leaves all of them out."""
    parts = [part_to(name, part, (data or {}).get(name)) for name, part in found.parts.items()]
    if bare:
        for part in parts:
            part.ClearField("data")
    return pb.Checkpoint(
        id=id_,
        thread_id=place.thread_id,
        namespace=place.namespace,
        parent_id=found.parent,
        kind=_KINDS_BACK[found.kind],
        name=found.name,
        metadata_json=found.metadata.decode(),
        schema_version=found.schema_version,
        parts=parts,
        size=found.size,
        stored=found.stored,
        created_ms=found.created_ms,
        actor=None if record is None else record.actor,
        version=None if record is None else record.version,
    )


def thread_to(thread_id: str, found: Thread, node: str, version: record_pb2.Version) -> pb.Thread:
    """A thread as it travels, told by a node."""
    heads = sorted(found.heads.items())
    return pb.Thread(
        id=thread_id,
        holder=found.authority.holder,
        token=found.authority.token,
        heads=[pb.ThreadHead(namespace=name, checkpoint_id=id_) for name, id_ in heads],
        created_ms=found.created_ms,
        version=version,
        held_here=found.authority.holder == node,
    )


def writes_to(task_id: str, found: TaskWrites, data: Mapping[int, bytes]) -> list[pb.PendingWrite]:
    """What a task has written, as it travels, by index."""
    return [
        pb.PendingWrite(
            task_id=task_id, task_path=found.path, index=n, channel=found.channels[n],
            tag=part.tag, data=data.get(n), size=part.size, sha256=part.hash,
            chunks=part.chunks,
        )
        for n, part in sorted(found.parts.items())
    ]  # fmt: skip


def policy_from(message: pb.PrunePolicy) -> Policy:
    """Which checkpoints stay."""

    def given(name: str) -> int | None:
        return getattr(message, name) if message.HasField(name) else None  # type: ignore[arg-type]

    return Policy(given("last"), given("daily"), given("ttl_ms"), given("budget"))


# -- blobs -------------------------------------------------------------------


def blob_to(blob: Blob) -> blob_pb.PackedBlob:
    """A blob as it travels."""
    return blob_pb.PackedBlob(
        name=blob.name, size=blob.size, codec=blob.codec, base=blob.base or b"", depth=blob.depth,
        keyframe=blob.keyframe, packed=blob.packed,
    )  # fmt: skip


def blobs_from(messages: Iterable[blob_pb.PackedBlob]) -> list[Blob]:
    """Blobs as they came; what is in them is not looked at yet. Raises BadRequest."""
    return [_blob_from(message) for message in messages]


def _blob_from(message: blob_pb.PackedBlob) -> Blob:
    check_hashes([message.name, *([message.base] if message.base else [])])
    fits = 0 < message.size <= CHUNK_BYTES and message.depth <= MAX_DEPTH
    packed = 0 < len(message.packed) <= CHUNK_BYTES + OVERHEAD_BYTES and message.keyframe > 0
    if not fits or not packed or (message.depth == 0) != (not message.base):
        raise BadRequest("MALFORMED_REQUEST", f"blob {message.name.hex()} cannot be one")
    if message.codec not in (framing.ZSTD, framing.IDENTITY):
        raise BadRequest(
            "MALFORMED_REQUEST", f"codec: zstd or identity, not {message.codec[:20]!r}"
        )
    return Blob(
        message.name, message.size, message.codec, message.base or None, message.depth,
        message.keyframe, message.packed,
    )  # fmt: skip


OVERHEAD_BYTES = 1024
"""What packing may add to a chunk that cannot be compressed."""


def check_hashes(names: Iterable[bytes]) -> None:
    """Raises BadRequest."""
    if any(len(name) != HASH_BYTES for name in names):
        raise BadRequest("MALFORMED_REQUEST", f"the hash of a chunk has {HASH_BYTES} bytes")


def chunk_from(data: bytes) -> bytes:
    """A chunk. Raises BadRequest."""
    if not 0 < len(data) <= chains.CHUNK_BYTES:
        raise BadRequest("MALFORMED_REQUEST", f"a chunk has 1 to {chains.CHUNK_BYTES} bytes")
    return data
