"""Blocks and headers: what is written, as columns, and what the hub made of it.

A block is decoded into columns with no object per change. What arrives is a
stranger's claim: every length is checked by the Batch itself, every payload by
`values.check_block`, and anything else wrong is a MalformedBatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TypeVar

from google.protobuf.message import DecodeError

from holdfast.v1 import record_pb2, replication_service_pb2
from sync import framing, values
from sync.batch import Batch, Decided, MalformedBatch
from sync.commit import (
    Actor,
    ActorKind,
    Extra,
    Kind,
    Outcome,
    OutcomeKind,
    Precondition,
    Version,
)
from sync.names import check_collection, check_keys
from sync.position import ID_BYTES

T = TypeVar("T")

MAX_BLOCK_BYTES = 3 << 20
"""Largest block before compression: larger than any batch may be, smaller than a message."""

_EMPTY_PAYLOAD = frozenset({Kind.NONE, Kind.DELETE})


# -- blocks ------------------------------------------------------------------


def encode_block(batch: Batch) -> bytes:
    """What a batch's author wrote, serialized and not compressed."""
    actors = list(dict.fromkeys(batch.actors))
    collections = list(dict.fromkeys(batch.collections))
    place = {name: i for i, name in enumerate(collections)}
    seat = {actor: i for i, actor in enumerate(actors)}
    block = replication_service_pb2.Block(
        commit_ids=b"".join(batch.commit_ids),
        base_epoch=batch.base_epoch,
        base_deltas=_deltas(batch.bases),
        seen_distances=[
            seq - seen if seen else 0 for seq, seen in enumerate(batch.seens, start=batch.first_seq)
        ],
        claimed_deltas=_deltas(batch.claimed),
        actors=[record_pb2.Actor(id=a.id, kind=int(a.kind)) for a in actors],  # type: ignore[arg-type]
        collections=collections,
        keys=batch.keys,
        kinds=batch.kinds,
        payloads=batch.payloads,
        extras=[_extra_to(i, extra) for i, extra in sorted(batch.extras.items())],
    )
    if len(actors) > 1:
        block.actor_indexes.extend(seat[actor] for actor in batch.actors)
    if len(collections) > 1:
        block.collection_indexes.extend(place[name] for name in batch.collections)
    if set(batch.op_counts) != {1}:
        block.op_counts.extend(batch.op_counts)
    return block.SerializeToString()


def decode_block(space: str, origin: bytes, first_seq: int, data: bytes) -> Batch:
    """The batch of a serialized block, checked. Raises MalformedBatch."""
    block = replication_service_pb2.Block()
    try:
        block.ParseFromString(data)
        ids, keys = block.commit_ids, tuple(block.keys)
        count = len(ids) // ID_BYTES
        actors = [Actor(a.id, ActorKind(a.kind)) for a in block.actors]
        batch = Batch(
            space=space,
            origin=origin,
            first_seq=first_seq,
            base_epoch=block.base_epoch,
            commit_ids=tuple(ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES)),
            bases=tuple(accumulate(block.base_deltas)),
            seens=tuple(
                seq - back if back else 0
                for seq, back in enumerate(block.seen_distances, start=first_seq)
            ),
            claimed=tuple(accumulate(block.claimed_deltas)),
            actors=_spread(actors, block.actor_indexes, count, "actors"),
            op_counts=tuple(block.op_counts) or (1,) * count,
            collections=_spread(
                list(block.collections), block.collection_indexes, len(keys), "collections"
            ),
            keys=keys,
            kinds=block.kinds,
            payloads=tuple(block.payloads),
            extras={extra.index: _extra_from(extra) for extra in block.extras},
        )
        _check_contents(batch, block.collections)
    except MalformedBatch:
        raise
    except (DecodeError, ValueError, AssertionError) as error:
        raise MalformedBatch(f"a block that cannot be read: {error}") from error
    return batch


def _check_contents(batch: Batch, collections: Iterable[str]) -> None:
    for name in collections:
        check_collection(name)
    check_keys(batch.keys)
    full = [payload for payload in batch.payloads if payload]
    values.check_block(full)
    for kind, payload in zip(batch.kinds, batch.payloads, strict=True):
        if (kind in _EMPTY_PAYLOAD) != (not payload):
            raise MalformedBatch(f"a {Kind(kind).name} with{'out' if payload else ''} a payload")
    if any(not 0 <= index < len(batch) for index in batch.extras):
        raise MalformedBatch("an extra for a commit that is not in the block")
    if any(not 1 <= len(actor.id) <= 128 for actor in set(batch.actors)):
        raise MalformedBatch("an actor's id has 1 to 128 characters")


def _deltas(column: Sequence[int]) -> list[int]:
    return [value - before for before, value in zip((0, *column), column, strict=False)]


def _spread(table: list[T], indexes: Sequence[int], count: int, name: str) -> tuple[T, ...]:
    if not indexes:
        if not count:
            return ()
        if not table:
            raise MalformedBatch(f"no {name}")
        return (table[0],) * count
    if max(indexes) >= len(table):
        raise MalformedBatch(f"an index beyond the table of {name}")
    return tuple([table[i] for i in indexes])


