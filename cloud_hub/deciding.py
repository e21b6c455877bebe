"""One group of submissions on one space, decided without I/O.

The transaction loads what the group touches, hands it here, and writes what
comes out. Order of arrival is order of decision; each submission sees what the
ones before it did.

Invariant: revisions given are consecutive from the head's, and each decided
commit of an origin is the next of that origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cloud_hub import verdicts
from cloud_hub.judging import Judge, Loaded
from cloud_hub.origins import Watermark, unseen_name
from cloud_hub.own_commits import Draft, Present, own_batches
from cloud_hub.permits import forbidden
from cloud_hub.repeats import First, remember, without_repeats
from cloud_hub.submissions import Pushed, Receipt, Requested, Voided
from holdfast.host.door import Refusal
from sync import messages as m
from sync.batch import Batch, Decided, batch_of, pieces
from sync.clock import decide_stamp, stamp_at
from sync.commit import Actor, ActorKind, Commit, Extra, Op, OpId, Outcome, OutcomeKind
from sync.levels import Level
from sync.policy import POLICIES
from sync.position import ID_BYTES, Position, UnknownEpoch
from sync.reduce import Request
from sync.resolve import Conflict, Resolver
from sync.strong import told

NO_ID = bytes(ID_BYTES)


MAX_VERDICTS = 1_000
"""Of one answer, which so fits a message; an edge finds those beyond among the changes."""

NOTHING_DECIDED = Watermark(0, NO_ID, 0, 0)
"""The watermark of an origin before its first commit."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch of the group, decided. `pushed` is set if its block can go on as it came."""

    decided: Decided
    origin: int
    edge_block: Pushed | None
    conflicts: tuple[Conflict, ...]


