"""How long the oldest commit has waited for the hub.

The outbox knows what waits, and claimed stamps say when it was written by a clock that may be
wrong. So the age is measured here, by the boot clock, from marks: when a stream of commits had
grown to which seq. What waited at the start of this process counts from then, so the age is the
least that it can be.

Invariant: of a stream there are at most MARKS marks, oldest first, and none that is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field

from sync.clock import BootInstant

SPACING_NS = 1_000_000_000
"""Commits taken within so long share a mark: nobody asks more exactly."""

MARKS = 64
"""Of one stream. When there are more, every second one is dropped, and the age of what lies between
two is told a little too large."""

Stream = tuple[str, bytes]
"""A space and an origin of this edge."""


@dataclass(slots=True)
class _Mark:
    seq: int
    at_ns: BootInstant


@dataclass(slots=True)
class Backlog:
    """Marks of all streams that have something pending."""

    _marks: dict[Stream, deque[_Mark]] = field(default_factory=dict)

    def took(self, stream: Stream, seq: int, now: BootInstant) -> None:
        """Commits up to `seq` are in the outbox."""
        marks = self._marks.setdefault(stream, deque())
        if marks and now - marks[-1].at_ns < SPACING_NS:
            marks[-1].seq = max(marks[-1].seq, seq)
            return
        if len(marks) >= MARKS:
            thinned = list(marks)[1::2]
            for kept, dropped in zip(thinned, list(marks)[::2], strict=False):
                kept.at_ns = dropped.at_ns
            marks = self._marks[stream] = deque(thinned)
        marks.append(_Mark(seq, now))

    def decided(self, stream: Stream, seq: int) -> None:
        """Everything up to `seq` is durable at the hub."""
        marks = self._marks.get(stream)
        while marks and marks[0].seq <= seq:
            marks.popleft()
        if not marks:
            self._marks.pop(stream, None)

    def keep(self, streams: Container[Stream]) -> None:
        """Forgets all other streams."""
        for stream in [stream for stream in self._marks if stream not in streams]:
            del self._marks[stream]

    def oldest_ms(self, now: BootInstant) -> int:
        """The age of the oldest commit that waits; zero if none does."""
        oldest = min((marks[0].at_ns for marks in self._marks.values()), default=now)
        return max(0, now - oldest) // 1_000_000
