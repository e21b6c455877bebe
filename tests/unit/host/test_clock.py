"""The machine's clocks."""

import time

from holdfast.host.clock import BootClock, Clock


def test_boot_time_is_in_nanoseconds_and_does_not_decrease() -> None:
    clock: Clock = BootClock()
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    first, second = clock.boot_ns(), clock.boot_ns()
    assert before <= first <= second <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_wall_time_is_in_milliseconds_since_1970() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= BootClock().wall_ms() <= time.time_ns() // 1_000_000
