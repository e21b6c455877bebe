"""What a session token makes a request at the hub wait for.

The hub's own state is never behind a position it has given out, so what is left
is what the session has seen pending at an edge: it is waited for, within the
deadline of the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc

from cloud_hub.fanout import Fanout
from cloud_hub.reads import Reads
from holdfast.host.door import Refusal
from sync.position import Position
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

    async def ready(self, space: str, data: bytes, context: Context) -> SessionToken:
        """The token, once this hub's state contains what it has seen of the space.

        Raises InvalidToken, Refusal SESSION_NOT_CAUGHT_UP, EPOCH_CHANGED.
        """
        token = decode_token(data)
        wanted = token.positions.get(space)
        if wanted is not None:
            now = await self._reads.position(space)
            if wanted.epoch > now.epoch or (
                wanted.epoch == now.epoch and wanted.revision > now.revision
            ):
                raise Refusal(
                    "EPOCH_CHANGED",
                    f"the session has seen revision {wanted.revision} of epoch {wanted.epoch};"
                    f" this hub is at {now.revision} of {now.epoch}",
                )
        pending = {origin: seq for (name, origin), seq in token.pending.items() if name == space}
        if not pending:
            return token
        if not await self.decided(space, pending, seconds_left(context)):
            names = ", ".join(f"{origin.hex()}:{seq}" for origin, seq in pending.items())
            raise Refusal("SESSION_NOT_CAUGHT_UP", f"still pending at an edge: {names}")
        return token.without(space, pending)

    async def decided(self, space: str, wanted: dict[bytes, int], seconds: float) -> bool:
        """Waits until these seqs are decided; False if they are not in time."""

        async def look() -> bool:
            through = await self._reads.decided_through(space, list(wanted))
            return all(through.get(origin, 0) >= seq for origin, seq in wanted.items())

        return await self._wait(space, look, seconds)

    async def reached(self, position: Position, seconds: float) -> bool:
        """Waits until the head is there; False if it is not in time."""

        async def look() -> bool:
            now = await self._reads.position(position.space)
            return (now.epoch, now.revision) >= (position.epoch, position.revision)

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
                    await asyncio.wait_for(wake.wait(), min(left, POLL_SECONDS))
                except TimeoutError:
                    continue
        finally:
            self._fanout.forget(space, wake)


def all_origins(pending: Sequence[tuple[bytes, int]]) -> dict[bytes, int]:
    """The newest seq per origin."""
    newest: dict[bytes, int] = {}
    for origin, seq in pending:
        newest[origin] = max(seq, newest.get(origin, 0))
    return newest
