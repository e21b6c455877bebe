"""Waiting for the replica: for a position, for decisions, for being where the hub is.

Nothing here polls the hub: it waits for the next word of the stream, looks
again, and gives up at the deadline. Offline that means waiting the whole
deadline, and an error that says what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from edge_agent import tail
from edge_agent.database import EdgeFiles
from edge_agent.reads import Reads
from edge_agent.standing import Standing
from edge_agent.uplink import Uplink
from holdfast.host.refusal import Refusal
from sync.commit import OpId
from sync.position import Position

LOOK_SECONDS = 1.0
"""Looks again at least so often, should a wake-up be lost."""


class Waiting:
    """Waits on behalf of requests. `seconds` are what is left of their deadline."""

    def __init__(self, files: EdgeFiles, reads: Reads, uplink: Uplink) -> None:
        self._files, self._reads, self._uplink = files, reads, uplink
        self._closed = False

    def close(self) -> None:
        """Ends all waiting: the edge stops."""
        self._closed = True
        self._uplink.told()

    async def position(self, position: Position, seconds: float) -> bool:
        """Waits until the replica is there; False if it is not in time."""
        return await self.until(lambda: self.is_at(position), seconds)

    async def is_at(self, position: Position) -> bool:
        """Whether the replica is there."""
        cursor = (await self._reads.standing(position.space)).cursor
        return (cursor.epoch, cursor.revision) >= (position.epoch, position.revision)

    async def decided(self, space: str, op_ids: Sequence[OpId], seconds: float) -> bool:
        """Waits until these commits are decided in the replica; False if they are not in time."""

        async def look() -> bool:
            standing = await self._reads.standing(space)
            return all([await self._is_decided(standing, one) for one in op_ids])

        return await self.until(look, seconds)

    async def synced(self, space: str, seconds: float) -> bool:
        """Waits until nothing is pending and the replica is at a head that the hub had after
        now; False if that is not so in time."""
        began_ns = self._files.clock.boot_ns()

        async def look() -> bool:
            if self._uplink.answered_nonce < began_ns:
                self._uplink.ask_heads(began_ns)
                return False
            standing = await self._reads.standing(space)
            head = self._uplink.heads.get(space)
            reached = head is None or standing.cursor.revision >= head.revision
            return reached and not self._has_pending(standing)

        return await self.until(look, seconds)

    # -- looking -------------------------------------------------------------

    async def _is_decided(self, standing: Standing, op_id: OpId) -> bool:
        space = standing.space
        origin, seq = op_id.origin, op_id.seq
        if not origin:
            found = await self._files.in_outbox(
                lambda c: self._files.outbox.find_id(c, space, op_id.commit_id)
            )
            if found is None:
                raise Refusal("COMMIT_UNKNOWN", "a commit id that no client chose here")
            origin, seq = self._files.outbox.id_of(found[0]), found[1]
        origin, seq = self._files.outbox.present_name(space, origin, seq)
        ordinal = self._files.outbox.ordinals.get(origin)
        if ordinal is None:
            return await self._in_tail(space, origin, seq)
        own = standing.own.get(ordinal)
        return own is not None and own.decided_seq >= seq

    async def _in_tail(self, space: str, origin: bytes, seq: int) -> bool:
        return await self._files.reader.snapshot(
            lambda c: tail.of_seq(c, space, origin, seq) is not None
        )

    def _has_pending(self, standing: Standing) -> bool:
        outbox = self._files.outbox
        for ordinal in outbox.streams(standing.space):
            own = standing.own.get(ordinal)
            decided = own.decided_seq if own else 0
            if outbox.counter(standing.space, ordinal).last_seq > decided:
                return True
        return False

    async def standing(self, space: str) -> Standing:
        """Where the replica stands."""
        return await self._reads.standing(space)

    async def until(self, look: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Looks at every word of the hub until something is so; False if it is not in time. Raises
        Refusal SHUTTING_DOWN where this edge stops."""
        if await self.until_stopped(look, seconds):
            return True
        if self._closed:
            raise Refusal("SHUTTING_DOWN")
        return False

    async def until_stopped(self, look: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """The same for one who has done something already: that this edge stops is no refusal."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while True:
            progress = self._uplink.progress
            if await look():
                return True
            left = ends - loop.time()
            if left <= 0 or self._closed:
                return False
            try:
                async with asyncio.timeout(min(left, LOOK_SECONDS)):
                    await progress.wait()
            except TimeoutError:
                continue
