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

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sync import values
from sync.apply import apply, fields_of, names_of, removal
from sync.batch import MAX_PAYLOAD_BYTES, Batch
from sync.commit import Extra, Kind, Outcome, OutcomeKind, Precondition
from sync.context import Author, Part
from sync.policy import CollectionPolicy, DeleteRule, Granularity, Policies, Rule
from sync.values import InvalidValue
from sync.working import OPEN_KINDS, Conflict, Key, Rejected, Resolution, Working

__all__ = ["OPEN_KINDS", "Conflict", "Key", "Rejected", "Resolution", "Resolver", "Working"]

_PATCH = int(Kind.PATCH)  # comparing with the member costs more than the comparison


def _of_the_present(_epoch: int, revision: int) -> int:
    """For a hub that has had one history only."""
    return revision


@dataclass(slots=True)
class Resolver:
    """Decides batches on `records`, which it changes; absent keys are absent records.

    `names` and `numbers` translate between origins and the hub's numbers;
    `effective` makes a revision of an epoch into one of the present (zero if
    there is none).
    """

    records: dict[Key, Working]
    policies: Policies
    names: Mapping[int, bytes]
    numbers: Mapping[bytes, int]
    effective: Callable[[int, int], int] = _of_the_present

    def decide(
        self, batch: Batch, origin: int, first_revision: int, stamps: tuple[int, ...],
        bases: tuple[int, ...], refused: Mapping[int, str] | None = None,
    ) -> Resolution:  # fmt: skip
        """Decides every commit in order. `bases` are the batch's, in the present epoch;
        `refused` has reasons for commits that are rejected whatever the rules say."""
        result = Resolution(bytearray(batch.kinds), list(batch.payloads), [0] * len(batch.keys))
        start = 0
        for index, count in enumerate(batch.op_counts):
            extra = batch.extras.get(index)
            if count == 1 and extra is None and not refused:
                mine = Part(first_revision + index, origin, batch.first_seq + index, stamps[index])
                if self._patched(batch, start, mine, bases[index], batch.seens[index], result):
                    start += 1
                    continue
            author = Author(
                origin, batch.first_seq + index, bases[index], batch.seens[index],
                self._others(extra), stamps[index], first_revision + index,
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
                _Commit(self, batch, author, index, ops, result).decide(extra, reason)
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

    def holds(self, wanted: Precondition) -> bool:
        """Whether a precondition is true of the records as they stand.

        A pending version holds iff its commit is the record's last writer and no
        part of the record is concurrent with it.
        """
        record = self.records.get((wanted.collection, wanted.key))
        live = record is not None and not record.deleted
        if wanted.version is None:
            return live == wanted.exists
        if record is None or not live:
            return False
        version = wanted.version
        here = self.effective(version.epoch, version.revision)
        if not version.pending:
            return record.revision == version.revision == here
        origin = self.numbers.get(version.origin)
        sole = record.other <= here
        return (record.origin, record.seq) == (origin, version.seq) and sole

    def later(self, mine: Part, yours: Part) -> bool:
        """Whether `mine` wins by last-writer-wins: the greater (stamp, origin, seq)."""
        if mine.stamp != yours.stamp:
            return mine.stamp > yours.stamp
        return self.time_of(mine) > self.time_of(yours)

    def time_of(self, part: Part) -> tuple[int, bytes, int]:
        """What last-writer-wins goes by."""
        return part.stamp, self.names[part.origin], part.seq


_SEVERITY = {OutcomeKind.APPLIED: 0, OutcomeKind.MERGED: 1, OutcomeKind.SUPERSEDED: 2}


@dataclass(slots=True)
class _Commit:
    """One commit on its way through the rules."""

    resolver: Resolver
    batch: Batch
    author: Author
    index: int
    ops: range
    result: Resolution
    kind: OutcomeKind = OutcomeKind.APPLIED
    by: Part | None = None

    def decide(self, extra: Extra | None, refused: str) -> None:
        undo = self._on_copies() if len(self.ops) > 1 else {}
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
        except Rejected as rejection:
            del self.result.conflicts[conflicts:]
            self._reject(rejection.of(extra), undo)
        else:
            if self.kind is not OutcomeKind.APPLIED:
                self.result.outcomes[self.index] = self._outcome()
        made, records = self.result.conflicts, self.resolver.records
        made[conflicts:] = [c.leaving(records.get((c.collection, c.key))) for c in made[conflicts:]]

    def _outcome(self) -> Outcome:
        if self.by is None or self.kind is OutcomeKind.MERGED:
            return Outcome(self.kind)
        return Outcome(self.kind, by_origin=self.resolver.names[self.by.origin], by_seq=self.by.seq)

    # -- whole commits -------------------------------------------------------

    def _on_copies(self) -> dict[Key, Working | None]:
        """The commit's records as they are, with copies to be worked on in their place: whoever
        else holds these sees nothing of a commit that is rejected halfway."""
        records = self.resolver.records
        keys = {(self.batch.collections[op], self.batch.keys[op]) for op in self.ops}
        undo = {key: records.get(key) for key in keys}
        records.update((key, record.copy()) for key, record in undo.items() if record)
        return undo

    def _reject(self, rejection: Rejected, undo: Mapping[Key, Working | None]) -> None:
        for key, record in undo.items():
            if record is None:
                self.resolver.records.pop(key, None)
            else:
                self.resolver.records[key] = record
        for op in self.ops:
            standing = self.resolver.records.get((self.batch.collections[op], self.batch.keys[op]))
            if self.batch.kinds[op] != Kind.NONE:
                self._conflict(
                    op, "", rejection.kind, standing.last if standing else None,
                    standing.live if standing else None, self._wanted(op), "ours",
                    "reject", rejection.reason,
                )  # fmt: skip
            self._no_effect(op)
            self.result.previous[op] = standing.revision if standing else 0
        self.result.outcomes[self.index] = Outcome(OutcomeKind.REJECTED, rejection.reason)

    def _check(self, preconditions: tuple[Precondition, ...]) -> None:
        for wanted in preconditions:
            if not self.resolver.holds(wanted):
                raise Rejected("PRECONDITION_FAILED", "precondition")

    # -- single operations ---------------------------------------------------

    def _apply(self, op: int) -> None:
        collection, key = self.batch.collections[op], self.batch.keys[op]
        record = self.resolver.records.get((collection, key))
        if record is not None:
            self.result.previous[op] = record.revision
        author = self.author
        try:
            if self.batch.kinds[op] == Kind.NONE:
                self._no_effect(op)
            elif record is None or author.saw_all_of(record.last, record.other):
                self._plain(op, collection, key, record)
            else:
                self._merge(op, record, self.resolver.policies.of(collection))
        except InvalidValue as error:
            raise Rejected(error.reason, "rejected") from error

    def _plain(self, op: int, collection: str, key: str, record: Working | None) -> None:
        """Nothing of the record is concurrent."""
        kind = self.batch.kinds[op]
        exists = record is not None and not record.deleted
        if (kind == Kind.CREATE and exists) or (kind in _NEED_RECORD and not exists):
            self._missing_base(op, record)
        elif record is None or record.deleted:
            self._begin(op, collection, key, record)
        else:
            self._continue(op, record, kind, self.batch.payloads[op])

    def _begin(self, op: int, collection: str, key: str, tomb: Working | None) -> None:
        """A record that was absent, for its author too, comes to be."""
        value = apply(self.batch.kinds[op], self.batch.payloads[op], None)
        if value is None:
            self._no_effect(op)
            return
        mine = self.author.part
        if tomb is not None:
            tomb.begun_by(mine, value)
        else:
            self.resolver.records[collection, key] = Working(value, False, *mine, 0, mine)

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
        self.result.kinds[op], self.result.payloads[op] = kind, payload

    def _merge(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        kind = self.batch.kinds[op]
        if record.deleted:
            self._on_tombstone(op, record)
        elif kind == Kind.DELETE:
            self._delete(op, record, policy)
        elif kind in _ON_A_RECORD and self._outlived(record, policy):
            self._lose(op, record, "delete_edit", policy.deletes, record.gone)
        elif kind == Kind.REPLACE or policy.granularity is Granularity.RECORD:
            self._replace(op, record)
        elif kind in (Kind.ADD, Kind.ADD_CREATE):
            self._continue(op, record, Kind.ADD, self.batch.payloads[op])
        else:
            self._merge_fields(op, record, policy)

    def _outlived(self, record: Working, policy: CollectionPolicy) -> bool:
        """Whether the record that this author saw was deleted, and another begun since.

        One who had not seen the deletion but had a part in what was begun anew
        means that.
        """
        gone, concurrent = record.gone, self.author.concurrent
        if policy.deletes is DeleteRule.EDIT_WINS or gone is None or not concurrent(gone):
            return False
        return all(p.revision < gone.revision or concurrent(p) for p in record.writers)

    def _on_tombstone(self, op: int, record: Working) -> None:
        if self.batch.kinds[op] == Kind.DELETE:
            self._no_effect(op)
        elif self.author.concurrent(record.whole):
            self._edit_on_deleted(op, record)
        else:
            self._plain(op, self.batch.collections[op], self.batch.keys[op], record)

    def _edit_on_deleted(self, op: int, record: Working) -> None:
        """Another deleted what this author still saw, or never saw."""
        policy = self.resolver.policies.of(self.batch.collections[op])
        kind = self.batch.kinds[op]
        if policy.deletes is DeleteRule.DELETE_WINS:
            self._lose(op, record, "delete_edit", policy.deletes, record.gone)
            return
        payload = self.batch.payloads[op]
        whole = kind == Kind.CREATE and policy.granularity is Granularity.RECORD
        revived = payload if whole else apply(kind, payload, record.value)
        assert revived is not None
        self._conflict(op, "", "delete_edit", record.last, None, payload, "theirs", policy.deletes)
        self._continue(op, record, Kind.REPLACE, revived)
        self._note(OutcomeKind.MERGED, None)

    def _delete(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        rivals = self._rivals(record)
        # A sum has several writers, and a seen one may hide another: here something is unseen.
        if not rivals and not policy.has_counters:
            self._continue(op, record, Kind.DELETE, b"")
        elif self._outlived(record, policy) or policy.deletes is DeleteRule.EDIT_WINS:
            self._lose(op, record, "delete_edit", policy.deletes, self._last_of(rivals))
        else:
            self._conflict(
                op, "", "delete_edit", record.last, record.value, None, "theirs", policy.deletes
            )
            self._continue(op, record, Kind.DELETE, b"")
            self._note(OutcomeKind.MERGED, None)

    def _replace(self, op: int, record: Working) -> None:
        """Fields that belong together: the whole record is one part."""
        kind, payload = self.batch.kinds[op], self.batch.payloads[op]
        rival = self._last_of(self._rivals(record))
        if rival is not None:
            if not self.resolver.later(self.author.part, rival):
                self._lose(op, record, "concurrent", "lww", rival)
                return
            self._conflict(op, "", "concurrent", rival, record.value, payload, "theirs", "lww")
            self._note(OutcomeKind.MERGED, None)
        value = payload if kind == Kind.CREATE else apply(kind, payload, record.value)
        assert value is not None
        self._continue(op, record, Kind.REPLACE, value)

    def _rivals(self, record: Working) -> list[Part]:
        """Who wrote what is in the record without this author having seen it."""
        return [part for part in record.writers if self.author.concurrent(part)]

    def _last_of(self, parts: list[Part]) -> Part | None:
        return max(parts, key=self.resolver.time_of, default=None)

    def _merge_fields(self, op: int, record: Working, policy: CollectionPolicy) -> None:
        """Field by field: causal order first, then the later stamp."""
        kind, payload = self.batch.kinds[op], self.batch.payloads[op]
        wanted: dict[str, bytes | None] = {}
        if kind == Kind.REMOVE:
            wanted.update(dict.fromkeys(names_of(payload)))
        else:
            wanted.update(values.fields(payload))
        had = values.fields(record.value)
        won = {
            name: value
            for name, value in wanted.items()
            if self._field_wins(op, record, policy.rule_of(name), name, had.get(name), value)
        }
        if wanted and not won:
            self._no_effect(op)
        elif kind == Kind.REMOVE:
            self._continue(op, record, kind, removal(won))
        else:
            left = {name: value for name, value in won.items() if value is not None}
            payload = payload if len(left) == len(wanted) else values.join(left)
            self._continue(op, record, Kind.PATCH, payload)

    def _field_wins(
        self, op: int, record: Working, rule: Rule, name: str,
        had: bytes | None, value: bytes | None,
    ) -> bool:  # fmt: skip
        part = record.parts.get(name)
        if part is None:
            if had is None:
                return True  # nobody has written it since the record came to be
            part = record.whole
        concurrent = self.author.concurrent(part)
        if not concurrent and rule is not Rule.COUNTER:
            return True
        # A sum has several writers: the newest may be seen and hide one that is not.
        wins = not concurrent or self.resolver.later(self.author.part, part)
        if had != value:
            winner = "theirs" if wins else "ours"
            self._conflict(op, name, "concurrent", part, had, value, winner, "lww")
            self._note(OutcomeKind.MERGED if wins else OutcomeKind.SUPERSEDED, part)
        return wins

    # -- what is noted -------------------------------------------------------

    def _missing_base(self, op: int, record: Working | None) -> None:
        """The operation names a state that this history does not have."""
        last = record.last if record else None
        value = record.live if record else None
        self._conflict(
            op, "", "missing_base", last, value, self.batch.payloads[op], "ours", "causal"
        )
        self._no_effect(op)
        self._note(OutcomeKind.SUPERSEDED, last)

    def _lose(
        self, op: int, record: Working, kind: str, algorithm: str, winner: Part | None
    ) -> None:
        self._conflict(op, "", kind, record.last, record.live, self._wanted(op), "ours", algorithm)
        self._note(OutcomeKind.SUPERSEDED, winner or record.last)
        self._no_effect(op)

    def _wanted(self, op: int) -> bytes | None:
        """What a conflict keeps of an operation; None: that there be nothing."""
        return None if self.batch.kinds[op] == Kind.DELETE else self.batch.payloads[op]

    def _no_effect(self, op: int) -> None:
        self.result.kinds[op], self.result.payloads[op] = Kind.NONE, b""

    def _note(self, kind: OutcomeKind, by: Part | None) -> None:
        """Keeps the worst of the parts."""
        if _SEVERITY[kind] > _SEVERITY[self.kind]:
            self.kind, self.by = kind, by

    def _conflict(
        self, op: int, name: str, kind: str, ours: Part | None, ours_value: bytes | None,
        theirs_value: bytes | None, winner: str, algorithm: str, reason: str = "",
    ) -> None:  # fmt: skip
        self.result.conflicts.append(
            Conflict(
                self.index, self.author.revision, self.batch.collections[op], self.batch.keys[op],
                name, kind, ours, ours_value, self.author.part, theirs_value, winner, algorithm,
                reason, self.batch.kinds[op], self.author.base,
            )
        )  # fmt: skip


_NEED_RECORD = frozenset({Kind.PATCH, Kind.REMOVE, Kind.ADD})
"""Nothing to be done without a record."""

_ON_A_RECORD = _NEED_RECORD | {Kind.REPLACE}
"""Written on a record that its author saw."""
