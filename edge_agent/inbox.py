"""The inbox as this edge has it: conflicts of what it replicates, with answers of its own on top.

Entries are records, so everything here is reading: one snapshot for each answer, and no network.
"""

from __future__ import annotations

from edge_agent import statements
from edge_agent.database import EdgeFiles
from edge_agent.reads import Reads
from edge_agent.requests import Read, Record
from holdfast.host.refusal import Refusal
from sync.inbox import Entry, decode
from sync.names import INBOX_PREFIX
from sync.policy import POLICIES

SQL = statements.load("reads")

NEWEST = "g"
"""Above all keys: those are hexadecimal."""

_END = INBOX_PREFIX[:-1] + chr(ord(INBOX_PREFIX[-1]) + 1)
"""Above the names of all inboxes."""


class Inbox:
    """Reads entries."""

    def __init__(self, files: EdgeFiles, reads: Reads) -> None:
        self._files, self._reads = files, reads

    async def page(self, space: str, before: str, limit: int) -> list[Entry]:
        """Up to `limit` entries, newest first, whose key is below `before` (NEWEST: the first)."""
        self._reads.check(space, {POLICIES})
        place = (space, INBOX_PREFIX, _END, before, limit)
        names = await self._files.reader.snapshot(
            lambda c: c.execute(SQL["inbox_page"], place).fetchall()
        )
        if not names:
            return []
        read = await self._reads.batch_get(space, names)
        return [_entry(record) for record in read.records]

    async def get(self, space: str, id_: bytes) -> tuple[Entry, Record, Read]:
        """An entry, its record, and a reading of the record in conflict, of the same moment.

        Raises Refusal CONFLICT_NOT_FOUND.
        """
        self._reads.check(space, {POLICIES})
        bounds = (space, INBOX_PREFIX, _END, id_.hex())
        found = await self._files.reader.snapshot(
            lambda c: c.execute(SQL["inbox_place"], bounds).fetchone()
        )
        if found is None:
            raise Refusal("CONFLICT_NOT_FOUND", f"{space} has no conflict {id_.hex()} here")
        place = (found[0], id_.hex())
        entry = _entry((await self._reads.get(space, *place)).records[0])
        read = await self._reads.batch_get(space, [place, (entry.collection, entry.key)])
        return _entry(read.records[0]), read.records[0], read


def _entry(record: Record) -> Entry:
    return decode(record.key, record.value)
