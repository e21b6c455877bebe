"""Heads for whoever needs to know where the hub is now: pings of edges, and reads that must not be
stale.

Read from the primary by a statement that begins after they were asked for, one for all who ask
while the one before is under way. Never from memory: a process that was frozen, or that has not
heard from the others, would tell an old head as a new one, and an edge would prove by it a
freshness that is not there.

Invariant: an answer comes from a transaction that began after its question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from cloud_hub import heads
from cloud_hub.heads import Head
from cloud_hub.storage.driver import Driver, Transaction

MOST_ASKERS = 1_000
"""Questions of one statement; with the usual few spaces each, thousands of look-ups: some ms."""

Question = tuple[Collection[str], "asyncio.Future[dict[str, Head]]"]


class FreshHeads:
    """Answers from one database."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._waiting: list[Question] = []
        self._worker: asyncio.Task[None] | None = None
        self.statements = 0

    async def of(self, spaces: Collection[str]) -> dict[str, Head]:
        """The heads of those spaces that exist. Raises StorageError."""
        answer: asyncio.Future[dict[str, Head]] = asyncio.get_running_loop().create_future()
        self._waiting.append((spaces, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="fresh-heads")
        return await answer

    async def _work(self) -> None:
        """Until nobody waits."""
        try:
            while self._waiting:
                asking, self._waiting = (
                    self._waiting[:MOST_ASKERS],
                    self._waiting[MOST_ASKERS:],
                )
                await self._answer(asking)
        finally:
            self._worker = None

    async def _answer(self, asking: list[Question]) -> None:
        wanted = sorted({space for spaces, _ in asking for space in spaces})

        async def work(tx: Transaction) -> Mapping[str, Head]:
            return await heads.read_many(tx, wanted)

        try:
            self.statements += 1
            found = await self._driver.read(work)
        except Exception as error:  # noqa: BLE001 - every asker is told, whatever it is
            for _, answer in asking:
                if not answer.done():
                    answer.set_exception(error)
            return
        for spaces, answer in asking:
            if not answer.done():
                answer.set_result({space: found[space] for space in spaces if space in found})
