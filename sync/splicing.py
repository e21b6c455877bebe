"""How the hub decides splices: each is placed by what its author had not seen, and never loses.

What cannot be placed, since its text is no more or was never so, is superseded and kept whole in
the log of conflicts: never guessed at, and never a silent reset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sync import splices
from sync.apply import fields_of
from sync.commit import Kind, OutcomeKind
from sync.ledger import Ledger
from sync.policy import CollectionPolicy, Policies
from sync.splices import Edits
from sync.texts import WHOLE, Texts, Unplaceable
from sync.working import Key, Rejected, Working

SPLICES = frozenset({Kind.SPLICE, Kind.SPLICE_CREATE})


@dataclass(frozen=True, slots=True)
class Splicing:
    """Decides the splices of one commit."""

    texts: Texts
    policies: Policies
    records: Mapping[Key, Working]
    ledger: Ledger

    def placed(self, op: int, record: Working | None, reviving: int = 0) -> Edits | None:
        """The edits of an operation as they take effect, None if they have none.

        `reviving` is the revision of a deletion that they undo. Raises Rejected for a field that is
        not edited by splices.
        """
        key, policy, payload = self._of(op)
        author, ledger = self.ledger.author, self.ledger
        wanted = splices.decode(payload)
        if len(policy.texts_in(wanted)) < len(wanted):
            raise Rejected("RULE_MISMATCH", "rejected")
        placed: Edits = {}
        try:
            for name, edit in wanted.items():
                length = 0 if record is None else record.length_of(name)
                placed[name] = self.texts.place(key, name, author, edit, length, reviving)
        except Unplaceable as stop:
            if stop.kind == "missing_base":
                self._lose(key, wanted)
            last, live = (None, None) if record is None else (record.last, record.live)
            ledger.conflict(op, "", stop.kind, last, live, payload, "ours", "splice")
            ledger.note(OutcomeKind.SUPERSEDED, stop.part or last)
            ledger.no_effect(op)
            return None
        if self.texts.met_others(key, wanted):
            ledger.note(OutcomeKind.MERGED, None)
        return placed

    def note(self, op: int) -> None:
        """An operation is decided. One that writes texts in another way is a barrier to splices
        that had not seen it; and if it had no effect, splices that were written on it have none."""
        key, policy, payload = self._of(op)
        was, kind = self.ledger.batch.kinds[op], self.ledger.result.kinds[op]
        if not policy.has_texts or was in SPLICES:
            return
        if kind == Kind.NONE:
            self._lose(key, _written(policy, was, payload))
        else:
            names = _written(policy, kind, self.ledger.result.payloads[op])
            self.texts.barrier(key, names, self.ledger.author.part)

    def refuse(self, ops: Iterable[int]) -> None:
        """The commit is rejected: what its author wrote on top of it goes on without it."""
        self.texts.discard()
        for op in ops:
            key, policy, payload = self._of(op)
            kind, record = self.ledger.batch.kinds[op], self.records.get(key)
            if kind not in SPLICES and policy.has_texts:
                self._lose(key, _written(policy, kind, payload))
            elif kind in SPLICES and policy.has_texts:
                for name, edit in splices.decode(payload).items():
                    length = 0 if record is None or record.deleted else record.length_of(name)
                    self.texts.refuse(key, name, self.ledger.author, edit, length)
        self.texts.accept()

    def _of(self, op: int) -> tuple[Key, CollectionPolicy, bytes]:
        batch = self.ledger.batch
        collection = batch.collections[op]
        return (collection, batch.keys[op]), self.policies.of(collection), batch.payloads[op]

    def _lose(self, key: Key, names: Iterable[str]) -> None:
        for name in names:
            self.texts.lose(key, name, self.ledger.author)


def _written(policy: CollectionPolicy, kind: int, payload: bytes) -> Iterable[str]:
    """The texts that an operation writes in another way than by splices."""
    if kind in (Kind.DELETE, Kind.REPLACE):
        return (WHOLE,)
    return policy.texts_in(fields_of(kind, payload)) if payload else ()
