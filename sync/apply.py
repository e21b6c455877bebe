"""What an operation does to a record's value.

The same function makes the hub's state, every replica's state and the view of
an edge's own pending commits, so they cannot differ. It knows no rule and no
time: rules have been applied before, once, at the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import orjson

from sync import members, splices, values
from sync.body import Body
from sync.commit import Kind

_EMPTY = b"{}"


def apply(kind: int, payload: bytes, live: bytes | None) -> bytes | None:
    """The live value after one operation; None is absent, before and after.

    An operation that needs a record does nothing where there is none: on a
    replica that cannot happen, and in the view of pending commits it is what
    the hub will decide.

    Raises values.InvalidValue if the payload does not fit the value, as ADD on
    a text.
    """
    if kind == Kind.CREATE:
        return payload if live is None else values.merge(live, payload)
    if kind == Kind.REPLACE:
        return payload
    if kind == Kind.DELETE:
        return None
    if kind == Kind.NONE:
        return live
    if live is None:
        live = _EMPTY if kind in BEGINNERS else None
    if live is None:
        return None
    if kind == Kind.PATCH:
        return values.merge(live, payload)
    if kind == Kind.REMOVE:
        return values.merge(live, _EMPTY, names_of(payload))
    assert kind in _STEPS, kind
    return _STEPS[kind](live, payload)


def apply_to(body: Body | None, kind: int, payload: bytes) -> Body | None:
    """The same upon a body, which may be changed: what is merged or spliced costs what it says."""
    if body is not None and kind == Kind.PATCH:
        body.merge(payload)
        return body
    if body is not None and kind == Kind.SPLICE:
        body.splice(splices.decode(payload))
        return body
    after = apply(kind, payload, None if body is None else body.value)
    return None if after is None else Body(after)


BEGINNERS: dict[int, Kind] = {
    Kind.ADD_CREATE: Kind.ADD,
    Kind.SET_ADD_CREATE: Kind.SET_ADD,
    Kind.MAX_CREATE: Kind.MAX,
    Kind.MIN_CREATE: Kind.MIN,
    Kind.SPLICE_CREATE: Kind.SPLICE,
}
"""Operations of who saw no record, and what they are on one that is there."""

_STEPS: dict[int, Callable[[bytes, bytes], bytes]] = {
    Kind.ADD: values.add,
    Kind.SET_ADD: members.set_add,
    Kind.SET_REMOVE: members.set_remove,
    Kind.MAX: partial(members.join_numbers, greatest=True),
    Kind.MIN: partial(members.join_numbers, greatest=False),
    Kind.SPLICE: splices.spliced_by,
}
_STEPS |= {begins: _STEPS[plain] for begins, plain in BEGINNERS.items()}


def removal(names: Iterable[str]) -> bytes:
    """The payload that removes these fields."""
    return orjson.dumps(sorted(names))


def names_of(payload: bytes) -> list[str]:
    """The names in a REMOVE payload. Raises values.InvalidValue if it is not one."""
    try:
        names = orjson.loads(payload)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise values.InvalidValue("MALFORMED_EDIT", "a removal is a list of field names")
    return names


def fields_of(kind: int, payload: bytes) -> list[str]:
    """Names of the fields that an operation writes."""
    if kind == Kind.REMOVE:
        return names_of(payload)
    return list(values.fields(payload))
