"""Judges commits against the view: what they mean, what they were written on, or why not.

Runs in the outbox's thread, on one snapshot of the replica, for a whole group of commits; each is
judged on the state that those before it leave. Nothing is written here.

Invariant: a draft's base and seen are those of the very state that it was reduced against.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edge_agent import coalescing, overlay
from edge_agent.ages import Ages
from edge_agent.conditions import Conditions
from edge_agent.outbox import Emptying, Outbox
from edge_agent.overlay import Writer
from edge_agent.requests import Context, Write
from edge_agent.space_view import SpaceView
from edge_agent.states import SQL as STATES
from edge_agent.states import Name, Overlaid, live_value
from edge_agent.woven import SPLICES
from holdfast.host.refusal import Refusal
from sync.batch import MAX_PAYLOAD_BYTES
from sync.commit import Commit, Extra, Op, Precondition
from sync.levels import Level, NotPermitted, WriteBound, bound_of_write, level_of_write
from sync.messages import Scope
from sync.policy import RESERVED_PREFIX, CollectionPolicy, Granularity, Rule, Ruling
from sync.reduce import (
    Add,
    Patch,
    Put,
    Request,
    RuleMismatch,
    SetAdd,
    SetRemove,
    SpliceFields,
    differences,
    is_addition,
    reduce,
)
from sync.rules.invariants import broken
from sync.rules.owners import trespass
from sync.transform import SpliceMismatch
from sync.values import InvalidValue

_UNKNOWN: dict[type, CollectionPolicy] = {
    Add: CollectionPolicy(ruling=Ruling(Rule.COUNTER)),
    SetAdd: CollectionPolicy(ruling=Ruling(Rule.SET)),
    SetRemove: CollectionPolicy(ruling=Ruling(Rule.SET)),
}
"""By which additions are taken while nothing has come from the hub, policies included (a new edge,
a lost replica): a write never waits for the network, and the hub decides it by the real one."""


def _untold(request: Request, policy: CollectionPolicy) -> CollectionPolicy:
    if isinstance(request, SpliceFields):
        lists = any(isinstance(run, tuple) for _, edit in request.edits for run in edit.runs)
        return CollectionPolicy(ruling=Ruling(Rule.LIST if lists else Rule.TEXT))
    return _UNKNOWN.get(type(request), policy)


class Stronger(Refusal):
    """A write that names no level, to a collection that is written at the level strong only."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit that may be stored, with its records after each operation. Of a strong one nothing
    is shown before the hub has decided it."""

    space: str
    commit: Commit
    basis: Basis
    images: tuple[Overlaid, ...]


@dataclass(frozen=True, slots=True)
class Basis:
    """A context in today's names: own seqs apart from others'. `effective` is the base as a
    revision of the replica's epoch."""

    epoch: int
    base: int
    effective: int
    seen: int
    others: tuple[tuple[bytes, int], ...]
    own: bytes

    @classmethod
    def of(
        cls, epoch: int, base: int, effective: int, seen: Mapping[bytes, int], own: bytes
    ) -> Basis:
        others = tuple((origin, seq) for origin, seq in seen.items() if origin != own and seq)
        return cls(epoch, base, effective, seen.get(own, 0), others, own)

    def saw(self, origin: bytes, seq: int) -> bool:
        if origin == self.own:
            return seq <= self.seen
        return any(name == origin and seq <= newest for name, newest in self.others)


