"""How concurrent writes become one state.

Runs once, at the hub, on a batch and the records it touches. Causal order
decides first; only where an operation is concurrent with what is there does a
rule speak, and then the loser is kept in a conflict. The result is a list of
operations as they take effect: replicas apply those and know no rule.

Fast path: nothing of the record is concurrent with the commit. Then nothing is
compared and no value is parsed that need not be.

Invariant: a commit takes effect whole or, rejected, not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sync.batch import Batch
from sync.commit import Extra, Kind, Outcome, OutcomeKind
from sync.context import Author, Part
from sync.merge import Merge
from sync.table import Table
from sync.values import InvalidValue
from sync.working import OPEN_KINDS, Conflict, Key, Rejected, Resolution, Working

__all__ = ["OPEN_KINDS", "Conflict", "Key", "Rejected", "Resolution", "Resolver", "Working"]


_PATCH = int(Kind.PATCH)  # comparing with the member costs more than the comparison


@dataclass(slots=True)
class Resolver(Table):
    """Decides batches on the table's records, which it changes."""

    def decide(
        self, batch: Batch, origin: int, first_revision: int, stamps: tuple[int, ...],
        bases: tuple[int, ...], refused: Mapping[int, str] | None = None,
    ) -> Resolution:  # fmt: skip
        """Decides every commit in order. `bases` are the batch's, in the present epoch;
        `refused` has reasons for commits that are rejected whatever the rules say."""
        result = Resolution(bytearray(batch.kinds), list(batch.payloads), [0] * len(batch.keys))
        watchful = self.policies.watchful
        start = 0
        for index, count in enumerate(batch.op_counts):
            extra = batch.extras.get(index)
            watched = bool(watchful) and not watchful.isdisjoint(
                batch.collections[start : start + count]
            )
            if count == 1 and extra is None and not refused and not watched:
                mine = Part(first_revision + index, origin, batch.first_seq + index, stamps[index])
                if self._patched(batch, start, mine, bases[index], batch.seens[index], result):
                    start += 1
                    continue
            author = Author(
                origin, batch.first_seq + index, bases[index], batch.seens[index],
                self._others(extra), stamps[index], first_revision + index,
                batch.actors[index].kind,
            )  # fmt: skip
            ops = range(start, start + count)
            start += count
            if extra is not None and extra.coalesced_by:
                outcome = Outcome(
                    OutcomeKind.COALESCED, by_origin=batch.origin, by_seq=extra.coalesced_by
                )
                result.outcomes[index] = outcome
                for op in ops:
                    result.kinds[op], result.payloads[op] = Kind.NONE, b""
            else:
                reason = refused.get(index, "") if refused else ""
                merge = Merge.of(self, batch, author, index, ops, result)
                merge.decide(extra, reason, watched=watched)
        return result

    def _patched(
        self, batch: Batch, op: int, mine: Part, base: int, seen: int, result: Resolution
    ) -> bool:
        """Does the most frequent commit of all, a single patch of a live record of which its author
        has seen everything: what the rules would do, at a third of their cost. False: nothing was
        done, and the rules decide."""
        record = self.records.get((batch.collections[op], batch.keys[op]))
        if record is None or batch.kinds[op] != _PATCH or record.deleted:
            return False
        before = record.revision
        by_own = record.origin == mine.origin and record.seq <= seen and record.other <= base
        if before > base and not by_own:
            return False
        if self.policies.of(batch.collections[op]).has_texts:
            return False
        try:
            record.patched_by(mine, batch.payloads[op], plain=batch.plain)
        except InvalidValue:
            return False
        result.previous[op] = before
        return True

    def _others(self, extra: Extra | None) -> dict[int, int] | None:
        if extra is None or not extra.seen:
            return None
        known = ((self.numbers.get(name), seq) for name, seq in extra.seen)
        return {number: seq for number, seq in known if number is not None}
