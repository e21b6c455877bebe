"""Strong commits as drafts: kept as they were asked for, and judged by the hub alone.

The replica may be behind, so what a strong write means is not worked out here: a put that names
what this replica has already would become nothing, although the hub's record is another by now.
Nothing of it is in the view either, since a reader must never see what may be refused.

Invariant: a strong draft changes nothing that is read at this edge.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.judging import Draft, Judge
from edge_agent.requests import Write
from holdfast.host.refusal import Refusal
from sync.apply import removal
from sync.batch import MAX_PAYLOAD_BYTES
from sync.commit import Commit, Kind, Op
from sync.policy import RESERVED_PREFIX
from sync.reduce import Add, Delete, Put, Request, SetAdd, SetRemove, SpliceFields


def draft(judge: Judge, write: Write, commit_id: bytes, claimed: int) -> Draft:
    """The commit that a strong write becomes. Raises Refusal."""
    ops = tuple(op for request in write.requests for op in _asked(request))
    for op in ops:
        if op.collection.startswith(RESERVED_PREFIX) and not write.system:
            raise Refusal("RESERVED_COLLECTION", f"{op.collection} is the system's")
    if sum(len(op.payload) for op in ops) > MAX_PAYLOAD_BYTES // 2:
        raise Refusal("COMMIT_TOO_LARGE")
    basis = judge.strong_basis(write.context)
    seq = judge.view.last_seq + 1
    extra = judge.extra(write, basis, strong=True)
    commit = Commit(commit_id, seq, basis.base, basis.seen, claimed, write.actor, ops, extra)
    judge.view.last_seq = seq
    return Draft(judge.space, commit, basis, ())


def _asked(request: Request) -> Iterator[Op]:
    name = (request.collection, request.key)
    match request:
        case Put():
            yield Op(Kind.PUT, *name, request.value)
        case Delete():
            yield Op(Kind.DELETE, *name)
        case Add():
            yield Op(Kind.ADD, *name, request.deltas)
        case SetAdd():
            yield Op(Kind.SET_ADD, *name, request.elements)
        case SetRemove():
            yield Op(Kind.SET_REMOVE, *name, request.elements)
        case SpliceFields():
            yield Op(Kind.SPLICE, *name, request.payload)
        case _:
            if request.sets != b"{}" or not request.removes:
                yield Op(Kind.PATCH, *name, request.sets)
            if request.removes:
                yield Op(Kind.REMOVE, *name, removal(request.removes))
