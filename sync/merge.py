"""One commit on its way through the rules: whole, or rejected and not at all.

Causal order decides first; only where an operation is concurrent with what is there does a rule
speak, and then the loser is kept in a conflict.

Invariant: a commit takes effect whole or, rejected, not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sync import splices, values
from sync.apply import BEGINNERS, apply, fields_of
from sync.authority import node_of
from sync.batch import MAX_PAYLOAD_BYTES, Batch
from sync.commit import Extra, Kind, Outcome, OutcomeKind, Precondition
from sync.context import Author, Part, Tracked
from sync.ledger import Ledger
from sync.merge_fields import JOIN_KINDS, SET_KINDS, merge_fields, merge_sets
from sync.names import is_inbox
from sync.policy import LAST_WRITER, CollectionPolicy, DeleteRule, Granularity
from sync.rules import Write, settle
from sync.rules.invariants import broken
from sync.rules.owners import trespass
from sync.ruling import OF_FIELDS_ONLY, Rule
from sync.splicing import SPLICES, Splicing
from sync.table import Table
from sync.values import InvalidValue
from sync.working import Key, Rejected, Resolution, Working

_NEED_RECORD = frozenset(
    {Kind.PATCH, Kind.REMOVE, Kind.ADD, Kind.SET_ADD, Kind.SET_REMOVE, Kind.MAX, Kind.MIN}
    | {Kind.SPLICE}
)
"""Nothing to be done without a record."""

_ON_A_RECORD = _NEED_RECORD | {Kind.REPLACE}
"""Written on a record that its author saw."""

_BY_RULE = JOIN_KINDS | {Kind.PATCH, Kind.REMOVE}
"""Operations on fields that the rule of each settles."""

_TRACKED = (Rule.PRIORITY, Rule.EXPR)


@dataclass(slots=True)
class Merge:
    """Decides one commit. `ops` are its operations in the batch."""

    table: Table
    batch: Batch
    author: Author
    index: int
    ops: range
    result: Resolution
    ledger: Ledger

    @classmethod
    def of(
        cls, table: Table, batch: Batch, author: Author, index: int, ops: range, result: Resolution
    ) -> Merge:
        """The merge of one commit into what stands on the table."""
        ledger = Ledger(batch, author, index, table.policies, result)
        return cls(table, batch, author, index, ops, result, ledger)

    @property
    def splicing(self) -> Splicing:
        """Decides splices for this commit."""
        return Splicing(self.table.texts, self.table.policies, self.table.records, self.ledger)

    def decide(self, extra: Extra | None, refused: str, *, watched: bool) -> None:
        """Applies all operations, or notes why none is. `watched`: some look at every write."""
        undo = self._on_copies() if watched or len(self.ops) > 1 else {}
        conflicts = len(self.result.conflicts)
        try:
            if refused:
                raise Rejected(refused, "rejected")
            if extra is not None and extra.preconditions:
                self._check(extra.preconditions)
            for op in self.ops:
                self._apply(op)
            if sum(len(self.result.payloads[op]) for op in self.ops) > MAX_PAYLOAD_BYTES:
                raise Rejected("COMMIT_TOO_LARGE", "rejected")  # grown by what it was merged with
            if watched:
                self._check_invariants(undo)
        except Rejected as rejection:
            del self.result.conflicts[conflicts:]
            self._reject(rejection.of(extra), undo)
            self.splicing.refuse(self.ops)
        else:
            self.table.texts.accept()
            if self.ledger.kind is not OutcomeKind.APPLIED:
                by = self.ledger.by
                name = self.table.names[by.origin] if by is not None else b""
                self.result.outcomes[self.index] = self.ledger.outcome(name)
        made, records = self.result.conflicts, self.table.records
        made[conflicts:] = [c.leaving(records.get((c.collection, c.key))) for c in made[conflicts:]]

    # -- whole commits -------------------------------------------------------

    def _on_copies(self) -> dict[Key, Working | None]:
        """The commit's records as they are, with copies to be worked on in their place: whoever
        else holds these sees nothing of a commit that is rejected halfway."""
        records = self.table.records
        keys = {(self.batch.collections[op], self.batch.keys[op]) for op in self.ops}
        undo = {key: records.get(key) for key in keys}
        records.update((key, record.copy()) for key, record in undo.items() if record)
        return undo

    def _reject(self, rejection: Rejected, undo: Mapping[Key, Working | None]) -> None:
        for key, record in undo.items():
            if record is None:
                self.table.records.pop(key, None)
            else:
                self.table.records[key] = record
        refused: dict[Key, list[int]] = {}
        for op in self.ops:
            key = (self.batch.collections[op], self.batch.keys[op])
            standing = self.table.records.get(key)
            if self.batch.kinds[op] != Kind.NONE:
                refused.setdefault(key, []).append(op)
            self.ledger.no_effect(op)
            self.result.previous[op] = standing.revision if standing else 0
        for key, ops in refused.items():
            standing = self.table.records.get(key)
            self.ledger.refusal(ops, standing, rejection)
        self.result.outcomes[self.index] = Outcome(OutcomeKind.REJECTED, rejection.reason)

    def _check(self, preconditions: tuple[Precondition, ...]) -> None:
        node = node_of(self.batch.origin)
        for wanted in preconditions:
            if not self.table.holds(wanted, node):
                stale = wanted.authority is not None
                reason = "STALE_AUTHORITY" if stale else "PRECONDITION_FAILED"
                raise Rejected(reason, "precondition")

    def _check_invariants(self, undo: Mapping[Key, Working | None]) -> None:
        for (collection, key), before in undo.items():
            policy = self.table.policies.of(collection)
            after = self.table.records.get((collection, key))
            if policy.invariants and after is not None:
                name = broken(policy, key, before.live if before else None, after.live)
                if name:
                    raise Rejected("INVARIANT_BROKEN", "invariant", f"invariant {name}")

    # -- single operations ---------------------------------------------------

    def _apply(self, op: int) -> None:
        collection, key = self.batch.collections[op], self.batch.keys[op]
        record = self.table.records.get((collection, key))
        if record is not None:
            self.result.previous[op] = record.revision
        policy = self.table.policies.of(collection)
        try:
            if policy.watchful:
                self._check_owner(op, policy)
            if self.batch.kinds[op] == Kind.NONE:
                self.ledger.no_effect(op)
            elif self.batch.kinds[op] in SPLICES and record is not None and not record.deleted:
                self._splice(op, record, policy)
            elif record is None or self.author.saw_all_of(record.last, record.other):
                self._plain(op, record, policy)
            else:
                self._merge(op, record, policy)
            self.splicing.note(op)
        except InvalidValue as error:
            raise Rejected(error.reason, "rejected") from error

    def _check_owner(self, op: int, policy: CollectionPolicy) -> None:
        actor = self.batch.actors[self.index].kind
        answers = any(is_inbox(self.batch.collections[each]) for each in self.ops)
        kind, payload = self.batch.kinds[op], self.batch.payloads[op]
        if trespass(kind, payload, policy, actor, answers=answers):
            raise Rejected("REFUSED_BY_RULE", "rejected", Rule.OWNER)

    def _splice(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        """Edits texts and lists of a live record: of what is concurrent, all is in the result."""
        if self.batch.kinds[op] == Kind.SPLICE and self._outlived(record, policy):
            self._lose(op, record, "delete_edit", policy.deletes, record.gone)
            return
        edits = self.splicing.placed(op, record)
        if edits is not None:
            record.spliced_by(self.author.part, edits)
            self.ledger.takes_effect(op, Kind.SPLICE, splices.encode(edits))

    def _plain(self, op: int, record: Working | None, policy: CollectionPolicy) -> None:
        """Nothing of the record is concurrent."""
        kind = self.batch.kinds[op]
        exists = record is not None and not record.deleted
        if (kind == Kind.CREATE and exists) or (kind in _NEED_RECORD and not exists):
            self._missing_base(op, record)
        elif record is None or record.deleted:
            self._begin(op, record, policy)
        elif kind in SET_KINDS:
            merge_sets(self.ledger, op, record)
        elif kind in JOIN_KINDS or (policy.watchful and kind in _BY_RULE):
            merge_fields(self.table, self.ledger, op, record, policy)
        else:
            self._continue(op, record, kind, self.batch.payloads[op])

    def _begin(self, op: int, tomb: Working | None, policy: CollectionPolicy) -> None:
        """A record that was absent, for its author too, comes to be."""
        if self.batch.kinds[op] in SPLICES and self.splicing.placed(op, None) is None:
            return
        value = apply(self.batch.kinds[op], self.batch.payloads[op], None)
        if value is None:
            self.ledger.no_effect(op)
            return
        mine = self.author.part
        if tomb is not None:
            tomb.begun_by(mine, value)
        else:
            name = (self.batch.collections[op], self.batch.keys[op])
            tomb = self.table.records[name] = Working(value, False, *mine, 0, mine)
        self._track(tomb, policy)

    def _track(self, record: Working, policy: CollectionPolicy) -> None:
        """Notes of a record that was written as a whole what some rules will have to know."""
        if not policy.rules.isdisjoint(_TRACKED):
            tracked = Tracked(self.author.part, self.author.kind)
            names = policy.fields_with(values.fields(record.value), *_TRACKED)
            record.parts.update(dict.fromkeys(names, tracked))

    def _continue(self, op: int, record: Working, kind: int, payload: bytes) -> None:
        """An operation takes effect on a live record as it stands in the columns."""
        mine = self.author.part
        if kind == Kind.PATCH:
            record.patched_by(mine, payload, plain=self.batch.plain)
        else:
            value = apply(kind, payload, record.value)
            if value is None:
                record.deleted_by(mine)
            elif kind == Kind.REPLACE:
                record.begun_by(mine, value)
            else:
                record.changed_by(mine, value, fields_of(kind, payload))
        self.ledger.takes_effect(op, kind, payload)

    def _merge(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        kind = self.batch.kinds[op]
        if record.deleted:
            self._on_tombstone(op, record, policy)
        elif kind == Kind.DELETE:
            self._delete(op, record, policy)
        elif kind in _ON_A_RECORD and self._outlived(record, policy):
            self._lose(op, record, "delete_edit", policy.deletes, record.gone)
        elif kind == Kind.REPLACE or policy.granularity is Granularity.RECORD:
            self._replace(op, record, policy)
        elif kind in (Kind.ADD, Kind.ADD_CREATE):
            self._continue(op, record, Kind.ADD, self.batch.payloads[op])
        elif kind in SET_KINDS:
            merge_sets(self.ledger, op, record)
        else:
            merge_fields(self.table, self.ledger, op, record, policy)

    # -- delete against edit -------------------------------------------------

    def _outlived(self, record: Working, policy: CollectionPolicy) -> bool:
        """Whether the record that this author saw was deleted, and another begun since.

        One who had not seen the deletion but had a part in what was begun anew
        means that.
        """
        gone, concurrent = record.gone, self.author.concurrent
        if policy.deletes is DeleteRule.EDIT_WINS or gone is None or not concurrent(gone):
            return False
        return all(p.revision < gone.revision or concurrent(p) for p in record.writers)

    def _on_tombstone(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        if self.batch.kinds[op] == Kind.DELETE:
            self.ledger.no_effect(op)
        elif self.author.concurrent(record.whole):
            self._edit_on_deleted(op, record, policy)
        else:
            self._plain(op, record, policy)

    def _edit_on_deleted(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        """Another deleted what this author still saw, or never saw."""
        kind = self.batch.kinds[op]
        if policy.deletes is DeleteRule.DELETE_WINS:
            self._lose(op, record, "delete_edit", policy.deletes, record.gone)
            return
        payload = self.batch.payloads[op]
        if kind in SPLICES:
            edits = self.splicing.placed(op, record, record.whole.revision)
            if edits is None:
                return
            kind, payload = Kind.SPLICE, splices.encode(edits)
        whole = kind == Kind.CREATE and policy.granularity is Granularity.RECORD
        revived = payload if whole else apply(kind, payload, record.value)
        assert revived is not None
        self.ledger.conflict(
            op, "", "delete_edit", record.last, None, payload, "theirs", policy.deletes
        )
        self._continue(op, record, Kind.REPLACE, revived)
        self._track(record, policy)
        self.ledger.note(OutcomeKind.MERGED, None)

    def _delete(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        rivals = self._rivals(record)
        # A sum has several writers, and a seen one may hide another: here something is unseen.
        if not rivals and not policy.has_counters:
            self._continue(op, record, Kind.DELETE, b"")
        elif self._outlived(record, policy) or policy.deletes is DeleteRule.EDIT_WINS:
            self._lose(op, record, "delete_edit", policy.deletes, self._last_of(rivals))
        else:
            self.ledger.conflict(
                op, "", "delete_edit", record.last, record.value, None, "theirs", policy.deletes
            )
            self._continue(op, record, Kind.DELETE, b"")
            self.ledger.note(OutcomeKind.MERGED, None)

    # -- whole records -------------------------------------------------------

    def _replace(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        """Fields that belong together: the whole record is one part."""
        kind, payload = self.batch.kinds[op], self.batch.payloads[op]
        whole = kind == Kind.CREATE
        value = payload if whole else apply(BEGINNERS.get(kind, kind), payload, record.value)
        assert value is not None
        rival = self._last_of(self._rivals(record))
        if rival is not None:
            ruling = policy.ruling if policy.rule not in OF_FIELDS_ONLY else LAST_WRITER
            algorithm = Rule.LWW if ruling.rule is Rule.OWNER else ruling.rule
            settled = settle(
                Write(ruling, self.author, record.value, rival, value, record.value,
                      self.table.later)
            )  # fmt: skip
            if settled.stamped is None:
                waits = settled.clash is not None and settled.clash.waits
                self._lose(op, record, "concurrent", algorithm, rival, waits=waits)
                return
            self.ledger.conflict(
                op, "", "concurrent", rival, record.value, payload, "theirs", algorithm
            )
            self.ledger.note(OutcomeKind.MERGED, None)
        self._continue(op, record, Kind.REPLACE, value)

    def _rivals(self, record: Working) -> list[Part]:
        """Who wrote what is in the record without this author having seen it."""
        return [part for part in record.writers if self.author.concurrent(part)]

    def _last_of(self, parts: list[Part]) -> Part | None:
        return max(parts, key=self.table.time_of, default=None)

    # -- what loses ----------------------------------------------------------

    def _missing_base(self, op: int, record: Working | None) -> None:
        """The operation names a state that this history does not have."""
        last = record.last if record else None
        value = record.live if record else None
        self.ledger.conflict(
            op, "", "missing_base", last, value, self.batch.payloads[op], "ours", "causal"
        )
        self.ledger.no_effect(op)
        self.ledger.note(OutcomeKind.SUPERSEDED, last)

    def _lose(
        self, op: int, record: Working, kind: str, algorithm: str, winner: Part | None, *,
        waits: bool = False,
    ) -> None:  # fmt: skip
        self.ledger.conflict(
            op, "", kind, record.last, record.live, self.ledger.wanted(op), "ours", algorithm,
            waits=waits,
        )  # fmt: skip
        self.ledger.note(OutcomeKind.SUPERSEDED, winner or record.last)
        self.ledger.no_effect(op)
