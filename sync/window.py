"""Credit: how much may be under way on a stream.

The receiver grants totals counted from the beginning of the stream, so a lost
or repeated grant does no harm. The sender stops at the granted total; the
receiver grants again when half of its window is used up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sync.messages import Credit

WINDOW_COMMITS = 20_000
"""Commits under way: four full batches, so that the other side never runs dry."""

WINDOW_BYTES = 8 << 20
"""Bytes of blocks under way: what one slow receiver may make the other side hold."""


@dataclass(slots=True)
class Sender:
    """What we may still send. Invariant: a send is started only while there is room."""

    granted: Credit = field(default_factory=lambda: Credit(0, 0))
    sent_commits: int = 0
    sent_bytes: int = 0

    def grant(self, credit: Credit) -> None:
        """Totals only grow; an older grant is ignored."""
        self.granted = Credit(
            max(self.granted.commits, credit.commits), max(self.granted.bytes, credit.bytes)
        )

    @property
    def room(self) -> bool:
        """The last batch may overrun by itself, never by more: a batch larger
        than what is left would otherwise wait for ever."""
        return self.sent_commits < self.granted.commits and self.sent_bytes < self.granted.bytes

    def sent(self, commits: int, size: int) -> None:
        self.sent_commits += commits
        self.sent_bytes += size


@dataclass(slots=True)
class Receiver:
    """What we have granted, and what of it has been dealt with."""

    granted: Credit = field(default_factory=lambda: Credit(WINDOW_COMMITS, WINDOW_BYTES))
    done_commits: int = 0
    done_bytes: int = 0

    def done(self, commits: int, size: int) -> Credit | None:
        """Notes what was dealt with; returns a new grant when half is used up."""
        self.done_commits += commits
        self.done_bytes += size
        left_commits = self.granted.commits - self.done_commits
        left_bytes = self.granted.bytes - self.done_bytes
        if left_commits > WINDOW_COMMITS // 2 and left_bytes > WINDOW_BYTES // 2:
            return None
        self.granted = Credit(self.done_commits + WINDOW_COMMITS, self.done_bytes + WINDOW_BYTES)
        return self.granted
