"""Commits that come again under the id that their client chose.

A client that got no answer sends its commit again, perhaps at another door. The
id is all that tells: the repeat is decided like any commit, but empty, and with
the outcome of the first.

Invariant: a commit id that a client chose has one effect in its space.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from operator import itemgetter

from sync.batch import Batch, Decided
from sync.commit import APPLIED, Kind, Outcome


@dataclass(frozen=True, slots=True)
class First:
    """Where a commit id was decided first."""

    origin: bytes
    seq: int
    revision: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Repeats:
    """Commits of a batch that take no effect, by index: those decided before, and those whose id
    stands earlier in the batch."""

    decided: Mapping[int, First] = field(default_factory=dict)
    twins: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.decided or self.twins)

    def settle(self, batch: Batch, outcomes: MutableMapping[int, Outcome]) -> None:
        """Gives them the outcomes of the first."""
        for index, first in self.decided.items():
            outcomes[index] = replace(first.outcome, by_origin=first.origin, by_seq=first.seq)
        for index, twin in self.twins.items():
            outcome = outcomes.get(twin, APPLIED)
            seq = batch.first_seq + twin
            outcomes[index] = replace(outcome, by_origin=batch.origin, by_seq=seq)


def without_repeats(batch: Batch, firsts: Mapping[bytes, First]) -> tuple[Batch, Repeats]:
    """The batch with its repeats emptied, and which they are."""
    decided: dict[int, First] = {}
    twins: dict[int, int] = {}
    elders: dict[bytes, int] = {}
    for index in sorted(index for index, extra in batch.extras.items() if extra.retryable):
        commit_id = batch.commit_ids[index]
        if commit_id in firsts:
            decided[index] = firsts[commit_id]
        elif elders.setdefault(commit_id, index) != index:
            twins[index] = elders[commit_id]
    if not decided and not twins:
        return batch, Repeats()
    kinds, payloads, start = bytearray(batch.kinds), list(batch.payloads), 0
    for index, count in enumerate(batch.op_counts):
        if index in decided or index in twins:
            kinds[start : start + count] = bytes([Kind.NONE]) * count
            payloads[start : start + count] = [b""] * count
        start += count
    return batch.with_ops(bytes(kinds), tuple(payloads)), Repeats(decided, twins)


def remember(decided: Decided, firsts: MutableMapping[bytes, First]) -> None:
    """Notes where ids were decided first, for what comes after in the same group."""
    batch = decided.batch
    for index, extra in sorted(batch.extras.items(), key=itemgetter(0)):
        if extra.retryable:
            first = First(
                batch.origin,
                batch.first_seq + index,
                decided.first_revision + index,
                decided.outcome(index),
            )
            firsts.setdefault(batch.commit_ids[index], first)
