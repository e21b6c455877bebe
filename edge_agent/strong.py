"""Strong commits on their way: who waits for which, and until when one may take effect.

A strong commit is a row of the outbox like any other, and its author waits for what the hub
decides. It is sent to take effect only while somebody waits. Afterwards, and after a restart, it is
sent as expired: if the hub had it, its result stands, and if not it never appears. So the deadline
needs no place on disk and no clock that survives a boot.

Whoever waits is told by the answer to the push, or by the replica when it has applied the decision;
whichever comes first.

Invariant: a row is sent as a live one only before the deadline of somebody who waits for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from holdfast.host.clock import Clock
from holdfast.host.refusal import Refusal
from sync.batch import Batch, Decided
from sync.commit import OpId, Outcome
from sync.messages import StrongVerdict
from sync.position import Position
from sync.strong import told

MAX_WAITING = 1_000
"""Strong commits that are waited for at once: more than the agents of a device ask for, and their
verdicts fit one message."""


@dataclass(slots=True)
class Awaited:
    """One strong commit. `offered`: it may have left this device as a live one."""

    deadline_ns: int
    waiters: int = 0
    offered: bool = False
    verdict: StrongVerdict | None = None


class StrongCommits:
    """The strong commits of an edge that somebody waits for, by space and commit id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._awaited: dict[tuple[str, bytes], Awaited] = {}
        self._spaces: Counter[str] = Counter()

    @contextmanager
    def awaiting(self, space: str, commit_id: bytes, seconds: float) -> Iterator[Awaited]:
        """Somebody waits within this block. Raises Refusal TOO_MANY_REQUESTS."""
        if self._spaces.total() >= MAX_WAITING:
            raise Refusal("TOO_MANY_REQUESTS", f"{MAX_WAITING} strong writes are on their way")
        deadline_ns = self._clock.boot_ns() + int(seconds * 1_000_000_000)
        awaited = self._awaited.setdefault((space, commit_id), Awaited(deadline_ns))
        awaited.deadline_ns = max(awaited.deadline_ns, deadline_ns)
        awaited.waiters += 1
        self._spaces[space] += 1
        try:
            yield awaited
        finally:
            awaited.waiters -= 1
            self._spaces[space] -= 1
            if not awaited.waiters:
                del self._awaited[space, commit_id]

    def is_urgent(self, space: str) -> bool:
        """Whether somebody waits for what is pending in a space."""
        return self._spaces[space] > 0

    def sending(self, batch: Batch) -> Batch:
        """A batch as it may be sent now: strong commits that nobody waits for are expired."""
        strong = [index for index, extra in batch.extras.items() if extra.strong]
        if not strong:
            return batch
        extras = dict(batch.extras)
        now = self._clock.boot_ns()
        for index in strong:
            awaited = self._awaited.get((batch.space, batch.commit_ids[index]))
            if awaited is not None and now < awaited.deadline_ns:
                awaited.offered = True
            else:
                extras[index] = replace(extras[index], expired=True)
        return replace(batch, extras=extras)

    # -- what they are told --------------------------------------------------

    def tell(self, space: str, verdicts: Iterable[StrongVerdict]) -> None:
        """The hub has decided these."""
        for verdict in verdicts:
            awaited = self._awaited.get((space, verdict.commit_id))
            if awaited is not None and awaited.verdict is None:
                awaited.verdict = verdict

    def applied(self, batches: Iterable[Decided], ordinals: Mapping[bytes, int]) -> None:
        """These are in the replica."""
        if not self._awaited:
            return
        for decided in batches:
            batch = decided.batch
            if batch.origin in ordinals:
                strong = (index for index, extra in batch.extras.items() if extra.strong)
                self.tell(batch.space, (verdict_at(decided, index) for index in strong))


def verdict_at(decided: Decided, index: int) -> StrongVerdict:
    """What the log says of a strong commit."""
    batch = decided.batch
    op_id = OpId(batch.origin, batch.first_seq + index, batch.commit_ids[index])
    position = Position(decided.epoch, batch.space, decided.first_revision + index)
    return verdict_of(op_id, decided.outcome(index), position)


def verdict_of(op_id: OpId, outcome: Outcome, position: Position) -> StrongVerdict:
    """What is known of a strong commit by its outcome. One that repeats another has that one's
    outcome and names it as the first; where that was decided is not known by this (revision 0)."""
    first = op_id
    if outcome.by_origin:
        first = OpId(outcome.by_origin, outcome.by_seq, op_id.commit_id)
        position = replace(position, revision=0)
    shown = Outcome(outcome.kind, told(outcome))
    metadata = {"rule": outcome.reason} if shown.reason == "REFUSED_BY_RULE" else {}
    return StrongVerdict(op_id.commit_id, position, shown, first, metadata=metadata)
