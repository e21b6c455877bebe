"""Where an edge's commits may write. Its door has checked that already; the hub does not trust it.

Collections of the system are written by the hub alone, but for answers to conflicts, and for work
by whoever has the authority over it.
"""

from __future__ import annotations

from bisect import bisect_right

from sync.authority import WORK, may_write, node_of
from sync.batch import Batch
from sync.commit import Kind
from sync.inbox import answer_of
from sync.levels import Level
from sync.names import is_inbox
from sync.policy import RESERVED_PREFIX, Policies


def forbidden(batch: Batch, policies: Policies) -> dict[int, str]:
    """Commits that write where they may not, with the reason."""
    reasons: dict[str, str] = {}
    for name in set(batch.collections):
        if name.startswith(RESERVED_PREFIX):
            reasons[name] = "RESERVED_COLLECTION"
        elif policies.space.strict and not policies.declared(name):
            reasons[name] = "UNDECLARED_COLLECTION"
        elif policies.of(name).levels.min_write is Level.STRONG:
            reasons[name] = "LEVEL_NOT_PERMITTED"
    if not reasons:
        return {}
    starts = batch.op_starts()
    bad: dict[int, str] = {}
    for op, name in enumerate(batch.collections):
        index = bisect_right(starts, op) - 1
        if name in reasons and not _may_write(batch, index, op):
            bad[index] = reasons[name]
    return bad


def is_lawful(batch: Batch) -> bool:
    """Whether a commit, alone in its batch, may write all that it does to the system's records."""
    return all(
        _may_write(batch, 0, op)
        for op, name in enumerate(batch.collections)
        if name.startswith(RESERVED_PREFIX)
    )


def _may_write(batch: Batch, index: int, op: int) -> bool:
    """Whether an operation is an answer to a conflict, or work under an authority."""
    name = batch.collections[op]
    if is_inbox(name):
        return _answers(batch, index, op)
    if name not in WORK:
        return False
    extra = batch.extra(index)
    return may_write(
        name, batch.keys[op], Kind(batch.kinds[op]), batch.payloads[op], node_of(batch.origin),
        extra.preconditions, strong=extra.strong,
    )  # fmt: skip


def _answers(batch: Batch, index: int, op: int) -> bool:
    """Whether an operation says what a person has to say of a conflict, on the condition that its
    entry is as it was seen."""
    name = (batch.collections[op], batch.keys[op])
    conditions = (
        (wanted.collection, wanted.key)
        for wanted in batch.extra(index).preconditions
        if wanted.version is not None
    )
    patches = batch.kinds[op] == Kind.PATCH and answer_of(batch.payloads[op]) is not None
    return patches and name in conditions
