"""What is noted while a commit is decided: its worst outcome, its conflicts, what has no effect.

Invariant: an outcome worse than applied has a conflict that says what it cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sync.batch import Batch
from sync.commit import Kind, Outcome, OutcomeKind
from sync.context import Author, Part
from sync.policy import Policies
from sync.refused import several
from sync.working import Conflict, Rejected, Resolution, Working

_SEVERITY = {OutcomeKind.APPLIED: 0, OutcomeKind.MERGED: 1, OutcomeKind.SUPERSEDED: 2}


@dataclass(slots=True)
class Ledger:
    """The notes on one commit of a batch, in the batch's result."""

    batch: Batch
    author: Author
    index: int
    policies: Policies
    result: Resolution
    kind: OutcomeKind = OutcomeKind.APPLIED
    by: Part | None = None

    def outcome(self, by_origin: bytes) -> Outcome:
        """What became of the commit; `by_origin` names the origin of `by`."""
        if self.by is None or self.kind is OutcomeKind.MERGED:
            return Outcome(self.kind)
        return Outcome(self.kind, by_origin=by_origin, by_seq=self.by.seq)

    def note(self, kind: OutcomeKind, by: Part | None) -> None:
        """Keeps the worst of the parts."""
        if _SEVERITY[kind] > _SEVERITY[self.kind]:
            self.kind, self.by = kind, by

    def takes_effect(self, op: int, kind: int, payload: bytes) -> None:
        """What replicas apply in the place of an operation."""
        self.result.kinds[op], self.result.payloads[op] = kind, payload

    def no_effect(self, op: int) -> None:
        """An operation that replicas do not hear of."""
        self.result.kinds[op], self.result.payloads[op] = Kind.NONE, b""

    def wanted(self, op: int) -> bytes | None:
        """What a conflict keeps of an operation; None: that there be nothing."""
        return None if self.batch.kinds[op] == Kind.DELETE else self.batch.payloads[op]

    def refusal(self, ops: Sequence[int], standing: Working | None, why: Rejected) -> None:
        """What a commit wanted to do to a record, none of which was done: one conflict, so that
        one answer does all of it."""
        op = ops[0]
        self.conflict(
            op, "", why.kind, standing.last if standing else None,
            standing.live if standing else None, self.wanted(op), "ours", why.by, why.reason,
        )  # fmt: skip
        if len(ops) > 1:
            kinds, payloads = self.batch.kinds, self.batch.payloads
            all_ = several([(Kind(kinds[each]), payloads[each]) for each in ops])
            last = self.result.conflicts[-1]
            self.result.conflicts[-1] = replace(last, op=int(Kind.NONE), theirs_value=all_)

    def conflict(
        self, op: int, name: str, kind: str, ours: Part | None, ours_value: bytes | None,
        theirs_value: bytes | None, winner: str, algorithm: str, reason: str = "", *,
        result: bytes | None = None, waits: bool = False, detail: str = "",
    ) -> None:  # fmt: skip
        """Two versions met: the log of conflicts keeps both."""
        collection = self.batch.collections[op]
        self.result.conflicts.append(
            Conflict(
                self.index, self.author.revision, collection, self.batch.keys[op], name, kind,
                ours, ours_value, self.author.part, theirs_value, winner, algorithm, reason,
                self.batch.kinds[op], self.author.base, 0, result,
                self.policies.of(collection).revision, waits, detail,
            )
        )  # fmt: skip
