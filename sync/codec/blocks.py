"""Blocks and headers: what is written, as columns, and what the hub made of it.

A block is decoded into columns with no object per change. What arrives is a
stranger's claim: every length is checked by the Batch itself, every payload by
`values.check_block`, and anything wrong is a MalformedBatch, with the commit to
blame where it is one: that one is set aside, and the others go on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TypeVar

from google.protobuf.message import DecodeError

from holdfast.v1 import record_pb2, replication_service_pb2
from sync import framing, splices, values
from sync.apply import names_of
from sync.batch import MAX_OPS, Batch, Decided, MalformedBatch
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
from sync.names import (
    MAX_CORRELATION_CHARS,
    InvalidName,
    check_actor,
    check_collection,
    check_keys,
)
from sync.position import ID_BYTES, MAX_NUMBER

T = TypeVar("T")

MAX_BLOCK_BYTES = 3 << 20
"""Largest block before compression: larger than any batch may be, smaller than a message."""

_OPENS: dict[int, bytes] = dict.fromkeys(map(int, Kind), b"{") | {
    Kind.NONE: b"", Kind.DELETE: b"", Kind.REMOVE: b"[",
}  # fmt: skip
"""How the payload of each kind begins; what is canonical beyond that is values' to say."""


_SHAPES: dict[int, Callable[[bytes], object]] = {
    Kind.REMOVE: names_of, Kind.SPLICE: splices.decode, Kind.SPLICE_CREATE: splices.decode,
}  # fmt: skip
"""Payloads that are more than an object, and what raises InvalidValue if they are not so."""


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
        if len(batch.extras) != len(block.extras):
            raise MalformedBatch("two extras for one commit")
        plain = _check_contents(batch, block.collections)
    except MalformedBatch:
        raise
    except (DecodeError, ValueError, AssertionError) as error:
        raise MalformedBatch(f"a block that cannot be read: {error}") from error
    return replace(batch, plain=True) if plain else batch


def _check_contents(batch: Batch, collections: Iterable[str]) -> bool:
    """Whether orjson keeps every payload. Raises MalformedBatch."""
    for name in collections:
        check_collection(name)
    check_keys(batch.keys)
    for actor in set(batch.actors):
        check_actor(actor.id)
    plain = _check_payloads(batch)
    if batch.extras:
        _check_extras(batch)
    if Kind.PUT in batch.kinds:
        _check_puts(batch)
    return plain


def _check_puts(batch: Batch) -> None:
    """Only strong commits are sent as they were asked for."""
    for op, kind in enumerate(batch.kinds):
        if kind == Kind.PUT and not batch.extra(_owner(batch, op)).strong:
            raise MalformedBatch("a PUT that was not reduced", _owner(batch, op))


def _check_payloads(batch: Batch) -> bool:
    for op, (kind, payload) in enumerate(zip(batch.kinds, batch.payloads, strict=True)):
        if payload[:1] != _OPENS[kind]:
            raise MalformedBatch(f"a {Kind(kind).name} with another payload", _owner(batch, op))
    full = [op for op, payload in enumerate(batch.payloads) if payload]
    try:
        plain = values.check_block([batch.payloads[op] for op in full])
    except values.InvalidValue as error:
        owner = None if error.index is None else _owner(batch, full[error.index])
        raise MalformedBatch(f"{error.reason}: {error}", owner) from error
    for op, kind in enumerate(batch.kinds):
        check = _SHAPES.get(kind)
        if check is not None:
            try:
                check(batch.payloads[op])
            except values.InvalidValue as error:
                raise MalformedBatch(str(error), _owner(batch, op)) from error
    return plain


