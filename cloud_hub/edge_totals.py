"""What all edges together have counted, from what each tells with its heartbeats.

An edge's numbers begin at zero with its process, and it may go to another hub process at any time.
So what is added up is how much each number has grown between two heartbeats that came here; what an
edge counted before its first one here was another's to add, or nobody's.

Invariant: a total never falls, whatever edges say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud_hub.meter import known
from sync import messages as m

NUMBERS = ("commits", "applied", "dials", "outbox_transactions", "outbox_us")


@dataclass(slots=True)
class EdgeTotals:
    """Sums over edges since this hub process began."""

    numbers: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    _last: dict[str, m.EdgeCounters] = field(default_factory=dict)

    def add(self, edge: str, told: m.EdgeCounters) -> None:
        """Adds what has come since an edge's last heartbeat."""
        before = self._last.get(edge)
        self._last[edge] = told
        if before is None:
            return
        # A process that has run for a shorter time is another one, and began from nothing.
        if told.uptime_ms < before.uptime_ms:
            before = m.EdgeCounters()
        for name in NUMBERS:
            self.numbers[name] += max(0, getattr(told, name) - getattr(before, name))
        _grow(self.refusals, dict(before.refusals), dict(told.refusals))


def _grow(total: Counter[str], before: Mapping[str, int], now: Mapping[str, int]) -> None:
    for reason, count in now.items():
        total[known(reason)] += max(0, count - before.get(reason, 0))
