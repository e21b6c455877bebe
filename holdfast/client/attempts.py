"""Whether to try again, and when.

Only what says that it will pass by itself within a moment is tried again, a few times, within the
caller's deadline: a connection that broke, a daemon that restarts, a database that was busy. A hub
that cannot be reached is told at once: that is what the caller chose the level for.

A commit is tried again only if it has an id of the client's, by which a door knows it. Once an
attempt may have arrived without an answer, no later failure can undo that doubt: the caller is told
OUTCOME_UNKNOWN with the id, never that it did not happen.
"""

from __future__ import annotations

import random

from holdfast.client.call import Call
from holdfast.client.failures import ConnectionLost
from holdfast.client.limits import FIRST_DELAY_S, MAX_ATTEMPTS, MAX_DELAY_S
from holdfast.errors import (
    DeadlineExceeded,
    HoldfastError,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
)

PASSING = frozenset(
    {
        *("DOOR_UNREACHABLE", "SHUTTING_DOWN", "TOO_BUSY", "TOO_MANY_REQUESTS"),
        *("DATABASE_BUSY", "DATABASE_CLOSED", "TRANSACTION_LOST"),
    }
)


def luck() -> float:
    """A number in [0, 1) that spreads delays. It decides nothing, so a plain generator will do."""
    return random.random()  # noqa: S311


def backoff_s(failed: int, most_s: float, luck: float) -> float:
    """The delay after so many failures in a row (from 1); `luck` in [0, 1) spreads it by half, so
    that many clients of one daemon do not come back at once."""
    doubled = FIRST_DELAY_S * 2.0 ** min(failed - 1, 16)
    return min(doubled, most_s) * (0.5 + luck / 2)


class Attempts:
    """The attempts of one call. Times are seconds of one monotonic clock."""

    def __init__(self, call: Call, now_s: float) -> None:
        self._call = call
        self._deadline_s = now_s + call.timeout_s
        self._failed = 0
        self._in_doubt = False

    def left_s(self, now_s: float) -> float:
        """Seconds until the deadline, at least a millisecond: gRPC then says that it has passed."""
        return max(self._deadline_s - now_s, 0.001)

    def again(self, error: HoldfastError, now_s: float, luck: float) -> float:
        """Seconds to wait before the next attempt. Raises the error to give to the caller."""
        self._failed += 1
        unanswered = isinstance(error, ConnectionLost | DeadlineExceeded)
        self._in_doubt |= unanswered and error.reason != "EXPIRED"
        delay_s = max(backoff_s(self._failed, MAX_DELAY_S, luck), error.retry_after_s or 0.0)
        if (
            error.reason not in PASSING
            or self._failed >= MAX_ATTEMPTS
            or now_s + delay_s >= self._deadline_s
            or (self._in_doubt and not self._call.repeatable)
        ):
            raise self._final(error)
        return delay_s

    def _final(self, error: HoldfastError) -> HoldfastError:
        commit_id = self._call.commit_id
        passing = isinstance(error, Unavailable | DeadlineExceeded | ResourceExhausted)
        if commit_id is None or not self._in_doubt or not passing or error.reason == "EXPIRED":
            return error
        metadata = dict(error.metadata)
        if commit_id:
            metadata["commit_id"] = commit_id.hex()
        return OutcomeUnknown("OUTCOME_UNKNOWN", error.message, metadata=metadata)
