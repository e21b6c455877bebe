"""The two clocks of a machine, and which of them may be used for what.

Deadlines, leases, staleness and backoff are measured on the boot clock: it never jumps and it goes
on while the machine is suspended, which CLOCK_MONOTONIC does not, so that a lease held through a
suspend has really run out. The wall clock is whatever someone set it to; it only stamps records of
when something happened and breaks ties.

Invariant: a boot instant is an int of nanoseconds and means nothing on another machine or after a
reboot.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What code is handed when it needs the time; tests and the simulator hand in one that they
    turn."""

    def boot_ns(self) -> int:
        """Nanoseconds since boot, suspended time included; never decreases."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 in UTC, as this machine believes; may jump either way."""
        ...


class BootClock:
    """The clocks of this machine."""

    __slots__ = ()

    def boot_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000