@dataclass(slots=True)
class Decider:
    """Decides one group."""

    loaded: Loaded
    hub_origin: bytes
    hub_ms: int
    entries: list[Entry] = field(default_factory=list)
    revision: int = 0
    stamp_max: int = 0
    _resolver: Resolver = field(init=False)
    _judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        got = self.loaded
        self.revision, self.stamp_max = got.revision, got.stamp_max
        self._resolver = Resolver(
            got.records, got.policies, got.names, got.numbers, self._revision_of, got.texts
        )
        self._judge = Judge(got, self._resolver, self._effective)

    # -- edges ---------------------------------------------------------------

    def push(self, item: Pushed) -> m.PushResult | m.PushRefused:
        """Decides what of a push has not been decided yet."""
        batch = item.batch
        number = self.loaded.numbers[batch.origin]
        mark = self.loaded.marks.get(number, NOTHING_DECIDED)
        refusal = item.line.checked(batch, mark.seq, _refusal(batch, mark))
        if refusal is not None:
            return refusal
        known = mark.seq - batch.first_seq + 1
        if known < len(batch):
            fresh = batch.slice(known, len(batch)) if known else batch
            found = self._pushed(fresh, number, None if known else item)
            return replace(self.result(batch.origin), verdicts=found[:MAX_VERDICTS])
        return self.result(batch.origin)

    def _pushed(
        self, batch: Batch, number: int, item: Pushed | None
    ) -> tuple[m.StrongVerdict, ...]:
        """Decides a batch: strong commits one by one, since each is judged on what it meets."""
        strong = sorted(index for index, extra in batch.extras.items() if extra.strong)
        found: list[m.StrongVerdict] = []
        start = 0
        for index in (*strong, len(batch)):
            if start < index:
                part = batch.slice(start, index) if strong else batch
                self._decide(
                    part,
                    number,
                    None if strong else item,
                    refused=forbidden(part, self.loaded.policies),
                )
            if index < len(batch):
                found.append(self._strong(batch.slice(index, index + 1), number))
            start = index + 1
        return tuple(found)

    def _strong(self, batch: Batch, number: int) -> m.StrongVerdict:
        """Decides one strong commit, which takes effect as it was asked for or not at all."""
        got, commit = self.loaded, batch.commit(0)
        first, refusal = got.firsts.get(commit.id), None
        if first is None:
            try:
                ops = self._judge.judge(verdicts.asked(batch, commit), Level.STRONG)
                present = replace(commit, base=self.revision, seen=0, ops=ops)
                batch = batch_of(got.space, batch.origin, got.lineage.present.ordinal, [present])
            except Refusal as error:
                refusal = error
        refused = {0: refusal.reason} if refusal else None
        decided = self._decide(batch, number, None, refused=refused, unseen=True)
        if first is None:
            first = First(batch.origin, commit.seq, self.revision, decided.outcome(0))
        elif told(first.outcome) == "REVISION_MISMATCH" and commit.ops:
            refusal = self._judge.mismatch(commit.ops[0].collection, commit.ops[0].key)
        position = Position(got.lineage.present.ordinal, got.space, first.revision)
        return verdicts.verdict(commit, first, position, refusal)

    def void(self, item: Voided) -> m.PushResult | m.PushRefused:
        """Decides seqs as lost, with the reason that their edge gave."""
        gone = item.gone
        number = self.loaded.numbers[gone.origin]
        mark = self.loaded.marks.get(number, NOTHING_DECIDED)
        batch = _lost(gone, mark.stamp)
        refusal = _refusal(batch, mark) if gone.commit_ids else _gap(batch, mark)
        refusal = item.line.checked(batch, mark.seq, refusal)
        if refusal is not None:
            return refusal
        known = mark.seq - batch.first_seq + 1
        if known < len(batch):
            fresh = batch.slice(known, len(batch)) if known else batch
            outcome = Outcome(OutcomeKind.LOST, gone.reason)
            self._decide(fresh, number, None, forced=dict.fromkeys(range(len(fresh)), outcome))
        return self.result(gone.origin)

    def result(self, origin: bytes) -> m.PushResult:
        """Where an origin stands now."""
        got = self.loaded
        mark = got.marks.get(got.numbers[origin], NOTHING_DECIDED)
        position = Position(got.lineage.present.ordinal, got.space, mark.revision)
        return m.PushResult(got.space, origin, mark.seq, mark.commit_id, position)

    # -- the hub's own door --------------------------------------------------

    def request(self, item: Requested) -> Receipt:
        """Decides a commit on the state as it is now. Raises Refusal; then nothing is changed."""
        got = self.loaded
        first = got.firsts.get(item.commit_id)
        if first is not None:
            if item.level is Level.STRONG and first.outcome.kind is OutcomeKind.REJECTED:
                raise self._refused_before(first, item.requests[0])
            op_id = OpId(first.origin, first.seq, item.commit_id)
            return self._receipt(op_id, first.revision, first.outcome, item.level)
        level = self._judge.level(item)
        ops = self._judge.judge(item, level)
        number = got.numbers[self.hub_origin]
        seq = got.marks.get(number, NOTHING_DECIDED).seq + 1
        commit = self._commit(item, seq, ops, level)
        decided = self._decide(
            batch_of(got.space, self.hub_origin, got.lineage.present.ordinal, [commit]),
            number, None,
        )  # fmt: skip
        op_id = OpId(self.hub_origin, seq, item.commit_id)
        return self._receipt(op_id, self.revision, decided.outcome(0), level)

    def _refused_before(self, first: First, request: Request) -> Refusal:
        """What a retry of a strong commit is told that was refused."""
        reason = told(first.outcome)
        if reason == "REVISION_MISMATCH":
            return self._judge.mismatch(request.collection, request.key)
        return Refusal(reason)

    def _commit(self, item: Requested, seq: int, ops: tuple[Op, ...], level: Level) -> Commit:
        """What is strong has been judged on the present, and so nothing of it is concurrent."""
        base, seen = self.revision, item.context.seen if item.context else ()
        if item.context is not None and level is not Level.STRONG:
            base = min(base, self._effective(item.context.base))
        return Commit(
            id=item.commit_id,
            seq=seq,
            base=base,
            seen=0 if item.context else seq - 1,
            claimed=stamp_at(self.hub_ms),
            actor=item.actor,
            ops=ops,
            extra=Extra(
                seen=seen,
                preconditions=(),
                correlation_id=item.correlation_id,
                causation_id=item.causation_id,
                retryable=item.retryable,
            ),
        )

    def _receipt(
        self, op_id: OpId, revision: int, outcome: Outcome, level: Level | None
    ) -> Receipt:
        position = Position(self.loaded.lineage.present.ordinal, self.loaded.space, revision)
        return Receipt(op_id, position, outcome, level or Level.EVENTUAL)

    # -- both ----------------------------------------------------------------

    def own(self, drafts: Sequence[Draft], new_id: Callable[[], bytes]) -> None:
        """Decides commits of the hub itself, which it makes because of what it has decided."""
        got, number = self.loaded, self.loaded.numbers[self.hub_origin]
        seq = got.marks.get(number, NOTHING_DECIDED).seq
        for batch in own_batches(drafts, self.hub_origin, seq, self._present(), new_id):
            self._decide(batch, number, None)

    def _present(self) -> Present:
        got = self.loaded
        return Present(got.space, got.lineage.present.ordinal, self.revision, self.hub_ms)

    def _decide(
        self, batch: Batch, number: int, pushed: Pushed | None, *,
        forced: Mapping[int, Outcome] | None = None, refused: Mapping[int, str] | None = None,
        unseen: bool = False,
    ) -> Decided:  # fmt: skip
        got = self.loaded
        batch, repeats = without_repeats(batch, got.firsts)
        bases = self._bases(batch)
        stamps = self._stamps(batch, number, bases)
        first = self.revision + 1
        author = unseen_name(number) if unseen else number
        made = self._resolver.decide(batch, author, first, stamps, bases, refused)
        repeats.settle(batch, made.outcomes)
        made.outcomes.update(forced or {})
        kinds, payloads = bytes(made.kinds), tuple(made.payloads)
        untouched = not repeats and kinds == batch.kinds and payloads == batch.payloads
        decided = Decided(
            batch=batch if untouched else batch.with_ops(kinds, payloads),
            epoch=got.lineage.present.ordinal,
            first_revision=first,
            stamps=stamps,
            previous=tuple(made.previous),
            outcomes=made.outcomes,
        )
        if untouched:  # it fits a message, since it came in one
            self.entries.append(Entry(decided, number, pushed, tuple(made.conflicts)))
        else:
            self.entries += _entries(decided, number, made.conflicts)
        self.revision, self.stamp_max = decided.last_revision, max(self.stamp_max, *stamps)
        got.marks[number] = Watermark(
            batch.last_seq, batch.commit_ids[-1], self.revision, stamps[-1]
        )
        remember(decided, got.firsts)
        if POLICIES in decided.batch.collections:
            self._follow_policies(decided)
        return decided

    def _follow_policies(self, decided: Decided) -> None:
        """What comes after a change of policy is decided by it, in this group too."""
        for collection, key in decided.record_names():
            if collection == POLICIES:
                record = self.loaded.records[collection, key]
                self.loaded.policies = self.loaded.policies.with_record(
                    key, record.live, record.revision
                )
        self._resolver.policies = self.loaded.policies

    def _bases(self, batch: Batch) -> tuple[int, ...]:
        got = self.loaded
        if batch.base_epoch == got.lineage.present.ordinal:
            if max(batch.bases) <= self.revision:
                return batch.bases
            # A base that this history has not reached is of one that was lost unnoticed.
            return tuple(base if base <= self.revision else 0 for base in batch.bases)
        known = {
            base: self._effective(Position(batch.base_epoch, got.space, base))
            for base in set(batch.bases)
        }
        return tuple(known[base] for base in batch.bases)

    def _revision_of(self, epoch: int, revision: int) -> int:
        return self._effective(Position(epoch, self.loaded.space, revision))

    def _effective(self, position: Position) -> int:
        """A base in a history that is not known here has seen nothing of this one."""
        try:
            return self.loaded.lineage.effective(position)
        except UnknownEpoch:
            return 0

    def _stamps(self, batch: Batch, number: int, bases: tuple[int, ...]) -> tuple[int, ...]:
        """Clamped to the hub's time, above all that the author had seen and its origin's own."""
        floors, extras, hub_ms = self.loaded.floors, batch.extras, self.hub_ms
        last = self.loaded.marks.get(number, NOTHING_DECIDED).stamp
        stamps: list[int] = []
        for index, (claimed, base) in enumerate(zip(batch.claimed, bases, strict=True)):
            # A base that is not among the floors is this hub's own: the very head.
            last = max(last, floors.get(base, self.stamp_max))
            if index in extras:
                last = max(last, self._seen_stamp(extras[index]))
            last = decide_stamp(claimed, hub_ms, last)
            stamps.append(last)
        return tuple(stamps)

    def _seen_stamp(self, extra: Extra) -> int:
        """The greatest stamp of other origins' commits that an author had seen undecided."""
        marks, numbers = self.loaded.marks, self.loaded.numbers
        found = (marks.get(numbers.get(origin, 0), NOTHING_DECIDED) for origin, _ in extra.seen)
        return max((mark.stamp for mark in found), default=0)


