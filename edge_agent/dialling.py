"""Which hub process to dial next, and when.

A hub may be several processes on one database, and any of them serves any edge. An edge keeps to
the one that it has, and goes on to the next when that one leaves, does not answer, or has had it
for long enough. It begins at one by chance, so that a fleet spreads itself.

Waiting is by full jitter: whoever loses its hub together with a thousand others does not come to
the next one together with them.

Invariant: every address is tried once before any is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sync.backoff import delay_ms

STAYS = frozenset(
    {"PAUSED", "SUPERSEDED", "ORIGIN_COPIED", "EPOCH_CHANGED", "SPACE_STOPPED", "MALFORMED_BATCH"}
)
"""Ends of a stream that say nothing against the process it was with."""


@dataclass(slots=True)
class Dialling:
    """Where an edge is in the round of `count` addresses. `luck` is uniform in [0, 1)."""

    count: int
    luck: Callable[[], float]
    index: int = field(init=False)
    attempt: int = 0

    def __post_init__(self) -> None:
        assert self.count >= 1
        self.index = int(self.count * self.luck()) if self.count > 1 else 0

    def begin_again(self) -> None:
        """What failed before counts no more."""
        self.attempt = 0

    def ended(self, reason: str, retry_after_ms: int, *, well: bool, own_fault: bool) -> int:
        """A stream is over: the milliseconds to wait before the next attempt, at `index`.

        `well`: it had done its work, or ended by agreement. `own_fault`: what ended it lies here.
        A hub that asks for patience means itself: one alone is given it, while of several the next
        is dialled within that time.
        """
        moves = self.count > 1 and reason not in STAYS and not own_fault
        self.attempt = 1 if well else self.attempt + 1
        if moves:
            self.index = (self.index + 1) % self.count
        rounds = 1 + (self.attempt - 1) // self.count
        delay = delay_ms(rounds, self.luck())
        if moves:
            return max(delay, int(retry_after_ms * self.luck()))
        return retry_after_ms + delay
