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


class Piece(NamedTuple):
    """A value, or an element of one, with who wrote it; None is a removal. `kind` is of the actor,
    zero if it is not known."""

    part: Part
    value: bytes | None
    kind: int = 0


class Several(NamedTuple):
    """A field whose value is made of several writes: the siblings, or elements of a set.

    `rest` wrote what is not among the pieces.
    """

    rest: Part
    pieces: tuple[Piece, ...]


class Tracked(NamedTuple):
    """A field with a last writer, of whom a rule must know more than the part: of what kind it is,
    and what stood there before (newest first). `also` are others whose writing the rule has put
    into the value."""

    part: Part
    kind: int
    earlier: tuple[Piece, ...] = ()
    also: tuple[Part, ...] = ()


Stamped = Part | Several | Tracked
"""Who is in the value of a field."""


def parts_of(stamped: Stamped) -> tuple[Part, ...]:
    """Everyone who is in a field's value."""
    if isinstance(stamped, Part):
        return (stamped,)
    if isinstance(stamped, Several):
        return (stamped.rest, *(piece.part for piece in stamped.pieces))
    return (stamped.part, *stamped.also)


class Author(NamedTuple):
    """A commit as the rules see it: its name, its context, its stamp."""

    origin: int
    seq: int
    base: int
    seen: int
    seen_others: Mapping[int, int] | None
    stamp: int
    revision: int
    kind: int = 0

    @property
    def part(self) -> Part:
        return Part(self.revision, self.origin, self.seq, self.stamp)

    def unseen(self, stamped: Stamped) -> list[Part]:
        """Who is in a field's value without this author having seen it."""
        return [part for part in parts_of(stamped) if self.concurrent(part)]

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
