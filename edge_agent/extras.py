"""What only some commits have, as the text of one column.

Most commits have nothing of it, and their column is NULL. JSON, because whoever looks at a damaged
outbox with a shell should be able to read it; ids are in hex.

Invariant: `decode(encode(extra)) == extra`.
"""

from __future__ import annotations

import json
from typing import Any

from sync.commit import NO_EXTRA, Extra, Precondition, Version

_FLAGS = ("retryable", "strong", "expired", "blind")


def encode(extra: Extra) -> str | None:
    """The column's text; None for nothing."""
    if extra == NO_EXTRA:
        return None
    members: dict[str, Any] = {}
    if extra.seen:
        members["seen"] = [[origin.hex(), seq] for origin, seq in extra.seen]
    if extra.preconditions:
        members["preconditions"] = [_precondition(wanted) for wanted in extra.preconditions]
    if extra.correlation_id:
        members["correlation_id"] = extra.correlation_id
    if extra.causation_id:
        members["causation_id"] = extra.causation_id.hex()
    if extra.coalesced_by:
        members["coalesced_by"] = extra.coalesced_by
    members |= {name: True for name in _FLAGS if getattr(extra, name)}
    return json.dumps(members, separators=(",", ":"))


def decode(text: str | None) -> Extra:
    """What `encode` was given. Raises ValueError or KeyError for any other text."""
    if text is None:
        return NO_EXTRA
    members = json.loads(text)
    return Extra(
        seen=tuple((bytes.fromhex(origin), seq) for origin, seq in members.get("seen", ())),
        preconditions=tuple(_wanted(one) for one in members.get("preconditions", ())),
        correlation_id=members.get("correlation_id", ""),
        causation_id=bytes.fromhex(members.get("causation_id", "")),
        coalesced_by=members.get("coalesced_by", 0),
        **{name: members.get(name, False) for name in _FLAGS},
    )


def _precondition(wanted: Precondition) -> dict[str, Any]:
    named: dict[str, Any] = {"collection": wanted.collection, "key": wanted.key}
    version = wanted.version
    if wanted.authority is not None:
        return named | {"authority": wanted.authority}
    if version is None:
        return named | {"exists": wanted.exists}
    place = [version.epoch, version.revision, version.origin.hex(), version.seq, version.pending]
    return named | {"version": place}


def _wanted(members: dict[str, Any]) -> Precondition:
    collection, key = members["collection"], members["key"]
    if "exists" in members:
        return Precondition(collection, key, exists=members["exists"])
    if "authority" in members:
        return Precondition(collection, key, authority=members["authority"])
    epoch, revision, origin, seq, pending = members["version"]
    version = Version(epoch, revision, bytes.fromhex(origin), seq, pending)
    return Precondition(collection, key, version=version)
