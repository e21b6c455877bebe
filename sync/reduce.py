"""What an agent asked for, reduced to what it changes.

A put means "the record shall be so", but its author has seen only some state of
it. Reduced to the difference from that state it can be merged with what others
write meanwhile: differing fields are writes, missing ones removals, and on
counters the difference is what is added. Nothing here decides; the rules run at
the hub.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync import values
from sync.apply import removal
from sync.commit import Kind, Op
from sync.policy import CollectionPolicy, Granularity, Rule

_EMPTY = b"{}"


class RuleMismatch(ValueError):
    """An operation that the field's rule does not know."""

    reason = "RULE_MISMATCH"


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


Request = Put | Patch | Delete | Add


def reduce(request: Request, live: bytes | None, policy: CollectionPolicy) -> tuple[Op, ...]:
    """The operations that `request` means on a record whose live value was `live`.

    Raises RuleMismatch (add to a field that is no counter) and
    values.InvalidValue (a counter that is no integer).
    """
    if isinstance(request, Delete):
        return (Op(Kind.DELETE, request.collection, request.key),)
    if isinstance(request, Add):
        return (_reduce_add(request, live, policy),)
    if isinstance(request, Put):
        sets, removes = (request.value, ()) if live is None else values.diff(live, request.value)
    else:
        sets, removes = request.sets, request.removes
    if policy.granularity is Granularity.RECORD:
        whole = sets if live is None else values.merge(live, sets, removes)
        kind = Kind.CREATE if live is None else Kind.REPLACE
        return (Op(kind, request.collection, request.key, whole),)
    return _reduce_fields(request, live, sets, removes, policy)


def counters_set(request: Request, policy: CollectionPolicy) -> list[str]:
    """The counters that a put or patch sets. What it adds to them is known only on the state
    that its author had read; on a later one it must be refused, or what others added is undone."""
    if not policy.has_counters or isinstance(request, Delete | Add):
        return []
    sets = request.value if isinstance(request, Put) else request.sets
    return [name for name in values.fields(sets) if policy.rule_of(name) is Rule.COUNTER]


def _reduce_add(request: Add, live: bytes | None, policy: CollectionPolicy) -> Op:
    for name in values.fields(request.deltas):
        if policy.rule_of(name) is not Rule.COUNTER:
            raise RuleMismatch(
                f"the field {name!r} of {request.collection} is no counter: declare it with a"
                f' policy such as {{"fields": {{"{name}": "counter"}}}}'
            )
    values.add(live or b"{}", request.deltas)
    kind = Kind.ADD_CREATE if live is None else Kind.ADD
    return Op(kind, request.collection, request.key, request.deltas)


def _reduce_fields(
    request: Put | Patch,
    live: bytes | None,
    sets: bytes,
    removes: tuple[str, ...],
    policy: CollectionPolicy,
) -> tuple[Op, ...]:
    deltas = None
    if policy.has_counters:
        sets, deltas = _split_counters(sets, live, policy)
    kinds: list[tuple[Kind, bytes]] = []
    if live is None:
        kinds.append((Kind.CREATE, sets))
    elif removes:  # before what is set, so that no state between is larger than both
        kinds.append((Kind.REMOVE, removal(removes)))
    if live is not None and (sets != _EMPTY or not (removes or deltas)):
        kinds.append((Kind.PATCH, sets))
    if deltas:  # a sum does not need the record to be this commit's own
        kinds.append((Kind.ADD_CREATE if live is None else Kind.ADD, deltas))
    return tuple(Op(kind, request.collection, request.key, payload) for kind, payload in kinds)


def _split_counters(
    sets: bytes, live: bytes | None, policy: CollectionPolicy
) -> tuple[bytes, bytes | None]:
    """What is set, and what is added so that counters get the values wanted."""
    wanted = values.fields(sets)
    counters = [name for name in wanted if policy.rule_of(name) is Rule.COUNTER]
    if not counters:
        return sets, None
    had = values.fields(live) if live is not None else {}
    deltas = {
        name: str(values.integer(wanted.pop(name)) - values.integer(had.get(name, b"0"))).encode()
        for name in counters
    }
    return values.join(wanted), values.join(deltas)