@dataclass(slots=True)
class Judge:
    """Judges the writes of one space in order."""

    view_connection: sqlite3.Connection
    outbox_connection: sqlite3.Connection
    outbox: Outbox
    view: SpaceView
    scope: Scope | None
    ages: Ages = field(default_factory=Ages)
    now_ns: int = 0

    @property
    def space(self) -> str:
        return self.view.standing.space

    @property
    def conditions(self) -> Conditions:
        """What is demanded of records, checked on the view."""
        return Conditions(self.outbox, self.view)

    def judge(self, write: Write, commit_id: bytes, claimed: int) -> Draft:
        """The commit that a write becomes; its effect is in the view from now on.

        Raises Refusal; then the view is as before.
        """
        self._check_scope(write)
        basis = self._basis(write.context)
        for wanted in write.preconditions:
            self.conditions.check(wanted)
        emptied, trial = coalescing.superfluous(
            self.view_connection, self.outbox_connection, self.outbox, self.view, write
        )
        seq = self.view.last_seq + 1
        by = Writer(self.outbox.origin.ordinal, seq, claimed, write.actor.id, int(write.actor.kind))
        ops: list[Op] = []
        images: list[Overlaid] = []
        for request in write.requests:
            reduced = self._reduced(write, request, basis if write.context else None, trial)
            self._check_owner(reduced, write)
            value = self._put_as_it_is(request, reduced)
            for op in reduced:
                ops.append(op)
                images.append(self._step(trial, op, by, value))
        if sum(len(op.payload) for op in ops) > MAX_PAYLOAD_BYTES // 2:
            raise Refusal("COMMIT_TOO_LARGE")  # a patch of a whole record is as large as that
        self._check_invariants(trial)
        if any(op.kind in SPLICES for op in ops):
            basis = self._present(write, basis)
        commit = Commit(
            commit_id, seq, basis.base, basis.seen, claimed, write.actor, tuple(ops),
            self.extra(write, basis),
        )  # fmt: skip
        self.view.over.update(trial)
        self.view.touched.update(trial)
        self.view.last_seq = seq
        self.view.emptied += [Emptying(self.space, victim, seq) for victim in emptied]
        return Draft(self.space, commit, basis, tuple(images))

    def extra(self, write: Write, basis: Basis, *, strong: bool = False) -> Extra:
        """What a write says beside its operations."""
        return Extra(
            seen=basis.others,
            preconditions=tuple(self._renamed(wanted) for wanted in write.preconditions),
            correlation_id=write.correlation_id,
            causation_id=write.causation_id,
            retryable=write.commit_id is not None,
            strong=strong,
            blind=strong and write.context is None,
        )

    def _renamed(self, wanted: Precondition) -> Precondition:
        version = wanted.version
        if version is None or not version.pending:
            return wanted
        origin, seq = self.outbox.present_name(self.space, version.origin, version.seq)
        return replace(wanted, version=replace(version, origin=origin, seq=seq))

    def level(self, write: Write) -> Level:
        """The level that a write is served at here; a bounded one is within its bound.

        Raises Refusal LEVEL_NOT_PERMITTED, WRITE_BOUND_EXCEEDED, and Stronger.
        """
        policies = self.view.policies
        named = [(one.collection, policies.of(one.collection).levels) for one in write.requests]
        try:
            level = level_of_write(write.level, named)
            bound = bound_of_write(write.bound, named)
        except NotPermitted as error:
            raise Refusal(error.reason, str(error)) from error
        if level is Level.STRONG and write.level is not Level.STRONG:
            raise Stronger("LEVEL_NOT_PERMITTED", "the policy asks for the level strong")
        if level is Level.BOUNDED:
            self._check_bound(bound)
        return level

    def _check_bound(self, bound: WriteBound) -> None:
        """Raises Refusal if too much is pending, or for too long."""
        if not bound:
            text = "a bounded write names max_pending or max_age_ms, or its policy does"
            raise Refusal("MALFORMED_REQUEST", text)
        pending, oldest_ms = self._pending()
        age = "unknown" if oldest_ms is None else str(oldest_ms)
        many = bound.max_pending and pending >= bound.max_pending
        old = pending and bound.max_age_ms and (oldest_ms is None or oldest_ms >= bound.max_age_ms)
        if many or old:
            metadata = {"pending": str(pending), "oldest_ms": age}
            text = f"{pending} commits are pending, the oldest for {age} ms"
            raise Refusal("WRITE_BOUND_EXCEEDED", text, metadata=metadata)

    def _pending(self) -> tuple[int, int | None]:
        """How many commits of the space are pending, and the age of the oldest; None: unknown."""
        present, pending, oldest_ns = self.outbox.origin.ordinal, 0, self.now_ns
        known = True
        for ordinal in {present, *self.outbox.streams(self.space)}:
            stream, own = (self.space, ordinal), self.view.standing.own.get(ordinal)
            last = (
                self.view.last_seq if ordinal == present else self.outbox.counter(*stream).last_seq
            )
            decided = own.decided_seq if own else 0
            stored = self.outbox.counter(*stream).last_seq
            if stored > decided:  # what this group has taken is of now
                taken_ns = self.ages.oldest_ns(stream, decided)
                known = known and taken_ns is not None
                oldest_ns = min(oldest_ns, taken_ns or 0)
            pending += max(0, last - decided)
        return pending, (self.now_ns - oldest_ns) // 1_000_000 if known else None

    def _check_scope(self, write: Write) -> None:
        for named in (*write.requests, *write.preconditions):
            if self.scope is not None and not self.scope.covers(named.collection):
                raise Refusal("OUT_OF_SCOPE", f"{self.space}/{named.collection} is not kept here")
        for request in write.requests:
            reserved = request.collection.startswith(RESERVED_PREFIX)
            if reserved and write.system:
                continue
            if reserved:
                raise Refusal("RESERVED_COLLECTION", f"{request.collection} is the system's")
            strict = self.view.policies.space.strict
            if strict and not self.view.policies.declared(request.collection):
                raise Refusal("UNDECLARED_COLLECTION", f"{self.space}/{request.collection}")

    # -- contexts ------------------------------------------------------------

    def _basis(self, context: Context | None) -> Basis:
        """What the author has seen, in names of today."""
        cursor, present = self.view.standing.cursor, self.outbox.origin.id
        if context is None:
            seen = dict(self.view.standing.seen)
            own = self.view.standing.own.get(self.outbox.origin.ordinal)
            decided = own.decided_seq if own else 0
            seen[present] = self.view.last_seq if self.view.last_seq > decided else 0
            return Basis.of(cursor.epoch, cursor.revision, cursor.revision, seen, present)
        seen = self._seen(context)
        here = self.conditions.effective(context.epoch, context.base)
        if here > cursor.revision:
            raise Refusal(
                "SESSION_NOT_CAUGHT_UP",
                f"the context is of revision {here}, and this replica is at {cursor.revision}",
            )
        return Basis.of(context.epoch, context.base, here, seen, present)

    def strong_basis(self, context: Context | None) -> Basis:
        """The same for what the hub judges: the base is its own to look up. Without a context
        nothing has been seen."""
        cursor, present = self.view.standing.cursor, self.outbox.origin.id
        if context is None:
            return Basis.of(cursor.epoch, cursor.revision, cursor.revision, {}, present)
        seen = self._seen(context)
        return Basis.of(context.epoch, context.base, context.base, seen, present)

    def _seen(self, context: Context) -> dict[bytes, int]:
        """What a context has seen undecided, in names of today. Raises Refusal WRITES_LOST."""
        seen: dict[bytes, int] = {}
        for origin, seq in context.seen:
            name, number = self.outbox.present_name(self.space, origin, seq)
            seen[name] = max(number, seen.get(name, 0))
        if seen.get(self.outbox.origin.id, 0) > self.view.last_seq:
            raise Refusal("WRITES_LOST", "the context names a write that this edge never took")
        return seen

    def _present(self, write: Write, basis: Basis) -> Basis:
        """A splice is stored as one of the present view, so that each builds on all earlier ones
        of its origin; then nothing else in the commit may be on an older state."""
        if write.context is not None:
            for request in write.requests:
                name = (request.collection, request.key)
                if self._unseen(name, basis):
                    raise self.conditions.mismatch(name, "it has changed since it was read")
        return self._basis(None)

    # -- operations ----------------------------------------------------------

    def _reduced(
        self, write: Write, request: Request, basis: Basis | None, trial: Mapping[Name, Overlaid]
    ) -> tuple[Op, ...]:
        """What a request changes. `basis` is given if its author may have seen another state."""
        name = (request.collection, request.key)
        policy = self.view.policies.of(request.collection)
        if not self.view.standing.cursor.epoch:
            policy = _untold(request, policy)
        live = live_value(self.view.hub, trial if name in trial else self.view.over, name)
        if basis is not None and name not in trial and self._unseen(name, basis):
            whole = policy.granularity is Granularity.RECORD
            if isinstance(request, Put) or (isinstance(request, Patch) and whole):
                raise self.conditions.mismatch(name, "it has changed since it was read")
            merged = differences(request, policy)
            if merged:
                what = " and ".join(merged)
                raise self.conditions.mismatch(
                    name, f"{what} have changed since they were read", merged
                )
            if isinstance(request, SpliceFields):
                raise self.conditions.mismatch(name, "it has changed since it was read")
            if is_addition(request) or (isinstance(request, Patch) and not request.removes):
                live = None  # its author may have seen it absent: the hub merges with what is there
        try:
            reduced = reduce(request, live, policy, restores=write.system)
        except (RuleMismatch, InvalidValue, SpliceMismatch) as error:
            raise Refusal(error.reason, str(error)) from error
        if any(op.kind in SPLICES for op in reduced) and self._waits(name):
            raise self.conditions.mismatch(
                name, "pending edits of it are not in the view again yet"
            )
        return reduced

    def _check_owner(self, ops: Sequence[Op], write: Write) -> None:
        for op in ops:
            policy = self.view.policies.of(op.collection)
            fault = trespass(op.kind, op.payload, policy, write.actor.kind, answers=write.system)
            if fault:
                raise Refusal("REFUSED_BY_RULE", f"{op.collection}/{op.key}: {fault}")

    def _waits(self, name: Name) -> bool:
        found = self.view_connection.execute(STATES["waits"], (self.space, *name)).fetchone()
        return bool(found[0])

    def _check_invariants(self, trial: Mapping[Name, Overlaid]) -> None:
        for (collection, key), after in trial.items():
            policy = self.view.policies.of(collection)
            if policy.invariants:
                name = broken(policy, key, self.conditions.live((collection, key)), after.live)
                if name:
                    text = f"{collection}/{key}: {name}: {policy.invariants[name].text}"
                    raise Refusal("INVARIANT_BROKEN", text)

    def _put_as_it_is(self, request: Request, reduced: Sequence[Op]) -> bytes | None:
        """What a put makes of a record, where that is known without merging."""
        if not isinstance(request, Put) or len(reduced) != 1:
            return None
        return None if self.view.policies.of(request.collection).reshapes else request.value

    def _step(
        self, trial: dict[Name, Overlaid], op: Op, by: Writer, value: bytes | None
    ) -> Overlaid:
        name = (op.collection, op.key)
        if value is not None:
            after = trial[name] = Overlaid(
                by.ordinal, by.seq, by.claimed, by.actor_id, by.actor_kind, False, value
            )
            return after
        if name not in trial and name in self.view.over:
            trial[name] = self.view.over[name]
        return overlay.step(trial, self.view.hub, name, op.kind, op.payload, by)

    def _live(self, name: Name) -> bytes | None:
        return live_value(self.view.hub, self.view.over, name)

    # -- what the author has not seen ----------------------------------------

    def _unseen(self, name: Name, basis: Basis) -> bool:
        """Whether the record has parts that the author had not before his eyes."""
        pending = self.view.over.get(name)
        if pending is not None:
            origin = self.outbox.id_of(pending.ordinal)
            if not basis.saw(origin, pending.seq):
                return True
        record = self.view.hub.get(name)
        if record is None or record.revision <= basis.effective:
            return False
        return record.other > basis.effective or not basis.saw(record.origin, record.seq)
