"""What an agent asked for, reduced to what it changes.

A put means "the record shall be so", but its author has seen only some state of
it. Reduced to the difference from that state it can be merged with what others
write meanwhile: differing fields are writes, missing ones removals; on counters
the difference is what is added, on sets the elements that come and go, and on
watermarks the mark itself. Nothing here decides; the rules run at the hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sync import members, splices, values
from sync.apply import BEGINNERS, removal
from sync.commit import Kind, Op
from sync.policy import TEXTUAL, CollectionPolicy, Granularity, Rule
from sync.reduce_fields import RuleMismatch, split
from sync.transform import Splice, extended

__all__ = ["RuleMismatch"]

_EMPTY = b"{}"

_CREATES = {plain: Kind(begins) for begins, plain in BEGINNERS.items()}


@dataclass(frozen=True, slots=True)
class Put:
    """The whole record; `value` is canonical."""

    collection: str
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Patch:
    """Some fields; `sets` is canonical. Creates the record if it is absent."""

    collection: str
    key: str
    sets: bytes
    removes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """A tombstone."""

    collection: str
    key: str


@dataclass(frozen=True, slots=True)
class Add:
    """Integers to add to counters; `deltas` is canonical."""

    collection: str
    key: str
    deltas: bytes


@dataclass(frozen=True, slots=True)
class SetAdd:
    """Elements to add to sets; `elements` is canonical, field -> array."""

    collection: str
    key: str
    elements: bytes


@dataclass(frozen=True, slots=True)
class SetRemove:
    """Elements to remove from sets; `elements` is canonical, field -> array."""

    collection: str
    key: str
    elements: bytes


@dataclass(frozen=True, slots=True)
class SpliceFields:
    """Edits of texts and lists, by field; what they do not cover at the end is kept."""

    collection: str
    key: str
    edits: tuple[tuple[str, Splice], ...]

    @property
    def payload(self) -> bytes:
        """The edits as they would travel."""
        return splices.encode(dict(self.edits))


Request = Put | Patch | Delete | Add | SetAdd | SetRemove | SpliceFields


def reduce(
    request: Request, live: bytes | None, policy: CollectionPolicy, *, restores: bool = False
) -> tuple[Op, ...]:
    """The operations that `request` means on a record whose live value was `live`. One that
    `restores` puts back what a rule had made, several values in one field included.

    Raises RuleMismatch (what the rule of a field does not allow) and
    values.InvalidValue (a counter that is no integer, a set that is none).
    """
    if isinstance(request, Delete):
        return (Op(Kind.DELETE, request.collection, request.key),)
    if isinstance(request, Add):
        return (_reduce_add(request, live, policy),)
    if isinstance(request, SetAdd | SetRemove):
        return (_reduce_set(request, live, policy),)
    if isinstance(request, SpliceFields):
        return (_reduce_splice(request, live, policy),)
    if isinstance(request, Put):
        sets, removes = (request.value, ()) if live is None else values.diff(live, request.value)
    else:
        sets, removes = request.sets, request.removes
    if policy.granularity is Granularity.RECORD:
        whole = sets if live is None else values.merge(live, sets, removes)
        kind = Kind.CREATE if live is None else Kind.REPLACE
        return (Op(kind, request.collection, request.key, whole),)
    return _reduce_fields(request, live, sets, removes, policy, restores=restores)


def is_addition(request: Request) -> bool:
    """Whether a request adds to what is there, whatever that is."""
    return isinstance(request, Add | SetAdd)


def differences(request: Request, policy: CollectionPolicy) -> dict[str, list[str]]:
    """The counters, sets and texts that a put or patch sets, by what they are. What it changes in
    them is known only on the state that its author had read; on a later one it must be refused, or
    what others added is undone."""
    if not isinstance(request, Put | Patch) or policy.rules.isdisjoint(_ADDED_TO):
        return {}
    names = values.fields(request.value if isinstance(request, Put) else request.sets)
    found = {
        "counters": policy.fields_with(names, Rule.COUNTER),
        "sets": policy.fields_with(names, Rule.SET),
        "texts": policy.texts_in(names),
    }
    return {what: which for what, which in found.items() if which}


_ADDED_TO = {Rule.COUNTER, Rule.SET, *TEXTUAL}
"""Rules of fields that a put is a difference on."""


def _reduce_splice(request: SpliceFields, live: bytes | None, policy: CollectionPolicy) -> Op:
    texts = values.fields(live) if live is not None else {}
    edits: dict[str, Splice] = {}
    for name, edit in request.edits:
        rule = policy.rule_of(name)
        if rule not in TEXTUAL:
            raise RuleMismatch(
                f"the field {name!r} of {request.collection} is no text or list: declare it with a"
                f' policy such as {{"fields": {{"{name}": "text"}}}}'
            )
        content = splices.content_of(texts.get(name), edit)
        if isinstance(content, str) is not (rule is Rule.TEXT) and name in texts:
            raise RuleMismatch(f"the field {name!r} holds no {rule}: put one first")
        wrong = tuple if rule is Rule.TEXT else str
        if any(isinstance(run, wrong) for run in edit.runs):
            raise RuleMismatch(f"the field {name!r} is a {rule}")
        edits[name] = extended(edit, len(content))
    kind = Kind.SPLICE_CREATE if live is None else Kind.SPLICE
    return Op(kind, request.collection, request.key, splices.encode(edits))


def _reduce_add(request: Add, live: bytes | None, policy: CollectionPolicy) -> Op:
    _check_rule(request, values.fields(request.deltas), Rule.COUNTER, "counter", policy)
    values.add(live or _EMPTY, request.deltas)
    kind = Kind.ADD_CREATE if live is None else Kind.ADD
    return Op(kind, request.collection, request.key, request.deltas)


def _reduce_set(request: SetAdd | SetRemove, live: bytes | None, policy: CollectionPolicy) -> Op:
    _check_rule(request, values.fields(request.elements), Rule.SET, "set", policy)
    place = (request.collection, request.key)
    if isinstance(request, SetAdd):
        members.set_add(live or _EMPTY, request.elements)
        kind = Kind.SET_ADD_CREATE if live is None else Kind.SET_ADD
        return Op(kind, *place, request.elements)
    members.set_remove(live or _EMPTY, request.elements)
    if live is None:
        return Op(Kind.NONE, *place)  # of what is not there nothing is removed
    return Op(Kind.SET_REMOVE, *place, request.elements)


def _check_rule(
    request: Request, names: Mapping[str, bytes], rule: Rule, noun: str, policy: CollectionPolicy
) -> None:
    for name in names:
        if policy.rule_of(name) is not rule:
            raise RuleMismatch(
                f"the field {name!r} of {request.collection} is no {noun}: declare it with a"
                f' policy such as {{"fields": {{"{name}": "{rule}"}}}}'
            )


def _reduce_fields(
    request: Put | Patch,
    live: bytes | None,
    sets: bytes,
    removes: tuple[str, ...],
    policy: CollectionPolicy,
    *,
    restores: bool,
) -> tuple[Op, ...]:
    sets, by_rule = split(sets, live, policy, restores=restores)
    kinds: list[tuple[Kind, bytes]] = []
    if live is None:
        kinds.append((Kind.CREATE, sets))
    elif removes:  # before what is set, so that no state between is larger than both
        kinds.append((Kind.REMOVE, removal(removes)))
    if live is not None and (sets != _EMPTY or not (removes or by_rule)):
        kinds.append((Kind.PATCH, sets))
    for kind, payload in by_rule:  # what merges does not need the record to be this commit's own
        kinds.append((_CREATES[kind] if live is None and kind in _CREATES else kind, payload))
    return tuple(Op(kind, request.collection, request.key, payload) for kind, payload in kinds)
