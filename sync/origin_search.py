"""Whether the hub and this outbox mean the same commits by the same seqs.

A copied card, a restored file or yesterday's backup writes under an origin that
the hub knows otherwise. Both histories agree up to some seq and differ in all
after it, so the ids are searched like a sorted list: 1,024 at a time, two
questions for a million rows. Nothing is sent before that is known.

Invariant: ids agree up to `shared`, and are not known to agree above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sync import actions as a
from sync import messages as m

FAN_OUT = 1_024
"""Seqs per question: 16 KiB of answer, and three questions reach 10^9 rows."""


@dataclass(slots=True)
class OriginSearch:
    """The comparison for one origin in one space."""

    space: str
    mine: m.OriginState
    theirs: m.OriginState
    shared: int = 0
    fault: str = ""
    ended: bool = False
    _differs: int = 0
    _theirs_at: dict[int, bytes] = field(default_factory=dict)
    _asked: tuple[int, ...] = ()

    @property
    def decided(self) -> int:
        """The newest seq that the hub has decided."""
        return self.theirs.seq

    def begin(self) -> a.LookUpIds | None:
        """The first look-up; None if one side knows of no commit."""
        at = min(self.mine.seq, self.theirs.seq)
        if at == 0:
            self._end(0)
            return None
        self._theirs_at = {at: self.theirs.commit_id}
        self._differs = at + 1
        return a.LookUpIds(self.space, self.mine.origin, (at,))

    def found(self, ids: Mapping[int, bytes], newest: int = 0) -> a.Send | None:
        """Our ids at the seqs in question; those let go long since count as the same. `newest` is
        our last seq by now: the outbox may have grown since the hello was written.

        Returns the next question, or None when the search has ended.
        """
        self._grow(newest)
        for seq in sorted(self._theirs_at):
            ours = ids.get(seq)
            if ours is None or ours == self._theirs_at[seq]:
                self.shared = max(self.shared, seq)
            else:
                self._differs = min(self._differs, seq)
                break
        at = min(self.mine.seq, self.theirs.seq)
        if self.shared >= at:
            self._end(at)
            return None
        if self._differs <= self.shared + 1:
            self.fault = "ORIGIN_COPIED"
            self.ended = True
            return None
        self._asked = self._between()
        return a.Send(m.CompareIds(self.space, self.mine.origin, self._asked))

    def _grow(self, newest: int) -> None:
        """Commits taken since the hello may be among those that a copy has had decided. What is
        taken after the welcome has come is not, so looking once after that is enough."""
        before = min(self.mine.seq, self.theirs.seq)
        if newest > self.mine.seq:
            self.mine = replace(self.mine, seq=newest)
            if self._differs > before:
                self._differs = min(newest, self.theirs.seq) + 1

    def asked(self, answer: m.ComparedIds) -> bool:
        """Whether this answers the question that is open."""
        return bool(self._asked) and tuple(seq for seq, _ in answer.ids) == self._asked

    def compared(self, answer: m.ComparedIds) -> a.LookUpIds:
        """The hub's ids, empty where it knows none; ours are needed beside them."""
        self._asked = ()
        self._theirs_at = dict(answer.ids)
        return a.LookUpIds(self.space, self.mine.origin, tuple(self._theirs_at))

    def _between(self) -> tuple[int, ...]:
        first, last = self.shared + 1, self._differs - 1
        step = -(-(last - first + 1) // FAN_OUT)  # rounded up, so that all fit
        return tuple(range(first, last + 1, step))

    def _end(self, at: int) -> None:
        self.ended, self.shared = True, at
        if self.theirs.seq > self.mine.seq:
            self.fault = "OUTBOX_BEHIND"
