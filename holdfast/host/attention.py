"""Something that is looked at again, space by space, when there may be something new to it.

Whoever learns of news in a space says so, which costs nothing; a look is then cheap (it gives a
mark), and only where the mark is another than last time the work is done. What failed is tried
again after a while.

Invariant: after the last news of a space, its work is done on a state that contains them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

PAUSE_SECONDS = 0.2
"""Between two rounds: news of a busy space are looked at together."""

RETRY_SECONDS = 2.0
"""After a failure: a full disk or a database that is away does not come back at once."""

_log = logging.getLogger(__name__)


class Attention:
    """`look` gives the mark of a space, None for nothing to do; `work` does what there is."""

    def __init__(
        self, look: Callable[[str], Awaitable[Any]], work: Callable[[str], Awaitable[Any]]
    ) -> None:
        self._look, self._work = look, work
        self._news: set[str] = set()
        self._marks: dict[str, Any] = {}
        self._wake = asyncio.Event()

    def news(self, space: str) -> None:
        """There may be something new in a space."""
        self._news.add(space)
        self._wake.set()

    def anew(self, space: str) -> None:
        """There is something to do in a space, whatever its mark is."""
        self._marks.pop(space, None)
        self.news(space)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            failed = [space for space in self._taken() if not await self._done(space)]
            await asyncio.sleep(RETRY_SECONDS if failed else PAUSE_SECONDS)
            for space in failed:
                self.news(space)

    def _taken(self) -> list[str]:
        taken = sorted(self._news)
        self._news.clear()
        return taken

    async def _done(self, space: str) -> bool:
        try:
            mark = await self._look(space)
            if mark is not None and mark != self._marks.get(space):
                await self._work(space)
                self._marks[space] = mark
        except Exception as error:  # noqa: BLE001 - it waits for better times
            _log.warning("what waits in %s was not done: %s", space, error)
            return False
        return True
