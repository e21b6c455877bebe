"""Operations on single fields, each field by its rule.

The rules say what becomes of each field (see sync.rules); here that is made into one operation that
takes effect, with a stamp for each field and a conflict for each that met another.

Invariant: applying what takes effect gives the very value that the record has afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

from sync import members, values
from sync.apply import BEGINNERS, names_of, removal
from sync.commit import Kind, OutcomeKind
from sync.context import Stamped
from sync.ledger import Ledger
from sync.policy import CollectionPolicy
from sync.rules import Clash, Settled, Write, sets, settle
from sync.ruling import Rule, Ruling
from sync.table import Table
from sync.working import Working

OUTCOMES = {
    "ours": OutcomeKind.SUPERSEDED, "theirs": OutcomeKind.MERGED, "merged": OutcomeKind.MERGED,
}  # fmt: skip

_JOINS = {Kind.MAX: Ruling(Rule.MAX), Kind.MIN: Ruling(Rule.MIN)}
"""Operations that say by themselves how they merge, whatever the policy says by now."""

SET_KINDS = frozenset({Kind.SET_ADD, Kind.SET_ADD_CREATE, Kind.SET_REMOVE})
JOIN_KINDS = frozenset({Kind.MAX, Kind.MAX_CREATE, Kind.MIN, Kind.MIN_CREATE})


def merge_fields(
    table: Table, ledger: Ledger, op: int, record: Working, policy: CollectionPolicy
) -> None:
    """Sets, removes, raises or lowers fields of a live record.

    Raises InvalidValue for a payload that does not fit.
    """
    kind, payload = ledger.batch.kinds[op], ledger.batch.payloads[op]
    kind = BEGINNERS.get(kind) or Kind(kind)
    wanted: dict[str, bytes | None] = {}
    if kind == Kind.REMOVE:
        wanted.update(dict.fromkeys(names_of(payload)))
    else:
        wanted.update(values.fields(payload))
    had = values.fields(record.value)
    found: dict[str, Settled] = {}
    for name, value in wanted.items():
        stamped = record.parts.get(name) or (record.whole if name in had else None)
        write = Write(
            _JOINS.get(kind) or policy.ruling_of(name), ledger.author, had.get(name), stamped,
            value, record.value, table.later,
        )  # fmt: skip
        settled = settle(write)
        if settled.clash is not None:
            _note(ledger, op, name, write, settled, settled.clash)
        if settled.stamped is not None:
            found[name] = settled
    _take(ledger, op, record, kind, wanted, found)


_BY_TIME = (Rule.COUNTER, Rule.OWNER, Rule.TEXT, Rule.LIST)
"""Rules under which what is written over as a whole goes by last-writer-wins."""


def _note(ledger: Ledger, op: int, name: str, write: Write, settled: Settled, clash: Clash) -> None:
    result = settled.value if clash.winner == "merged" else None
    rule = write.ruling.rule
    algorithm = Rule.LWW if rule in _BY_TIME else rule
    ledger.conflict(
        op, name, clash.kind, clash.ours, write.had, write.value, clash.winner, algorithm,
        clash.reason, result=result, waits=clash.waits, detail=clash.detail,
    )  # fmt: skip
    ledger.note(OUTCOMES[clash.winner], clash.ours)


def _take(
    ledger: Ledger, op: int, record: Working, kind: Kind,
    wanted: Mapping[str, bytes | None], found: Mapping[str, Settled],
) -> None:  # fmt: skip
    """The fields that the operation changes, in one operation that takes effect."""
    if wanted and not found:
        ledger.no_effect(op)
        return
    sets = {name: one.value for name, one in found.items() if one.value is not None}
    removes = [name for name, one in found.items() if one.value is None]
    value = values.merge(record.value, values.join(sets), removes)
    as_asked = len(found) == len(wanted) and all(
        one.value == wanted[name] for name, one in found.items()
    )
    if sets and removes:
        ledger.takes_effect(op, Kind.REPLACE, value)
    elif removes or (kind == Kind.REMOVE and not sets):
        ledger.takes_effect(op, Kind.REMOVE, removal(removes))
    else:
        effect = kind if kind in _JOINS else Kind.PATCH
        payload = ledger.batch.payloads[op] if as_asked else values.join(sets)
        ledger.takes_effect(op, effect, payload)
    stamps: dict[str, Stamped] = {
        name: one.stamped for name, one in found.items() if one.stamped is not None
    }
    record.stamped_by(ledger.author.part, value, stamps)


def merge_sets(ledger: Ledger, op: int, record: Working) -> None:
    """Adds elements to sets of a live record, or removes those that the author had seen.

    Raises InvalidValue for a field or payload that is no set.
    """
    kind, payload = Kind(ledger.batch.kinds[op]), ledger.batch.payloads[op]
    adds = kind != Kind.SET_REMOVE
    had, stamps = values.fields(record.value), {}
    effect: dict[str, bytes] = {}
    for name, text in values.fields(payload).items():
        named = members.elements(text)
        present = members.elements(had[name]) if name in had else []
        before = record.parts.get(name) or record.whole
        if adds:
            stamps[name] = sets.added(before, present, named, ledger.author)
            effect[name] = text
            continue
        gone = [one for one in named if one in set(present)]
        stamps[name], kept = sets.removed(before, gone, ledger.author)
        if kept:
            ours = sets.unseen_part(before, kept, ledger.author)
            ledger.conflict(
                op, name, "concurrent", ours, members.array(kept), None, "ours", Rule.SET
            )
            ledger.note(OutcomeKind.SUPERSEDED, ours)
        if name in had and len(kept) < len(gone):
            effect[name] = members.array(one for one in gone if one not in kept)
    if not effect:
        ledger.no_effect(op)
        return
    text = payload if adds else values.join(effect)
    apply_ = members.set_add if adds else members.set_remove
    value = apply_(record.value, text)
    ledger.takes_effect(op, Kind.SET_ADD if adds else Kind.SET_REMOVE, text)
    record.stamped_by(ledger.author.part, value, {name: stamps[name] for name in effect})
