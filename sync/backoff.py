"""When to dial again.

Full jitter (Brooker, "Exponential Backoff And Jitter", 2015): a fleet that lost
its hub at one moment does not come back at one moment.
"""

from __future__ import annotations

FIRST_MS = 200
"""A hub that restarts is back within seconds."""

LIMIT_MS = 30_000
"""A device that was offline for days is connected within this of having a network."""

MAX_EXPONENT = 20


def delay_ms(attempt: int, luck: float) -> int:
    """How long to wait before `attempt` (from 1), `luck` being uniform in [0, 1)."""
    assert attempt >= 1 and 0 <= luck < 1, (attempt, luck)
    ceiling = min(LIMIT_MS, FIRST_MS << min(attempt - 1, MAX_EXPONENT))
    return int(ceiling * luck) + FIRST_MS // 2