def _entries(decided: Decided, number: int, conflicts: Sequence[Conflict]) -> list[Entry]:
    """What the hub has changed, as entries that each fit a message."""
    parts = pieces(decided)
    if len(parts) == 1:
        return [Entry(decided, number, None, tuple(conflicts))]
    entries, start = [], 0
    for part in parts:
        mine = (c for c in conflicts if start <= c.index < start + len(part.batch))
        moved = tuple(replace(c, index=c.index - start) for c in mine)
        entries.append(Entry(part, number, None, moved))
        start += len(part.batch)
    return entries


def _gap(batch: Batch, mark: Watermark) -> m.PushRefused | None:
    if batch.first_seq <= mark.seq + 1:
        return None
    message = f"expected seq {mark.seq + 1}, not {batch.first_seq}: send it, or declare it void"
    return m.PushRefused(batch.space, batch.origin, "SEQ_GAP", message, mark.seq)


def _refusal(batch: Batch, mark: Watermark) -> m.PushRefused | None:
    """Gaps, an id at the watermark that is not the one decided there, and what lies below it.

    What lies wholly below was decided since this stream compared ids, and cannot be compared
    here: another stream of this edge was faster, or a copy of it. The next hello finds out.
    """
    at = mark.seq - batch.first_seq
    if 0 <= at < len(batch) and batch.commit_ids[at] != mark.commit_id:
        message = f"another commit was decided at seq {mark.seq} of this origin"
        return m.PushRefused(batch.space, batch.origin, "ORIGIN_COPIED", message, mark.seq)
    if at >= len(batch):
        message = f"seqs up to {mark.seq} of this origin were decided meanwhile"
        return m.PushRefused(batch.space, batch.origin, "SUPERSEDED", message, mark.seq)
    return _gap(batch, mark)


def _lost(gone: m.VoidRange, stamp: int) -> Batch:
    count = gone.count
    return Batch(
        space=gone.space,
        origin=gone.origin,
        first_seq=gone.first_seq,
        base_epoch=0,
        commit_ids=gone.commit_ids or (NO_ID,) * count,
        bases=(0,) * count,
        seens=(0,) * count,
        claimed=(stamp,) * count,
        actors=(Actor("edge-agent", ActorKind.SYSTEM),) * count,
        op_counts=(0,) * count,
        collections=(),
        keys=(),
        kinds=b"",
        payloads=(),
    )
