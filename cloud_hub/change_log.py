"""The history of each space, as the batches that were decided.

A row is what is sent to edges: consecutive commits of one origin with consecutive revisions, the
hub's header beside the compressed block. So what is on disk is encoded once. A row is found by a
revision or seq inside it as the first row that ends there or later.

Invariant: the rows of a space follow each other without a gap, and so do those of an origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from cloud_hub.storage.driver import Transaction
from sync import codec
from sync.batch import Decided, MalformedBatch

MAX_ROWS = 1_000
"""Rows of one answer; more would be single commits, of which a reader asks for the next."""


class LogDamaged(Exception):
    """A row of the log that cannot be read."""

    reason = "LOG_DAMAGED"


@dataclass(frozen=True, slots=True)
class LogRow:
    """Consecutive commits of one space. `origin` is the hub's number for `origin_id`; `token` that
    of the head after the transaction; `stamp_max` the greatest stamp of the space up to and
    including this row; `decided_ms` the hub's wall clock; `block` is compressed by `codec` from
    `block_bytes`."""

    first_revision: int
    last_revision: int
    epoch: int
    origin: int
    origin_id: bytes
    first_seq: int
    last_seq: int
    token: bytes
    stamp_max: int
    decided_ms: int
    header: bytes
    block: bytes
    block_bytes: int
    codec: str

    def __post_init__(self) -> None:
        assert 1 <= self.first_revision <= self.last_revision, self.first_revision
        assert self.last_seq - self.first_seq == self.last_revision - self.first_revision

    def __len__(self) -> int:
        return self.last_revision - self.first_revision + 1

    @property
    def size(self) -> int:
        """Bytes of the header and the compressed block."""
        return len(self.header) + len(self.block)

    def decided(self, space: str) -> Decided:
        """The batch, unpacked. Raises LogDamaged."""
        try:
            block = codec.unpack(self.block, self.codec, self.block_bytes)
            batch = codec.decode_block(space, self.origin_id, self.first_seq, block)
            return codec.decode_header(batch, self.epoch, self.first_revision, self.header)
        except MalformedBatch as error:
            raise LogDamaged(f"{space} at revision {self.first_revision}: {error}") from error

    def encoded_as(self, decided: Decided, codec_name: str) -> LogRow:
        """The row with another block and header in place of its own."""
        block = codec.encode_block(decided.batch)
        return replace(
            self,
            header=codec.encode_header(decided),
            block=codec.pack(block, codec_name),
            block_bytes=len(block),
            codec=codec_name,
        )


_STORED = (
    "first_revision", "last_revision", "epoch", "origin", "first_seq", "last_seq", "token",
    "stamp_max", "decided_ms", "header", "block", "block_bytes", "codec",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StampMark:
    """The greatest stamp of the space up to `revision`."""

    revision: int
    stamp: int


async def append(tx: Transaction, space: str, rows: Sequence[LogRow]) -> None:
    """Adds rows that follow the last one, under the space's locked head."""
    columns = [[*map(attrgetter(name), rows)] for name in _STORED]
    await tx.write_rows("log_append", columns, space)


async def at(tx: Transaction, space: str, revision: int) -> LogRow | None:
    """The row that holds a revision."""
    rows = await tx.fetch("log_at", space, revision)
    found = LogRow(*rows[0]) if rows else None
    return found if found is not None and found.first_revision <= revision else None


async def token_at(tx: Transaction, space: str, revision: int) -> bytes:
    """The token of the row that ends with a revision; empty if none does."""
    rows = await tx.fetch("log_token_at", space, revision)
    return bytes(rows[0][0]) if rows else b""


async def of_seq(tx: Transaction, space: str, origin: int, seq: int) -> LogRow | None:
    """The row that holds the decision on an origin's commit."""
    rows = await tx.fetch("log_of_seq", space, origin, seq)
    found = LogRow(*rows[0]) if rows else None
    return found if found is not None and found.first_seq <= seq else None


async def headers_below(
    tx: Transaction, space: str, origin: int, seq: int, limit: int
) -> list[tuple[int, int, bytes]]:
    """First revision, first seq and header of an origin's rows that end at or below a seq, the
    newest first."""
    return [(*row,) for row in await tx.fetch("log_headers_below", space, origin, seq, limit)]


async def after(
    tx: Transaction, space: str, revision: int, max_bytes: int, max_commits: int
) -> list[LogRow]:
    """The rows that end after a revision, in order; the first may begin before it.

    As many as fit into both limits, the bytes being those of headers and compressed blocks; one in
    any case, so that a reader always gets on.
    """
    last, commits, bytes_ = 0, 0, 0
    for end, count, size in await tx.fetch("log_sizes_after", space, revision, MAX_ROWS):
        commits, bytes_ = commits + count, bytes_ + size
        if last and (commits > max_commits or bytes_ > max_bytes):
            break
        last = end
    if not last:
        return []
    return [LogRow(*row) for row in await tx.fetch("log_between", space, revision, last)]


async def stamps_below(
    tx: Transaction, space: str, revisions: Iterable[int]
) -> dict[int, StampMark]:
    """For each revision the greatest stamp of all rows that end at or below it.

    What lies between `StampMark.revision` and the one asked for is in the row that holds it; a
    revision with no row below it is left out.
    """
    wanted = sorted(set(revisions))
    rows = await tx.fetch_by("log_stamps_below", (wanted,), space)
    return {asked: StampMark(last, stamp) for asked, last, stamp in rows}
