"""Judges single commits on the state that they are decided on: those of the hub's own door, and
strong ones of edges. What they mean there, or why they are refused.

Their author is told at once, so what does not hold is refused instead of merged. At the level
strong nothing is merged away: of a record that its author had read, no part that the commit touches
may have changed since; additions merge in any case. Nothing is changed here.

Invariant: the operations returned are reduced against the very state that they are applied to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cloud_hub.origins import Watermark
from cloud_hub.repeats import First
from cloud_hub.submissions import AuthorContext, Requested
from holdfast.host.door import Refusal
from sync import authority, splices, values
from sync.apply import apply
from sync.batch import MAX_PAYLOAD_BYTES
from sync.commit import Op, Precondition
from sync.context import Author
from sync.levels import Level, NotPermitted, level_of_write
from sync.members import siblings
from sync.policy import (
    POLICIES,
    RESERVED_PREFIX,
    CollectionPolicy,
    Granularity,
    InvalidPolicy,
    Policies,
    Rule,
)
from sync.position import Lineage, Position
from sync.reduce import (
    Patch,
    Put,
    Request,
    RuleMismatch,
    SpliceFields,
    differences,
    is_addition,
    reduce,
)
from sync.resolve import Key, Resolver, Working
from sync.rules.invariants import broken
from sync.rules.owners import trespass
from sync.strong import changed_since
from sync.texts import Texts, Unplaceable
from sync.transform import SpliceMismatch, extended
from sync.values import InvalidValue


@dataclass(slots=True)
class Loaded:
    """What a transaction has read for a group.

    `floors` holds the greatest stamp at or below each base that occurs, `stamp_max` that at or
    below the head.
    """

    space: str
    lineage: Lineage
    revision: int
    stamp_max: int
    marks: dict[int, Watermark]
    records: dict[Key, Working]
    policies: Policies
    names: Mapping[int, bytes]
    numbers: Mapping[bytes, int]
    floors: Mapping[int, int]
    firsts: dict[bytes, First]
    texts: Texts = field(default_factory=Texts)


@dataclass(slots=True)
class Judge:
    """Judges the commits of one group. `effective` makes a position a revision of the present."""

    loaded: Loaded
    resolver: Resolver
    effective: Callable[[Position], int]
    _views: dict[Key, bytes | None] = field(default_factory=dict)

    def level(self, item: Requested) -> Level:
        """The level that a commit is served at. Raises Refusal LEVEL_NOT_PERMITTED."""
        if item.system:
            return item.level or Level.EVENTUAL
        policies = self.loaded.policies
        named = [(one.collection, policies.of(one.collection).levels) for one in item.requests]
        try:
            return level_of_write(item.level, named)
        except NotPermitted as error:
            raise Refusal(error.reason, str(error)) from error

    def judge(self, item: Requested, level: Level) -> tuple[Op, ...]:
        """The operations that a commit means on the records as they are; later ones see earlier
        ones. Raises Refusal."""
        for wanted in item.preconditions:
            if self.resolver.holds(wanted, item.node):
                continue
            if wanted.authority is not None:
                raise self._stale(wanted, item.node)
            raise self.mismatch(wanted.collection, wanted.key)
        self._views = {}
        ops: list[Op] = []
        for request in item.requests:
            self._check_permitted(item, request)
            ops += self._reduced(item, request, level)
        if sum(len(op.payload) for op in ops) > MAX_PAYLOAD_BYTES // 2:
            raise Refusal("COMMIT_TOO_LARGE")
        self._check_invariants()
        return tuple(ops)

    def mismatch(
        self, collection: str, key: str, merged: Mapping[str, Sequence[str]] | None = None
    ) -> Refusal:
        """The refusal that names a record's present version."""
        record = self.loaded.records.get((collection, key))
        metadata = {
            "collection": collection,
            "key": key,
            "exists": str(record is not None and not record.deleted).lower(),
            "revision": str(record.revision if record else 0),
            "epoch": str(self.loaded.lineage.present.ordinal),
        }
        if record is not None:
            origin = self.loaded.names.get(record.origin, b"")
            metadata |= {"origin": origin.hex(), "seq": str(record.seq), "pending": "false"}
        metadata |= {what: json.dumps(names) for what, names in (merged or {}).items()}
        message = f"{collection}/{key} is not as the commit demands"
        return Refusal("REVISION_MISMATCH", message, metadata=metadata)

    def _stale(self, wanted: Precondition, node: str) -> Refusal:
        record = self.loaded.records.get((wanted.collection, wanted.key))
        message, metadata = authority.stale(wanted, node, record.live if record else None)
        return Refusal("STALE_AUTHORITY", message, metadata=metadata)

    # -- one operation after the other ---------------------------------------

    def _reduced(self, item: Requested, request: Request, level: Level) -> tuple[Op, ...]:
        key = (request.collection, request.key)
        policy = self.loaded.policies.of(request.collection)
        record = self.loaded.records.get(key)
        live = self._views.get(key, record.live if record else None)
        if key not in self._views and item.context is not None and record is not None:
            if isinstance(request, SpliceFields):
                return self._spliced(item, item.context, request, policy, record, level)
            live = self._checked(request, policy, record, item.context, level)
        if level is Level.STRONG and item.context is None:
            self._check_siblings(request, record, policy)
        reduced = self._viewed(item, request, live, policy)
        if request.collection == POLICIES:
            self._check_policy(request.key, self._views[key])
        return reduced

    def _spliced(
        self, item: Requested, context: AuthorContext, request: SpliceFields,
        policy: CollectionPolicy, record: Working, level: Level,
    ) -> tuple[Op, ...]:  # fmt: skip
        """Edits by somebody who had read some state of the record. At the level strong they are
        returned as on the present one; below it the rules place them there, when they decide."""
        key, author, live = (request.collection, request.key), self._author(context), record.live
        if author.saw_all_of(record.last, record.other):
            return self._viewed(item, request, live, policy)
        try:
            before, after = {}, {}
            for name, edit in request.edits:
                length = record.length_of(name) if live is not None else 0
                seen = self.loaded.texts.length_of(key, name, author, length)
                before[name] = extended(edit, seen)
                after[name] = self.loaded.texts.place(key, name, author, before[name], length)
        except (Unplaceable, InvalidValue, SpliceMismatch) as error:
            raise self.mismatch(*key) from error
        finally:
            self.loaded.texts.discard()
        present = replace(request, edits=tuple(after.items()))
        [op] = self._viewed(item, present, live, policy)
        if level is Level.STRONG:
            return (op,)
        return (replace(op, payload=splices.encode(before)),)

    def _viewed(
        self, item: Requested, request: Request, live: bytes | None, policy: CollectionPolicy
    ) -> tuple[Op, ...]:
        try:
            reduced = reduce(request, live, policy, restores=item.system)
            for op in reduced:
                self._check_owner(item, op, policy)
                live = apply(op.kind, op.payload, live)
        except (InvalidValue, RuleMismatch, SpliceMismatch) as error:
            raise Refusal(error.reason, str(error)) from error
        self._views[request.collection, request.key] = live
        return reduced

    def _check_siblings(
        self, request: Request, record: Working | None, policy: CollectionPolicy
    ) -> None:
        """A blind write would take away values that its author has never seen."""
        if record is None or record.deleted or not isinstance(request, Put | Patch):
            return
        named = values.fields(request.value if isinstance(request, Put) else request.sets)
        had = values.fields(record.value)
        for name in policy.fields_with(named, Rule.SIBLINGS):
            if name in had and len(siblings(had[name])) > 1:
                text = f"{request.collection}/{request.key}: {name!r} shows several values"
                raise Refusal("REFUSED_BY_RULE", f"{text}: read them, and write on that")

    def _check_owner(self, item: Requested, op: Op, policy: CollectionPolicy) -> None:
        fault = trespass(op.kind, op.payload, policy, item.actor.kind, answers=item.system)
        if fault:
            raise Refusal("REFUSED_BY_RULE", f"{op.collection}/{op.key}: {fault}")

    def _check_invariants(self) -> None:
        for (collection, key), after in self._views.items():
            policy = self.loaded.policies.of(collection)
            if policy.invariants:
                record = self.loaded.records.get((collection, key))
                name = broken(policy, key, record.live if record else None, after)
                if name:
                    text = f"{collection}/{key}: {name}: {policy.invariants[name].text}"
                    raise Refusal("INVARIANT_BROKEN", text)

    def _check_permitted(self, item: Requested, request: Request) -> None:
        name = request.collection
        reserved = name.startswith(RESERVED_PREFIX)
        if reserved and not item.system:
            raise Refusal("RESERVED_COLLECTION", f"{name} belongs to the system")
        policies = self.loaded.policies
        if policies.space.strict and not policies.declared(name) and not reserved:
            raise Refusal(
                "UNDECLARED_COLLECTION", f"the space {item.space} is strict and has no {name}"
            )

    def _check_policy(self, key: str, value: bytes | None) -> None:
        try:
            self.loaded.policies.with_record(key, value)
        except InvalidPolicy as error:
            raise Refusal(error.reason, str(error)) from error

    # -- contexts ------------------------------------------------------------

    def _checked(
        self, request: Request, policy: CollectionPolicy, record: Working, context: AuthorContext,
        level: Level,
    ) -> bytes | None:  # fmt: skip
        """What a request is reduced against, whose author has read some state of the record."""
        author = self._author(context)
        if author.saw_all_of(record.last, record.other):
            return record.live
        if level is not Level.STRONG:
            return self._unread(request, policy, record.live)
        if changed_since(author, record, request, policy):
            raise self.mismatch(request.collection, request.key)
        return record.live

    def _author(self, context: AuthorContext) -> Author:
        numbers = self.loaded.numbers
        seen = {numbers[name]: seq for name, seq in context.seen if name in numbers}
        return Author(0, 0, self.effective(context.base), 0, seen, 0, 0)

    def _unread(
        self, request: Request, policy: CollectionPolicy, live: bytes | None
    ) -> bytes | None:
        """What a request on an older state is reduced against, below the level strong.

        A put, and what sets counters, is a difference from what was read, which is no longer
        known here: refused. A patch and an add may have been written on an absent record, and are
        merged with what is there.
        """
        key = (request.collection, request.key)
        whole = policy.granularity is Granularity.RECORD
        if isinstance(request, Put) or (isinstance(request, Patch) and whole):
            raise self.mismatch(*key)
        merged = differences(request, policy)
        if merged:
            raise self.mismatch(*key, merged)
        merges = is_addition(request) or (isinstance(request, Patch) and not request.removes)
        return None if merges else live
