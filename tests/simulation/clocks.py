"""The clocks of simulated machines: one that counts since boot, one that people have set wrong.

Invariant: boot time never falls while a machine is up; wall time may do anything.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

EPOCH_MS = 1_800_000_000_000
"""Where true time begins in every run."""

SECOND_MS = 1_000
DAY_MS = 86_400_000

SKEWS_MS = (0, 0, 40, -300, 5 * SECOND_MS, -5 * SECOND_MS, 3 * DAY_MS, -3 * DAY_MS, 365 * DAY_MS)
"""How wrong a device's wall clock is."""


@dataclass
class SimulatedClock:
    """The clock of one machine."""

    loop: asyncio.AbstractEventLoop
    skew_ms: int = 0
    boot_offset_s: float = 1_000.0
    frozen_ms: int | None = None

    def boot_ns(self) -> int:
        return int((self.loop.time() + self.boot_offset_s) * 1e9)

    def wall_ms(self) -> int:
        if self.frozen_ms is not None:
            return self.frozen_ms
        return self.true_ms() + self.skew_ms

    def true_ms(self) -> int:
        """What a right clock shows."""
        return EPOCH_MS + int(self.loop.time() * 1_000)

    def freeze(self) -> None:
        self.frozen_ms = self.wall_ms()

    def jump(self, by_ms: int) -> None:
        """Somebody sets the clock; it goes on from there."""
        self.skew_ms = self.wall_ms() + by_ms - self.true_ms()
        self.frozen_ms = None

    def rebooted(self) -> None:
        """Boot time begins anew."""
        self.boot_offset_s = 10.0 - self.loop.time()
