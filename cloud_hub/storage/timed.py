"""A database whose transactions are timed, whichever it is.

Invariant: it answers and fails exactly as the database behind it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter
from typing import TypeVar

from cloud_hub.meter import Meter
from cloud_hub.storage.driver import Driver, Work

T = TypeVar("T")


class TimedDriver:
    """See Driver."""

    def __init__(self, driver: Driver, meter: Meter) -> None:
        self._driver, self._meter = driver, meter

    async def write(self, work: Work[T]) -> T:
        """See Driver."""
        return await self._timed("write", self._driver.write(work))

    async def read(self, work: Work[T]) -> T:
        """See Driver."""
        return await self._timed("read", self._driver.read(work))

    async def answer(self) -> None:
        """See Driver."""
        await self._driver.answer()

    async def close(self) -> None:
        """See Driver."""
        await self._driver.close()

    async def _timed(self, operation: str, asked: Awaitable[T]) -> T:
        began_s = perf_counter()
        try:
            result = await asked
        except Exception as error:
            reason = str(getattr(error, "reason", "INTERNAL"))
            self._meter.database_failed(operation, reason)
            raise
        self._meter.asked_database(operation, perf_counter() - began_s)
        return result
