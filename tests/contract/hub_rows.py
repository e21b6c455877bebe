"""Rows of the hub's tables for tests, with everything filled in that a test does not care about."""

from __future__ import annotations

from collections.abc import Mapping

from cloud_hub.change_log import LogRow
from cloud_hub.records import StoredRecord
from sync.commit import Actor, ActorKind
from sync.context import Part
from sync.digest import record_digest
from sync.working import Working
from tests.contract.conftest import NOW_MS, ORIGIN

ROBOT = Actor("robot-1", ActorKind.ROBOT)
TOKEN = b"t" * 16


def record(
    revision: int = 1,
    value: bytes = b'{"a":1}',
    *,
    deleted: bool = False,
    parts: Mapping[str, Part] | None = None,
    gone: Part | None = None,
) -> StoredRecord:
    part = Part(revision, 1, revision, revision << 16)
    working = Working(value, deleted, *part, 0, part, dict(parts or {}), gone)
    digest = 0 if deleted else record_digest("site", "robots", "k", revision, value)
    return StoredRecord(working, digest, ROBOT)


def log_row(first: int, last: int, *, size: int = 10, seq: int | None = None) -> LogRow:
    start = first if seq is None else seq
    return LogRow(
        first_revision=first,
        last_revision=last,
        epoch=1,
        origin=1,
        origin_id=ORIGIN,
        first_seq=start,
        last_seq=start + last - first,
        token=TOKEN,
        stamp_max=last << 16,
        decided_ms=NOW_MS,
        header=b"h",
        block=b"b" * size,
        block_bytes=size,
        codec="identity",
    )
