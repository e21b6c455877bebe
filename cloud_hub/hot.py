"""What a process keeps of a space between its transactions.

Hot records, watermarks, policies and digests need not be read again while
nobody else has written. The head says so: its token is rewritten by every
transaction, so what is kept is valid only while revision and token are what was
seen last. Another process's commit, or a database put back, differs in one of
them, and everything kept is dropped.

Whoever works on a space takes what is kept and puts it back when his
transaction is durable; if it fails, what he has changed is gone with it.

Invariant: what is kept is what the database holds at (revision, token).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cloud_hub.digests import Tally
from cloud_hub.heads import Head
from cloud_hub.origins import Watermark
from cloud_hub.records import StoredRecord
from sync.policy import Policies
from sync.position import Lineage
from sync.resolve import Key

KEPT_RECORDS = 20_000
"""Records kept per space: some 20 MB; the keys that a busy fleet writes again and again."""

KEPT_VALUE_BYTES = 4 << 10
"""Of one record. Those that are written again and again are small; as many of the largest would be
gigabytes."""

KEPT_DOCUMENTS = 16
"""Records with long texts kept per space: what a few people write at one time. Their edits go into
the text as it lies here; at most 100 MB."""

KEPT_ORIGINS = 10_000
"""Watermarks and numbers of origins: as many as edges of one process."""

KEPT_SPACES = 64
"""Spaces with something kept; beyond, the one used longest ago goes."""


@dataclass(slots=True)
class Kept:
    """What is kept of one space."""

    revision: int
    token: bytes
    lineage: Lineage
    policies: Policies
    tallies: dict[str, Tally]
    numbers: dict[bytes, int] = field(default_factory=dict)
    marks: dict[int, Watermark] = field(default_factory=dict)
    records: dict[Key, StoredRecord] = field(default_factory=dict)
    documents: dict[Key, StoredRecord] = field(default_factory=dict)
    """Those with long texts."""

    def keep_records(self, records: dict[Key, StoredRecord]) -> None:
        """Keeps these, the newest last and without the large ones, and lets the oldest go."""
        for key in records:
            self.records.pop(key, None)
            self.documents.pop(key, None)
        self.records.update(
            (key, record)
            for key, record in records.items()
            if record.working.body.bound <= KEPT_VALUE_BYTES
        )
        self.documents.update(
            (key, record) for key, record in records.items() if record.working.body.paged
        )
        _trim(self.records, KEPT_RECORDS)
        _trim(self.documents, KEPT_DOCUMENTS)

    def record(self, key: Key) -> StoredRecord | None:
        """A record, if it is kept."""
        return self.records.get(key) or self.documents.get(key)

    def bounded(self) -> Kept:
        """With no more origins than may be kept."""
        if len(self.numbers) > KEPT_ORIGINS:
            self.numbers.clear()
            self.marks.clear()
        return self


class HotSpaces:
    """What a process keeps, by space."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def take(self, head: Head) -> Kept | None:
        """What is kept and still valid; it is the caller's until it is put back."""
        kept = self._kept.pop(head.space, None)
        if kept is None or (kept.revision, kept.token) != (head.revision, head.token):
            return None
        return kept if kept.lineage.present.ordinal == head.epoch else None

    def put(self, space: str, kept: Kept) -> None:
        """Keeps it: its transaction is durable."""
        self._kept[space] = kept.bounded()
        _trim(self._kept, KEPT_SPACES)


def _trim(kept: dict[str, Kept] | dict[Key, StoredRecord], most: int) -> None:
    surplus = len(kept) - most
    if surplus > 0:
        oldest: Iterable[object] = [key for key, _ in zip(kept, range(surplus), strict=False)]
        for key in oldest:
            del kept[key]  # type: ignore[arg-type]
