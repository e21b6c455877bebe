"""Stamps: what a device claims, what the hub makes of it."""

from __future__ import annotations

import pytest

from sync.clock import (
    MAX_LEAD_MS,
    SUSPECT_SKEW_MS,
    HybridClock,
    decide_stamp,
    stamp_at,
    suspect,
    unix_ms_of,
)

NOW = 1_900_000_000_000
DAY = 86_400_000


def test_a_stamp_says_its_millisecond() -> None:
    assert unix_ms_of(stamp_at(NOW)) == NOW == unix_ms_of(stamp_at(NOW) + 65_535)
    assert stamp_at(NOW) < stamp_at(NOW) + 65_535 < stamp_at(NOW + 1)


@pytest.mark.parametrize(
    ("claimed_ms", "decided_ms"),
    [
        (NOW, NOW),
        (NOW + MAX_LEAD_MS, NOW + MAX_LEAD_MS),
        (NOW + MAX_LEAD_MS + 1, NOW + MAX_LEAD_MS),
        (NOW + 3 * DAY, NOW + MAX_LEAD_MS),
        (NOW - 365 * DAY, NOW - 365 * DAY),
        (0, 0),
    ],
)
def test_a_claim_is_held_to_the_hubs_time_from_above_only(claimed_ms: int, decided_ms: int) -> None:
    assert decide_stamp(stamp_at(claimed_ms), NOW, -1) == stamp_at(decided_ms)


def test_a_stamp_is_above_all_that_was_seen_whatever_was_claimed() -> None:
    floor = stamp_at(NOW + MAX_LEAD_MS) + 7
    for claimed in (0, stamp_at(NOW), stamp_at(NOW + 3 * DAY), floor):
        assert decide_stamp(claimed, NOW, floor) == floor + 1


def test_who_is_off_by_more_than_the_limit_is_suspect() -> None:
    for sign in (1, -1):
        assert not suspect(stamp_at(NOW + sign * SUSPECT_SKEW_MS), NOW)
        assert suspect(stamp_at(NOW + sign * (SUSPECT_SKEW_MS + 1)), NOW)


def test_a_clock_that_stands_or_goes_back_still_gives_greater_stamps() -> None:
    clock = HybridClock()
    stamps = [clock.stamp(ms) for ms in (NOW, NOW, NOW - DAY, NOW + 1, NOW)]
    assert stamps == sorted(set(stamps))
    assert stamps[0] == stamp_at(NOW)
    assert HybridClock(stamps[-1]).stamp(0) == stamps[-1] + 1


def test_more_events_than_a_millisecond_has_run_into_the_next() -> None:
    clock = HybridClock(stamp_at(NOW) + 65_535)
    assert clock.stamp(NOW) == stamp_at(NOW + 1)
