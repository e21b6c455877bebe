"""When a history ends and the next begins.

A database that was promoted, restored or put back may lack commits that somebody has been told of.
Then nothing more is decided in the old epoch: whoever notices stops the space, durably and for all
processes. It goes on once a new epoch is declared, by an operator or, if the hub was started so, by
itself. An epoch is one decision for all spaces, since they lie in one database.

Invariant: an epoch is in the table before anything is decided in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum

from cloud_hub import epochs, forks
from cloud_hub.forks import Sign
from cloud_hub.heads import WHY
from cloud_hub.storage.driver import Driver
from holdfast.host.clock import Clock
from sync.position import Lineage

ALARM = "SPACE_STOPPED"

_log = logging.getLogger(__name__)


class OnFork(StrEnum):
    """What happens when a history turns out to have ended."""

    STOP = "stop"
    DECLARE = "declare"


class Succession:
    """Of one hub process. `changed` is awaited after an epoch was declared here; `on_stop` is told
    once of each space that stops."""

    def __init__(
        self, driver: Driver, clock: Clock, new_id: Callable[[], bytes], hub: str, on_fork: OnFork,
        changed: Callable[[], Awaitable[None]], on_stop: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._driver, self._clock, self._new_id = driver, clock, new_id
        self._hub, self._on_fork = hub, on_fork
        self._changed, self._on_stop = changed, on_stop
        self._declaring: asyncio.Task[None] | None = None
        self.stopped: dict[str, str] = {}
        """Spaces that are stopped, as far as this process has noticed, and why."""

    @property
    def alarms(self) -> list[str]:
        """Names for the status of the hub."""
        return [ALARM] if self.stopped else []

    async def stop(self, sign: Sign) -> None:
        """Stops a space for what somebody has shown. Raises StorageError."""
        now_ms = self._clock.wall_ms()
        await self._driver.write(lambda tx: forks.stop(tx, sign, now_ms))
        _log.error(
            "%s: %s had seen revision %d of epoch %d, of which %d are here",
            sign.space, sign.witness, sign.revision, sign.epoch, sign.shared,
        )  # fmt: skip

    async def note(self, sign: Sign) -> None:
        """Keeps what somebody above a fork held. Raises StorageError."""
        now_ms = self._clock.wall_ms()
        await self._driver.write(lambda tx: forks.note(tx, sign, now_ms))

    def noticed(self, space: str, why: str) -> None:
        """A space was found stopped."""
        if space not in self.stopped:
            _log.error("%s is stopped: %s", space, WHY[why])
            self.stopped[space] = why
            self._on_stop(space)
        if self._on_fork is OnFork.DECLARE and self._declaring is None:
            self._declaring = asyncio.create_task(self._declare_by_policy(), name="declare-epoch")

    def goes_on(self, space: str) -> None:
        """A space was found to be decided in again."""
        if self.stopped.pop(space, ""):
            _log.warning("%s goes on", space)

    async def declare(
        self, epoch_id: bytes, reason: str, actor: str, *, if_needed: bool = False
    ) -> Lineage:
        """Declares an epoch, and has this process go on in it. Raises StorageError."""
        now_ms = self._clock.wall_ms()
        lineage = await self._driver.write(
            lambda tx: epochs.declare(tx, epoch_id, now_ms, reason, actor, if_needed=if_needed)
        )
        _log.warning("epoch %d is the present one: %s", lineage.present.ordinal, reason)
        await self._changed()
        return lineage

    async def _declare_by_policy(self) -> None:
        why = ", ".join(sorted({WHY[why] for why in self.stopped.values()}))
        try:
            await self.declare(self._new_id(), why, f"policy of {self._hub}", if_needed=True)
        except Exception as error:  # noqa: BLE001 - it is tried again when the stop is seen again
            _log.warning("declaring an epoch failed", exc_info=error)
        finally:
            self._declaring = None
