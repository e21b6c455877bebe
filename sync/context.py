"""What an author had seen, and so what its write is concurrent with.

The hub gives the only order, so the whole causal context of a commit is a base
revision and, per origin, the newest undecided seq in the state it was written
on. A part of a value is concurrent with a write iff its revision is above the
base and the write's author had not seen it undecided. No clock takes part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Part(NamedTuple):
    """Who last wrote a field, or a whole record. `origin` is the hub's own small
    number for an origin; it never leaves the hub."""

    revision: int
    origin: int
    seq: int
    stamp: int


class Author(NamedTuple):
    """A commit as the rules see it: its name, its context, its stamp."""

    origin: int
    seq: int
    base: int
    seen: int
    seen_others: Mapping[int, int] | None
    stamp: int
    revision: int

    @property
    def part(self) -> Part:
        return Part(self.revision, self.origin, self.seq, self.stamp)

    def concurrent(self, part: Part) -> bool:
        """Whether `part` was written without this author having seen it."""
        if part.revision <= self.base:
            return False
        return not self.saw(part.origin, part.seq)

    def saw_all_of(self, last: Part, other: int) -> bool:
        """Whether nothing of a record is concurrent, judged by its last writer and
        the greatest revision of any other; no part need be looked at."""
        if last.revision <= self.base:
            return True
        if last.origin == self.origin and last.seq == self.seq and self.seen < self.seq - 1:
            return False  # its own writing says nothing of what its origin wrote unseen before it
        return other <= self.base and self.saw(last.origin, last.seq)

    def saw(self, origin: int, seq: int) -> bool:
        """Whether an undecided commit was in the state that was written on.

        A commit has seen itself: its operations on one record build on each other.
        """
        if origin == self.origin and (seq <= self.seen or seq == self.seq):
            return True
        return self.seen_others is not None and self.seen_others.get(origin, 0) >= seq
