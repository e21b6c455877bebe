"""What a session token makes a request at the hub wait for.

The hub's own state is never behind a position it has given out, so what is left
is what the session has seen pending at an edge: it is waited for, within the
deadline of the call. What was declared lost of it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc

from cloud_hub.fanout import Fanout
from cloud_hub.reads import Reads
from holdfast.host.door import Refusal
from holdfast.host.session_refusals import epoch_changed, not_caught_up, writes_lost
from sync import messages as m
from sync.position import Position, UnknownEpoch
from sync.session import SessionToken, decode_token

Context = grpc.aio.ServicerContext[Any, Any]

LONGEST_WAIT_SECONDS = 60.0
"""For calls without a deadline."""

POLL_SECONDS = 1.0
"""Another hub process may decide what is waited for; its word comes by polling."""


def seconds_left(context: Context) -> float:
    """Time for waiting: the deadline, less what an answer needs."""
    left: float | None = context.time_remaining()  # None without a deadline, whatever its types say
    return LONGEST_WAIT_SECONDS if left is None else min(LONGEST_WAIT_SECONDS, left * 0.9)


class Sessions:
    """Waits for what tokens demand."""

    def __init__(self, reads: Reads, fanout: Fanout) -> None:
        self._reads, self._fanout = reads, fanout

    async def ready(
        self, space: str, data: bytes, context: Context, seen: Iterable[tuple[bytes, int]] = ()
    ) -> SessionToken:
        """The token, once this hub's state contains what it has seen of the space, and what `seen`
        names: undecided commits that the author of a write had before his eyes.

        Raises InvalidToken, Refusal SESSION_NOT_CAUGHT_UP, EPOCH_CHANGED, WRITES_LOST.
        """
        token = decode_token(data)
        wanted = token.positions.get(space)
        since = 0
        pending = all_origins([*token.pending_in(space).items(), *seen])
        if wanted is not None:
            await self.reached_by(wanted)
            since = wanted.revision
        if not pending:
            return token
        found: dict[bytes, m.DecidedAt] = {}

        async def look() -> bool:
            nonlocal found
            found = await self._reads.settled(space, pending, since)
            return all(answer.position.revision for answer in found.values())

        decided = await self._wait(space, look, seconds_left(context))
        lost = {origin: answer.lost for origin, answer in found.items() if answer.lost}
        if lost:
            raise writes_lost(lost)
        if not decided:
            raise not_caught_up(
                {o: pending[o] for o, a in found.items() if not a.position.revision}
            )
        return token.without(space, pending)

    async def reached_by(self, wanted: Position) -> Position:
        """The head, if this history contains a position. Raises Refusal EPOCH_CHANGED, naming the
        range of it that is gone, or SPACE_STOPPED."""
        now = await self._reads.position(wanted.space)
        here = wanted.revision
        if wanted.epoch != now.epoch:
            now, lineage = await self._reads.standing(wanted.space)
            try:
                here = lineage.effective(wanted)
            except UnknownEpoch:
                here = 0
        here = min(here, now.revision)
        if here == wanted.revision:
            return now
        raise epoch_changed(wanted, now.epoch, here)

    async def decided(self, space: str, wanted: dict[bytes, int], seconds: float) -> bool:
        """Waits until these seqs are decided; False if they are not in time."""

        async def look() -> bool:
            through = await self._reads.decided_through(space, list(wanted))
            return all(through.get(origin, 0) >= seq for origin, seq in wanted.items())

        return await self._wait(space, look, seconds)

    async def reached(self, position: Position, seconds: float) -> bool:
        """Waits until the head is there; False if it is not in time. Raises Refusal EPOCH_CHANGED
        if it never will be."""

        async def look() -> bool:
            now = await self._reads.position(position.space)
            if now.epoch <= position.epoch:
                return (now.epoch, now.revision) >= (position.epoch, position.revision)
            await self.reached_by(position)
            return True

        return await self._wait(position.space, look, seconds)

    async def _wait(self, space: str, look: Any, seconds: float) -> bool:
        wake = asyncio.Event()
        self._fanout.listen(space, wake)
        ends = asyncio.get_running_loop().time() + seconds
        try:
            while True:
                wake.clear()
                if await look():
                    return True
                if self._fanout.closed:
                    raise Refusal("SHUTTING_DOWN")
                left = ends - asyncio.get_running_loop().time()
                if left <= 0:
                    return False
                try:
                    async with asyncio.timeout(min(left, POLL_SECONDS)):
                        await wake.wait()
                except TimeoutError:
                    continue
        finally:
            self._fanout.forget(space, wake)


def all_origins(pending: Iterable[tuple[bytes, int]]) -> dict[bytes, int]:
    """The newest seq per origin."""
    newest: dict[bytes, int] = {}
    for origin, seq in pending:
        newest[origin] = max(seq, newest.get(origin, 0))
    return newest
