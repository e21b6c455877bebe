"""Strong commits: what of a record has changed since their author read it.

A strong commit is never merged away. If it depends on a read, it is refused as soon as a part that
it touches has been written by somebody whom its author had not seen; its author waits and is told.
Additions do not depend on the sum they are added to, so they are refused only if the record as such
is another. What has been changed beside it does not matter.

Invariant: what passes here takes effect as it was asked for.
"""

from __future__ import annotations

from holdfast.reasons import REASONS
from sync import values
from sync.commit import Outcome, OutcomeKind
from sync.context import Author
from sync.policy import CollectionPolicy, Granularity
from sync.reduce import Patch, Request, differences, is_addition
from sync.working import Working


def changed_since(
    author: Author, record: Working, request: Request, policy: CollectionPolicy
) -> bool:
    """Whether a part of the record that the request touches is concurrent with its author."""
    if author.saw_all_of(record.last, record.other):
        return False
    concurrent = author.concurrent
    if concurrent(record.whole) or (record.gone is not None and concurrent(record.gone)):
        return True  # it came to be, was deleted or was replaced since
    if is_addition(request):
        return False
    if not isinstance(request, Patch) or policy.granularity is Granularity.RECORD:
        return any(map(concurrent, record.writers))
    if differences(request, policy):
        return True  # a sum has several writers: the newest may be seen and hide one that is not
    touched = (*values.fields(request.sets), *request.removes)
    return any(author.unseen(record.parts[name]) for name in touched if name in record.parts)


_SAYS_ITSELF = frozenset(
    {"EXPIRED", "INVARIANT_BROKEN", "LEVEL_NOT_PERMITTED", "REVISION_MISMATCH"}
    | {"STALE_AUTHORITY", "UNDECLARED_COLLECTION"}
)
"""Reasons that say themselves what a caller has to do."""


def told(outcome: Outcome) -> str:
    """The reason that the author of a strong commit is told; a rule's own reasons are details."""
    reason = outcome.reason
    if outcome.kind is not OutcomeKind.REJECTED or reason in _SAYS_ITSELF:
        return reason
    if reason == "PRECONDITION_FAILED":
        return "REVISION_MISMATCH"
    known = REASONS.get(reason)
    invalid = known is not None and known.status == "INVALID_ARGUMENT"
    return reason if invalid else "REFUSED_BY_RULE"
