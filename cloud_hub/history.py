"""Reads the log for those who are behind what is kept in memory.

Paged by bytes and commits, so that a reader who is a week behind costs no more
memory than one who is a second behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud_hub import change_log
from cloud_hub.change_log import LogRow
from cloud_hub.storage.driver import Driver, Transaction

PAGE_BYTES = 4 << 20
"""Rows read at once, in bytes: one message's worth and the next."""

PAGE_COMMITS = 20_000
"""And in commits: as many as an edge grants credit for."""


class History:
    """The log of one database."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def rows_after(self, space: str, revision: int) -> Sequence[LogRow]:
        """A page of rows that end after `revision`, oldest first. Raises StorageError."""

        async def work(tx: Transaction) -> list[LogRow]:
            return await change_log.after(tx, space, revision, PAGE_BYTES, PAGE_COMMITS)

        return await self._driver.read(work)