def _check_extras(batch: Batch) -> None:
    if not 0 <= min(batch.extras) <= max(batch.extras) < len(batch):
        raise MalformedBatch("an extra for a commit that is not in the block")
    if sum(len(extra.preconditions) for extra in batch.extras.values()) > MAX_OPS:
        raise MalformedBatch(f"more than {MAX_OPS} preconditions")
    starts = batch.op_starts() if any(e.coalesced_by for e in batch.extras.values()) else []
    for index, extra in batch.extras.items():
        fault = _fault(extra)
        if extra.coalesced_by and any(batch.kinds[starts[index] : starts[index + 1]]):
            fault = "a coalesced commit has no operations"
        elif extra.coalesced_by and extra.coalesced_by <= batch.first_seq + index:
            fault = "a commit is coalesced by a later one"
        if fault:
            raise MalformedBatch(fault, index)


def _fault(extra: Extra) -> str:
    """What is wrong with an extra by itself; nothing if it is sound."""
    if any(len(origin) != ID_BYTES or seq > MAX_NUMBER for origin, seq in extra.seen):
        return "a seen commit has an origin and a seq"
    if len(extra.correlation_id) > MAX_CORRELATION_CHARS:
        return f"a correlation id has at most {MAX_CORRELATION_CHARS} characters"
    if len(extra.causation_id) not in (0, ID_BYTES):
        return f"a causation id has {ID_BYTES} bytes"
    if extra.coalesced_by > MAX_NUMBER:
        return "a commit is coalesced by a seq"
    if (extra.expired or extra.blind or extra.strong) and (extra.coalesced_by or not extra.strong):
        return "only a strong commit expires or is blind, and none is coalesced"
    try:
        check_keys(wanted.key for wanted in extra.preconditions)
        for wanted in extra.preconditions:
            check_collection(wanted.collection)
            if wanted.version is not None and not _is_sound(wanted.version):
                return "a version has an origin and numbers"
            if (wanted.authority or 0) > MAX_NUMBER:
                return "a token is a number"
    except InvalidName as error:
        return str(error)
    return ""


def _is_sound(version: Version) -> bool:
    known = len(version.origin) in (0, ID_BYTES)
    return known and max(version.epoch, version.revision, version.seq) <= MAX_NUMBER


def _owner(batch: Batch, op: int) -> int:
    """The commit that an operation belongs to."""
    return bisect_right(batch.op_starts(), op) - 1


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
        strong=extra.strong,
        expired=extra.expired,
        blind=extra.blind,
    )


def _extra_from(extra: replication_service_pb2.CommitExtra) -> Extra:
    return Extra(
        seen=tuple((seen.origin, seen.seq) for seen in extra.seen),
        preconditions=tuple(precondition_from(p) for p in extra.preconditions),
        correlation_id=extra.correlation_id,
        causation_id=extra.causation_id,
        retryable=extra.retryable,
        coalesced_by=extra.coalesced_by,
        strong=extra.strong,
        expired=extra.expired,
        blind=extra.blind,
    )


def precondition_to(wanted: Precondition) -> record_pb2.Precondition:
    """A precondition as it travels."""
    message = record_pb2.Precondition(collection=wanted.collection, key=wanted.key)
    if wanted.version is not None:
        message.version.CopyFrom(version_to(wanted.version))
    elif wanted.authority is not None:
        message.authority = wanted.authority
    else:
        message.exists = bool(wanted.exists)
    return message


def precondition_from(message: record_pb2.Precondition) -> Precondition:
    """A precondition from the wire. Raises MalformedBatch if it says nothing."""
    which = message.WhichOneof("condition")
    if which == "version":
        version = version_from(message.version)
        return Precondition(message.collection, message.key, version=version)
    if which == "exists":
        return Precondition(message.collection, message.key, exists=message.exists)
    if which == "authority":
        return Precondition(message.collection, message.key, authority=message.authority)
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


def lost_in(header: bytes) -> list[int]:
    """Which commits of a batch were decided as lost, by their index. Raises MalformedBatch."""
    found = replication_service_pb2.LogHeader()
    try:
        found.ParseFromString(header)
    except DecodeError as error:
        raise MalformedBatch(f"a header that cannot be read: {error}") from error
    return [o.index for o in found.outcomes if OutcomeKind(o.kind) is OutcomeKind.LOST]


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
