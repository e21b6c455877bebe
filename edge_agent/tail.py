"""Recent decided batches, as received, with the records' values after each operation.

The tail feeds what looks back: histories, outcomes, watches that resume. The values after each
operation (images) are kept beside the batch, because an operation alone says only what it changes.
It is bounded by bytes: whoever looks further back is sent to the hub.

Invariant: per space, the batches above `tail_from` are here, as far as they were sent to this edge.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_agent import statements
from edge_agent.standing import Standing
from sync import codec, framing
from sync.batch import Decided
from sync.commit import OutcomeKind
from sync.messages import AskDecided, Changes

SQL = statements.load("replica")
LOOK = statements.load("reads")

LIMIT_BYTES = 64 << 20
"""Of each space: minutes to hours of a busy site, on a device's disk."""

TRIM_BATCHES = 256
"""Let go of at once: some milliseconds inside the transaction that exceeded the limit."""

MAX_IMAGES_BYTES = 8 << 20
"""Values after the operations of one batch. A batch of 10,000 patches to large records could ask
for gigabytes; beyond this, resuming a watch across the batch is refused instead."""

_CODEC = framing.available_codecs()[0]

Images = tuple[bytes | None, ...]
"""Per operation the record's value after it, None where it had no effect."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A decided batch with the message it came in; `codec` is that of the stream."""

    decided: Decided
    changes: Changes
    codec: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A batch of the tail. `images` are None where they were too large to keep."""

    decided: Decided
    images: Images | None


def keep(
    connection: sqlite3.Connection, standing: Standing, arrival: Arrival, images: Images | None
) -> None:
    """Adds a batch, within the transaction that applies it."""
    changes, decided = arrival.changes, arrival.decided
    packed = None if images is None else pack_images(images)
    size = len(changes.header) + len(changes.block) + len(packed or b"") + 128
    connection.execute(
        SQL["keep_tail"],
        (standing.space, decided.last_revision, decided.first_revision, decided.epoch,
         changes.origin, changes.first_seq, decided.batch.last_seq, changes.header, changes.block,
         changes.block_bytes, arrival.codec, packed, size),
    )  # fmt: skip
    standing.tail_bytes += size


def trim(
    connection: sqlite3.Connection, standing: Standing, limit_bytes: int = LIMIT_BYTES
) -> None:
    """Lets the oldest batches go while the tail is larger than it may be."""
    if standing.tail_bytes <= limit_bytes:
        return
    rows = connection.execute(SQL["oldest_tail"], (standing.space, TRIM_BATCHES)).fetchall()
    until = 0
    for last_revision, size in rows:
        if standing.tail_bytes <= limit_bytes:
            break
        until = last_revision
        standing.tail_bytes -= size
    connection.execute(SQL["trim_tail"], (standing.space, until))
    standing.tail_from = max(standing.tail_from, until)


def at(connection: sqlite3.Connection, space: str, revision: int) -> Kept | None:
    """The batch that decided a revision, None if it is not here."""
    row = connection.execute(LOOK["tail_at"], (space, revision)).fetchone()
    return None if row is None or row[0] > revision else _kept(space, row)


def of_seq(connection: sqlite3.Connection, space: str, origin: bytes, seq: int) -> Kept | None:
    """The batch with a commit, None if it is not here."""
    row = connection.execute(LOOK["tail_of_seq"], (space, origin, seq)).fetchone()
    return None if row is None or row[3] > seq else _kept(space, row)


def lost_up_to(
    connection: sqlite3.Connection, asked: AskDecided
) -> tuple[tuple[int, int], ...] | None:
    """What of an origin was declared lost up to a seq, decided after a revision; None if the seq is
    not here. It is right where the tail reaches back to that revision, of the whole space."""
    kept = of_seq(connection, asked.space, asked.origin, asked.seq)
    if kept is None:
        return None
    lost: list[tuple[int, int]] = []
    while kept is not None and kept.decided.last_revision > asked.since:
        decided = kept.decided
        for index, outcome in sorted(decided.outcomes.items(), reverse=True):
            seq = decided.batch.first_seq + index
            fresh = decided.first_revision + index > asked.since
            if outcome.kind is OutcomeKind.LOST and fresh and seq <= asked.seq:
                lost.append((seq, 1))
        before = decided.batch.first_seq - 1
        kept = of_seq(connection, asked.space, asked.origin, before) if before else None
    return tuple(reversed(lost))


def after(connection: sqlite3.Connection, space: str, revision: int, limit: int) -> list[Kept]:
    """The batches with revisions above, oldest first, at most `limit`."""
    rows = connection.execute(LOOK["tail_after"], (space, revision, limit))
    return [_kept(space, row) for row in rows]


def _kept(space: str, row: Sequence[object]) -> Kept:
    first_revision, epoch, origin, first_seq, header, block, block_bytes, name, images = row
    assert isinstance(first_revision, int) and isinstance(epoch, int)
    assert isinstance(origin, bytes) and isinstance(first_seq, int)
    assert isinstance(header, bytes) and isinstance(block, bytes)
    assert isinstance(block_bytes, int) and isinstance(name, str)
    content = codec.unpack(block, name, block_bytes)
    batch = codec.decode_block(space, origin, first_seq, content)
    decided = codec.decode_header(batch, epoch, first_revision, header)
    values = unpack_images(images, len(batch.keys)) if isinstance(images, bytes) else None
    return Kept(decided, values)


def pack_images(images: Images) -> bytes:
    """The column's bytes: a codec, the lengths plus one (zero: None), and the values."""
    lengths = [0 if image is None else len(image) + 1 for image in images]
    content = struct.pack(f"<{len(lengths)}I", *lengths) + b"".join(filter(None, images))
    return _CODEC.encode() + b"\n" + framing.compress(content, _CODEC)


def unpack_images(packed: bytes, ops: int) -> Images:
    """What `pack_images` was given. Raises framing.FrameRefused for damage."""
    name, _, data = packed.partition(b"\n")
    limit = MAX_IMAGES_BYTES + 4 * ops
    content = framing.decompress(data, name.decode(), limit)
    lengths = struct.unpack_from(f"<{ops}I", content)
    return tuple(_cut(content, 4 * ops, lengths))


def _cut(content: bytes, start: int, lengths: Sequence[int]) -> Iterator[bytes | None]:
    for length in lengths:
        if length:
            yield content[start : start + length - 1]
            start += length - 1
        else:
            yield None
