"""What a refused commit wanted to do to one record, as the value of one conflict.

A put of one field, less another, plus a count is three operations, and whoever answers for it wants
to give one answer. So what was refused together waits together. A single operation is kept as its
payload alone, which is how most are and how people read it best.

Invariant: `operations(several(ops)) == ops`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sync import values
from sync.commit import Kind
from sync.members import items


def several(ops: Sequence[tuple[Kind, bytes]]) -> bytes:
    """Operations on one record as an object with the member `operations`: an array of their kinds
    and, where they have one, payloads."""
    told = []
    for kind, payload in ops:
        members = {"kind": b'"%b"' % kind.name.lower().encode()}
        if payload:
            members["payload"] = payload
        told.append(values.join(members))
    return values.join({"operations": b"[" + b",".join(told) + b"]"})


def operations(value: bytes) -> list[tuple[Kind, bytes]]:
    """What `several` was given. Raises InvalidValue, KeyError for any other value."""
    found = []
    for text in items(values.fields(value)["operations"]):
        told = values.fields(text)
        found.append((Kind[json.loads(told["kind"]).upper()], told.get("payload", b"")))
    return found
