"""Strong commits of edges: what they ask for, and what their authors are told.

Their operations come as they were asked for and are judged like a request at the hub's own door.
What is refused has been told to its author, so it waits in nobody's inbox; it is decided like any
commit, as rejected, with its payload in the log of conflicts.

Invariant: a verdict is of the first decision under its commit id, and is the same for every retry.
"""

from __future__ import annotations

from cloud_hub.permits import is_lawful
from cloud_hub.repeats import First
from cloud_hub.submissions import AuthorContext, Requested
from holdfast.host.door import Refusal
from sync import messages as m
from sync import splices
from sync.apply import names_of
from sync.authority import node_of
from sync.batch import Batch
from sync.commit import Commit, Kind, Op, OpId, Outcome
from sync.levels import Level
from sync.policy import RESERVED_PREFIX
from sync.position import Position
from sync.reduce import Add, Delete, Patch, Put, Request, SetAdd, SetRemove, SpliceFields
from sync.strong import told


def asked(batch: Batch, commit: Commit) -> Requested:
    """A strong commit as what its author asked for. Raises Refusal, EXPIRED for one whose author
    waits no longer."""
    extra = commit.extra
    if extra.expired:
        raise Refusal("EXPIRED")
    base = Position(batch.base_epoch, batch.space, commit.base)
    reserved = any(name.startswith(RESERVED_PREFIX) for name in batch.collections)
    lawful = reserved and is_lawful(batch)
    seen = ((batch.origin, commit.seen), *extra.seen) if commit.seen else extra.seen
    return Requested(
        space=batch.space,
        requests=tuple(map(_request, commit.ops)),
        actor=commit.actor,
        commit_id=commit.id,
        preconditions=extra.preconditions,
        context=None if extra.blind else AuthorContext(base, seen),
        level=Level.STRONG,
        system=lawful,
        node=node_of(batch.origin),
    )


def verdict(
    commit: Commit, first: First, position: Position, refusal: Refusal | None
) -> m.StrongVerdict:
    """What is told of a commit that was decided so."""
    reason = told(first.outcome)
    message, metadata = (refusal.message, refusal.metadata) if refusal else ("", {})
    if reason == "REFUSED_BY_RULE":
        metadata = {**metadata, "rule": first.outcome.reason}
    outcome = Outcome(first.outcome.kind, reason)
    op_id = OpId(first.origin, first.seq, commit.id)
    return m.StrongVerdict(commit.id, position, outcome, op_id, message, metadata)


def _request(op: Op) -> Request:
    match op.kind:
        case Kind.PUT:
            return Put(op.collection, op.key, op.payload)
        case Kind.PATCH:
            return Patch(op.collection, op.key, op.payload)
        case Kind.REMOVE:
            return Patch(op.collection, op.key, b"{}", tuple(names_of(op.payload)))
        case Kind.DELETE:
            return Delete(op.collection, op.key)
        case Kind.ADD:
            return Add(op.collection, op.key, op.payload)
        case Kind.SET_ADD:
            return SetAdd(op.collection, op.key, op.payload)
        case Kind.SET_REMOVE:
            return SetRemove(op.collection, op.key, op.payload)
        case Kind.SPLICE:
            edits = splices.decode(op.payload)
            return SpliceFields(op.collection, op.key, tuple(edits.items()))
        case _:
            raise Refusal("MALFORMED_EDIT", f"a {op.kind.name} in a strong commit")
