"""Reads the log for those who are behind what is kept in memory.

Paged by bytes and commits, so that a reader who is a week behind costs no more
memory than one who is a second behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cloud_hub import change_log, forks, heads
from cloud_hub.change_log import LogRow
from cloud_hub.storage.driver import Driver, Transaction


class Known(Protocol):
    """A head that was told."""

    @property
    def epoch(self) -> int: ...
    @property
    def revision(self) -> int: ...
    @property
    def token(self) -> bytes: ...


PAGE_BYTES = 4 << 20
"""Rows read at once, in bytes: one message's worth and the next."""

PAGE_COMMITS = 20_000
"""And in commits: as many as an edge grants credit for."""


class History:
    """The log of one database, as far as it is the one that `known` knows: after a revision that
    was told, nothing of another history is ever read. Who finds another one tells `on_change`."""

    def __init__(
        self, driver: Driver, known: Callable[[str], Known | None],
        on_change: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._driver, self._known, self._on_change = driver, known, on_change

    async def rows_after(self, space: str, revision: int) -> Sequence[LogRow]:
        """A page of rows that end after `revision`, oldest first; none if this history has ended.
        Raises StorageError."""
        known = self._known(space)

        async def work(tx: Transaction) -> list[LogRow] | None:
            if known is not None and not await _same(tx, space, known):
                return None
            return await change_log.after(tx, space, revision, PAGE_BYTES, PAGE_COMMITS)

        rows = await self._driver.read(work)
        if rows is None:
            self._on_change(space)
        return rows or ()


async def _same(tx: Transaction, space: str, known: Known) -> bool:
    head = await heads.read(tx, space)
    if head is None or head.stopped or head.epoch != known.epoch:
        return False
    place = (known.epoch, known.revision, known.token)
    return await forks.contradiction(tx, head, "", *place) is None
