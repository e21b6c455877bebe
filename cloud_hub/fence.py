"""Which stream of an edge is the newest, across all hub processes.

An edge that lost its link opens another one, perhaps at another process, while the old one does not
yet know that it is half open. The newest is written down before it is welcomed; whoever holds an
older one ends it, at a notification or when he looks. Nothing is decided twice in between: a commit
is known by origin, seq and id, whichever stream brings it.

Invariant: a stream is welcomed only after it was written down as the newest of its origin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cloud_hub.storage.driver import Driver, Transaction
from holdfast.host.clock import Clock

MOST_ORIGINS = 5_000
"""Looked up at once."""


class Fence:
    """Of one hub process. `tell` has other processes told that an origin has a newer stream."""

    def __init__(
        self, driver: Driver, clock: Clock, new_id: Callable[[], bytes], hub: str,
        tell: Callable[[bytes], None],
    ) -> None:  # fmt: skip
        self._driver, self._clock, self._new_id = driver, clock, new_id
        self._hub, self._tell = hub, tell

    async def take(self, origin: bytes) -> bytes:
        """Writes down a stream as the newest of its origin; its id. Raises StorageError."""
        stream, since_ms = self._new_id(), self._clock.wall_ms()

        async def work(tx: Transaction) -> None:
            await tx.execute("streams_take", origin, stream, self._hub, since_ms)

        await self._driver.write(work)
        self._tell(origin)
        return stream

    async def older(self, held: Mapping[bytes, bytes], asked: Iterable[bytes]) -> list[bytes]:
        """Of the origins asked about, those whose stream held here is not the newest any more.

        Raises StorageError.
        """
        wanted = sorted(set(asked) & held.keys())
        found: list[bytes] = []
        for start in range(0, len(wanted), MOST_ORIGINS):
            part = wanted[start : start + MOST_ORIGINS]
            rows = await self._driver.read(lambda tx, p=part: tx.fetch_by("streams_of", (p,)))  # type: ignore[misc]
            found += [origin for origin, stream, _ in rows if held[origin] != stream]
        return found
