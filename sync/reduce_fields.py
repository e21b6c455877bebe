"""Fields that are set, told apart by their rules: what a rule merges is an operation of its own.

Where a field holds what its rule cannot work on (it was written before the rule was declared), it
is set like any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from sync import members, splices, values
from sync.commit import Kind
from sync.difference import difference
from sync.policy import TEXTUAL, CollectionPolicy, Rule, Ruling
from sync.transform import identity
from sync.values import InvalidValue

_EMPTY = b"{}"

_SPLIT = frozenset({Rule.COUNTER, Rule.SET, Rule.MAX, Rule.MIN, Rule.RANK, Rule.SIBLINGS, *TEXTUAL})
"""Rules that something has to be done for."""


class RuleMismatch(ValueError):
    """An operation that the field's rule does not know."""

    reason = "RULE_MISMATCH"


Merged = list[tuple[Kind, bytes]]
"""Operations with their payloads."""


def split(
    sets: bytes, live: bytes | None, policy: CollectionPolicy, *, restores: bool = False
) -> tuple[bytes, Merged]:
    """What is set, and what is merged so that the fields get the values wanted.

    Raises RuleMismatch, values.InvalidValue.
    """
    if policy.rules.isdisjoint(_SPLIT):
        return sets, []
    wanted = values.fields(sets)
    had = values.fields(live) if live is not None else {}
    merged: dict[Kind, dict[str, bytes]] = {kind: {} for kind in _ORDER}
    count = len(wanted)
    for name in list(wanted):
        ruling = policy.ruling_of(name)
        if restores and ruling.rule is Rule.SIBLINGS:
            continue
        ops = _SPLITTERS.get(ruling.rule, _as_it_is)(name, ruling, had.get(name), wanted[name])
        if ops is not None:
            del wanted[name]
            for kind, payload in ops:
                merged[kind][name] = payload
    sets = sets if len(wanted) == count else values.join(wanted)
    return sets, [(kind, values.join(fields)) for kind, fields in merged.items() if fields]


_ORDER = (Kind.ADD, Kind.SET_REMOVE, Kind.SET_ADD, Kind.MAX, Kind.MIN, Kind.SPLICE)
"""Smaller before larger, so that no state between is larger than both."""


def _as_it_is(_name: str, _ruling: Ruling, _had: bytes | None, _value: bytes) -> Merged | None:
    return None


def _counter(name: str, _ruling: Ruling, had: bytes | None, value: bytes) -> Merged | None:
    delta = values.integer(value, name) - values.integer(had or b"0", name)
    return [(Kind.ADD, b"%d" % delta)]


def _set(_name: str, _ruling: Ruling, had: bytes | None, value: bytes) -> Merged | None:
    wanted = members.elements(value)
    if had is not None and had[:1] != b"[":
        return None
    present = members.elements(had) if had is not None else []
    more = [one for one in wanted if one not in set(present)]
    gone = [one for one in present if one not in set(wanted)]
    ops: Merged = [(Kind.SET_REMOVE, members.array(gone))] if gone else []
    if more or had is None:
        ops.append((Kind.SET_ADD, members.array(more)))
    return ops


def _mark(kind: Kind, had: bytes | None, value: bytes) -> Merged | None:
    members.number(value)
    try:
        if had is not None:
            members.number(had)
    except InvalidValue:
        return None
    return [(kind, value)]


def _max(_name: str, _ruling: Ruling, had: bytes | None, value: bytes) -> Merged | None:
    return _mark(Kind.MAX, had, value)


def _min(_name: str, _ruling: Ruling, had: bytes | None, value: bytes) -> Merged | None:
    return _mark(Kind.MIN, had, value)


def _rank(name: str, ruling: Ruling, _had: bytes | None, value: bytes) -> Merged | None:
    if json.loads(value) not in ruling.order:
        raise RuleMismatch(f"the field {name!r} is one of {', '.join(ruling.order)}")
    return None


def _document(_name: str, ruling: Ruling, had: bytes | None, value: bytes) -> Merged | None:
    """The edit by which a text or list gets the value wanted. What is none, now or then, is set."""
    empty = b'""' if ruling.rule is Rule.TEXT else b"[]"
    before, nothing = empty if had is None else had, identity(0)
    if not before[:1] == value[:1] == empty[:1]:
        return None
    pair = (splices.content_of(text, nothing) for text in (before, value))
    return [(Kind.SPLICE, splices.runs_text(difference(*pair)))]


def _siblings(name: str, _ruling: Ruling, had: bytes | None, value: bytes) -> Merged | None:
    if value != had and members.siblings(value) != [value]:
        raise RuleMismatch(f"the field {name!r} shows several values: write the one that shall be")
    return None


_SPLITTERS: dict[Rule, Callable[[str, Ruling, bytes | None, bytes], Merged | None]] = {
    Rule.COUNTER: _counter,
    Rule.SET: _set,
    Rule.MAX: _max,
    Rule.MIN: _min,
    Rule.RANK: _rank,
    Rule.SIBLINGS: _siblings,
    Rule.TEXT: _document,
    Rule.LIST: _document,
}
