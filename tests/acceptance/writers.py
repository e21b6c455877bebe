"""Agents that write on through whatever happens to their daemons, and remember what they were told.

A writer goes on with one commit, under one commit id, until it is acknowledged, as the client does
within its time-out and a program does after it. So at the end it knows exactly what must be there.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from holdfast import Add, AsyncClient, CommitEvent, History, OpId, Patch, Put
from holdfast.errors import DeadlineExceeded, Unavailable

SPACE = "site"
COUNTER = f"{SPACE}/stock/bolts"
SHARED = f"{SPACE}/arms/shared"
KEYS = 20
"""Records that a writer has for itself; it writes them over and over."""

TRY_SECONDS = 2.0

CATCH_UP_SECONDS = 20.0
"""Until a watcher knows what all others do; it may have to find its daemon again first."""


@dataclass(slots=True)
class Writer:
    """Adds one to a counter, writes a record of its own and a field that others write too, in one
    commit, again and again."""

    name: str
    client: AsyncClient
    acknowledged: dict[bytes, OpId] = field(default_factory=dict)
    """Commit ids, in the order in which they were acknowledged."""
    tries: int = 0
    ended: bool = False

    async def run(self) -> None:
        """Until `ended` is set; the commit at work then is brought to its end."""
        for turn in itertools.count():
            if self.ended:
                return
            await self._commit(turn)

    async def _commit(self, turn: int) -> None:
        commit_id = secrets.token_bytes(16)
        own = f"{SPACE}/parts/{self.name}-{turn % KEYS}"
        ops = (
            Add(COUNTER, {"n": 1}),
            Put(own, {"by": self.name, "turn": turn}),
            Patch(SHARED, {"by": self.name, self.name: turn}),
        )
        while True:
            self.tries += 1
            try:
                receipt = await self.client.commit(ops, commit_id=commit_id, timeout_s=TRY_SECONDS)
            except (Unavailable, DeadlineExceeded):
                continue
            self.acknowledged[commit_id] = receipt.op_id
            return


@dataclass(slots=True)
class Watcher:
    """Watches the counter, and remembers what it was told."""

    client: AsyncClient
    revisions: list[int] = field(default_factory=list)
    commit_ids: list[bytes] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    """Records of each commit that it was told of together."""
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the watch has begun."""
        watch = self.client.watch(SPACE, bookmarks=True)
        events = aiter(watch)
        await anext(events)
        self._task = asyncio.create_task(self._listen(events))

    def _knows(self, revision: int) -> bool:
        return bool(self.revisions) and self.revisions[-1] >= revision

    async def _listen(self, events: AsyncIterator[object]) -> None:
        async for event in events:
            if not isinstance(event, CommitEvent):
                continue
            position = event.outcome.position
            assert position is not None
            self.revisions.append(position.revision)
            self.commit_ids.append(event.outcome.op_id.commit_id)
            self.parts.append(len(event.changes))

    async def end(self, revision: int) -> None:
        """Stops listening once it was told of a revision. Raises what ended the watch before, if
        anything did."""
        assert self._task is not None
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while not (self._task.done() or self._knows(revision)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        if self._task.done():
            self._task.result()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def whole_history(client: AsyncClient, path: str) -> History:
    """All commits of a record, newest first."""
    history = await client.history(path, limit=1_000_000, timeout_s=30)
    assert history.complete
    return history
