"""Invariants: what must be true of every record of a collection, whoever writes it.

A commit that breaks one is refused as a whole, and what stood before it stands. A record that broke
it already, because the invariant was declared later, may be written on: otherwise nobody could
mend it.
"""

from __future__ import annotations

import orjson

from sync.expression import Expression, Failed
from sync.policy import CollectionPolicy


def broken(policy: CollectionPolicy, key: str, before: bytes | None, after: bytes | None) -> str:
    """The name of an invariant that was kept before and is not any more; nothing if there is none.

    One that gives no answer (a field is not there, a record is too large) is not kept.
    """
    if after is None:
        return ""
    for name, expression in policy.invariants.items():
        if not _kept(expression, key, after) and (before is None or _kept(expression, key, before)):
            return name
    return ""


def _kept(expression: Expression, key: str, value: bytes) -> bool:
    try:
        return expression.value({"key": orjson.dumps(key), "value": value}) is True
    except Failed:
        return False
