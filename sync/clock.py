"""Time, where it is allowed to matter.

Wall time only breaks ties between concurrent writes. A stamp is a hybrid
logical clock packed into one integer, `unix milliseconds << 16 | logical`
(Kulkarni et al., "Logical Physical Clocks", 2014), so that comparing is
comparing integers and the next logical instant is plus one.

The hub stamps every commit once. It clamps what a device claims to its own
time, and then lifts the stamp above everything that the author had seen: the
clamp alone would let an ancestor beat its own descendant.
"""

from __future__ import annotations

from typing import NewType

BootInstant = NewType("BootInstant", int)
"""Nanoseconds on a clock that counts in suspend and never jumps (CLOCK_BOOTTIME)."""

LOGICAL_BITS = 16
MAX_LEAD_MS = 500
"""How far a device may be ahead: more than a link's delay, less than a person notices."""

SUSPECT_SKEW_MS = 5_000
"""Concurrent writes whose claims are off by more than this are shown to people."""


def stamp_at(unix_ms: int) -> int:
    """The first stamp of a millisecond."""
    return unix_ms << LOGICAL_BITS


def unix_ms_of(stamp: int) -> int:
    """The millisecond of a stamp."""
    return stamp >> LOGICAL_BITS


def decide_stamp(claimed: int, hub_ms: int, floor: int) -> int:
    """The hub's stamp for a commit.

    `floor` is the greatest stamp among all that its author had seen.
    """
    most = (hub_ms + MAX_LEAD_MS) << LOGICAL_BITS
    stamp = min(most, claimed)
    return stamp if stamp > floor else floor + 1


def suspect(claimed: int, hub_ms: int) -> bool:
    """Whether a claim is too far from the hub's time to be believed."""
    return abs(unix_ms_of(claimed) - hub_ms) > SUSPECT_SKEW_MS


class HybridClock:
    """Stamps for one edge's commits, each greater than the one before.

    Invariant: `last` never falls; it is restored from the outbox on start.
    """

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def stamp(self, unix_ms: int) -> int:
        """The stamp of an event at `unix_ms` by the best clock there is."""
        self.last = max(stamp_at(unix_ms), self.last + 1)
        return self.last
