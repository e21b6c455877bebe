"""Fields that only one kind of actor writes.

It is no matter of concurrency: a write by another is refused at the door, and rejected at the hub.
"""

from __future__ import annotations

from sync.apply import fields_of
from sync.commit import ActorKind, Kind
from sync.policy import CollectionPolicy
from sync.ruling import Rule

_WHOLE = frozenset({Kind.CREATE, Kind.REPLACE, Kind.DELETE})
"""Operations on a record as such, which belongs to the owner if the collection does."""


def trespass(
    kind: int, payload: bytes, policy: CollectionPolicy, actor: ActorKind, *, answers: bool
) -> str:
    """What of an operation is not this actor's to write, as a sentence; nothing if all of it is.

    A person who `answers` a conflict decides also what is another's: the rule may have opened it.
    """
    if Rule.OWNER not in policy.rules or kind == Kind.NONE:
        return ""
    if answers and actor is ActorKind.HUMAN:
        return ""
    whole = policy.ruling
    if whole.rule is Rule.OWNER and kind in _WHOLE and actor not in whole.kinds:
        return f"records are written by actors of kind {_names(whole.kinds)}"
    if kind in (Kind.DELETE, Kind.REPLACE):
        return ""
    for name in fields_of(kind, payload):
        ruling = policy.ruling_of(name)
        if ruling.rule is Rule.OWNER and actor not in ruling.kinds:
            return f"the field {name!r} is written by actors of kind {_names(ruling.kinds)}"
    return ""


def _names(kinds: tuple[ActorKind, ...]) -> str:
    return " or ".join(kind.name.lower() for kind in kinds)
