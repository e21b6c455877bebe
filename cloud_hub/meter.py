"""What the parts of a hub tell of their work, to whoever counts it.

Parts are handed a `Meter` and say what happened; what is made of it (metrics for Prometheus, or
nothing) is not theirs to know. This one makes nothing of it, and is what tests and tools hand in.

Invariant: nothing is told once per commit, only once per group, frame, stream or question.
"""

from __future__ import annotations

from holdfast.reasons import REASONS
from sync import messages as m

OTHER = "OTHER"
"""Stands for a reason or alarm that is not of this version's table."""


def known(name: str) -> str:
    """A reason or alarm as it is counted: of what peers make up there is no end."""
    return name if name in REASONS else OTHER


class Meter:
    """Listens, and forgets."""

    def group_decided(self, commits: int, seconds: float) -> None:
        """A group of so many new commits is durable; the transaction took so long."""

    def group_failed(self, reason: str, seconds: float) -> None:
        """A group could not be decided, and nothing of it is stored."""

    def refused(self, reason: str) -> None:
        """A request at the hub's door, or a push, was refused."""

    def frame_rejected(self, reason: str) -> None:
        """A block of an edge could not be unpacked or read."""

    def stream_opened(self) -> None:
        """An edge has been welcomed."""

    def stream_ended(self, reason: str) -> None:
        """A stream is over; for whatever was never welcomed, too."""

    def changes_sent(self, age_ms: int) -> None:
        """A batch goes to an edge, so long after it was decided."""

    def asked_database(self, operation: str, seconds: float) -> None:
        """A transaction of the database, `read` or `write`, has ended well."""

    def database_failed(self, operation: str, reason: str) -> None:
        """A transaction of the database has failed."""

    def loop_late(self, seconds: float) -> None:
        """A timer of the event loop went off so much too late."""

    def heard_of(self, edge: str, counters: m.EdgeCounters) -> None:
        """An edge has told what it counted."""