def _extra_to(index: int, extra: Extra) -> replication_service_pb2.CommitExtra:
    return replication_service_pb2.CommitExtra(
        index=index,
        seen=[record_pb2.Seen(origin=origin, seq=seq) for origin, seq in extra.seen],
        preconditions=[precondition_to(p) for p in extra.preconditions],
        correlation_id=extra.correlation_id,
        causation_id=extra.causation_id,
        retryable=extra.retryable,
        coalesced_by=extra.coalesced_by,
    )


def _extra_from(extra: replication_service_pb2.CommitExtra) -> Extra:
    return Extra(
        seen=tuple((seen.origin, seen.seq) for seen in extra.seen),
        preconditions=tuple(precondition_from(p) for p in extra.preconditions),
        correlation_id=extra.correlation_id,
        causation_id=extra.causation_id,
        retryable=extra.retryable,
        coalesced_by=extra.coalesced_by,
    )


def precondition_to(wanted: Precondition) -> record_pb2.Precondition:
    """A precondition as it travels."""
    message = record_pb2.Precondition(collection=wanted.collection, key=wanted.key)
    if wanted.version is None:
        message.exists = bool(wanted.exists)
    else:
        message.version.CopyFrom(version_to(wanted.version))
    return message


def precondition_from(message: record_pb2.Precondition) -> Precondition:
    """A precondition from the wire. Raises MalformedBatch if it says nothing."""
    which = message.WhichOneof("condition")
    if which == "version":
        version = version_from(message.version)
        return Precondition(message.collection, message.key, version=version)
    if which == "exists":
        return Precondition(message.collection, message.key, exists=message.exists)
    raise MalformedBatch("a precondition without a condition")


def version_to(version: Version) -> record_pb2.Version:
    """A version as it travels."""
    return record_pb2.Version(
        epoch=version.epoch,
        revision=version.revision,
        origin=version.origin,
        seq=version.seq,
        pending=version.pending,
    )


def version_from(message: record_pb2.Version) -> Version:
    """A version from the wire."""
    return Version(message.epoch, message.revision, message.origin, message.seq, message.pending)


# -- headers -----------------------------------------------------------------


def encode_header(decided: Decided) -> bytes:
    """The hub's part of a decided batch, serialized."""
    return replication_service_pb2.LogHeader(
        stamp_skews=[
            stamp - claimed
            for stamp, claimed in zip(decided.stamps, decided.batch.claimed, strict=True)
        ],
        outcomes=[_outcome_to(i, o) for i, o in sorted(decided.outcomes.items())],
        previous_distances=_distances(decided) if any(decided.previous) else [],
    ).SerializeToString()


def decode_header(batch: Batch, epoch: int, first_revision: int, data: bytes) -> Decided:
    """A decided batch from its block and header. Raises MalformedBatch."""
    header = replication_service_pb2.LogHeader()
    try:
        header.ParseFromString(data)
        if len(header.stamp_skews) != len(batch):
            raise MalformedBatch("the header does not fit the block")
        outcomes = {outcome.index: _outcome_from(outcome) for outcome in header.outcomes}
    except (DecodeError, ValueError) as error:
        raise MalformedBatch(f"a header that cannot be read: {error}") from error
    distances = header.previous_distances
    return Decided(
        batch=batch,
        epoch=epoch,
        first_revision=first_revision,
        stamps=tuple([c + s for c, s in zip(batch.claimed, header.stamp_skews, strict=True)]),
        previous=tuple(_previous(first_revision, d) for d in distances) or (0,) * len(batch.keys),
        outcomes=outcomes,
    )


def _distances(decided: Decided) -> list[int]:
    first = decided.first_revision
    return [
        0 if not previous else first - previous + 1 if previous <= first else first - previous
        for previous in decided.previous
    ]


def _previous(first_revision: int, distance: int) -> int:
    """Distance 0 is none; 1 and more reach back; below zero, into this batch."""
    if distance == 0:
        return 0
    return first_revision - distance + (1 if distance > 0 else 0)


def _outcome_to(index: int, outcome: Outcome) -> replication_service_pb2.CommitOutcome:
    return replication_service_pb2.CommitOutcome(
        index=index,
        kind=int(outcome.kind),  # type: ignore[arg-type]
        reason=outcome.reason,
        by_origin=outcome.by_origin,
        by_seq=outcome.by_seq,
    )


def _outcome_from(message: replication_service_pb2.CommitOutcome) -> Outcome:
    return Outcome(OutcomeKind(message.kind), message.reason, message.by_origin, message.by_seq)


# -- compression -------------------------------------------------------------


def pack(block: bytes, codec: str) -> bytes:
    """A block as it travels."""
    return framing.compress(block, codec)


def unpack(data: bytes, codec: str, block_bytes: int) -> bytes:
    """A block from the wire, at most MAX_BLOCK_BYTES. Raises MalformedBatch."""
    if block_bytes > MAX_BLOCK_BYTES:
        raise MalformedBatch(f"a block of {block_bytes} bytes; at most {MAX_BLOCK_BYTES}")
    try:
        block = framing.decompress(data, codec, MAX_BLOCK_BYTES)
    except framing.FrameRefused as error:
        raise MalformedBatch(f"{error.reason}: {error}") from error
    if len(block) != block_bytes:
        raise MalformedBatch("a block of another size than announced")
    return block
