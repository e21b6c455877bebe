"""How long commits have been pending, for writes that bound it.

Kept in memory, by the boot clock: what was taken before this process began is older than any bound,
and a wall clock that is set changes nothing.

Invariant: an age is never less than the true one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edge_agent.origins import Stream

MAX_SPANS = 4_096
"""Of one stream: some hours of single writes in full detail, and days of them in less."""


@dataclass(slots=True)
class _Span:
    """Commits `first` to `last`, taken not before `taken_ns`."""

    first: int
    last: int
    taken_ns: int


@dataclass(slots=True)
class Ages:
    """When the pending commits of each stream were taken."""

    _spans: dict[Stream, deque[_Span]] = field(default_factory=dict)

    def took(self, stream: Stream, first: int, last: int, now_ns: int) -> None:
        """These commits were taken now."""
        spans = self._spans.setdefault(stream, deque())
        spans.append(_Span(first, last, now_ns))
        if len(spans) > MAX_SPANS:
            self._spans[stream] = _halved(spans)

    def oldest_ns(self, stream: Stream, decided: int) -> int | None:
        """When the oldest commit above `decided`, of which there is one, was taken; None if that
        was before this process began."""
        spans = self._spans.get(stream, deque())
        while spans and spans[0].last <= decided:
            spans.popleft()
        if not spans or spans[0].first > decided + 1:
            return None
        return spans[0].taken_ns


def _halved(spans: deque[_Span]) -> deque[_Span]:
    """Two and two as one that is as old as its elder."""
    kept: deque[_Span] = deque()
    for index, span in enumerate(spans):
        if index % 2:
            kept[-1].last = span.last
        else:
            kept.append(span)
    return kept
