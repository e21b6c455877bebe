"""A run as somebody saw it who knows only what was asked and told: a history for the checkers of
tests/blackbox, the same that judge real processes.

What a fault of the plan takes away on purpose (a file that was put back, a row that was damaged)
counts as never answered: nobody promises it. And where an outbox was copied or put back, two
commits may be pending under one name until the edge finds out: what was told of pending ones is
left out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from sync.commit import OutcomeKind
from tests.blackbox import history as lines
from tests.blackbox.history import NOWHERE, OK, REFUSED, UNKNOWN, Place
from tests.blackbox.hub_rows import decided_lines
from tests.simulation.history import Attempt, Wanted

if TYPE_CHECKING:
    from tests.simulation.evidence import Evidence

RESTORED = frozenset({"old_outbox", "old_files", "copy"})
"""Faults that put an outbox back or copy it."""

BY_SEQ = frozenset({"writes follow", "causes seen", "own writes", "causes first", "whole"})
"""Checkers that know a pending commit by its origin and seq."""

SET_BACK = frozenset({"power", "failpoint", "crash", "old_replica", "damaged_replica"})
"""Faults by which a replica may fall back. Sessions that are ahead of it wait; who reads without
one sees pending commits on an older state than they were written on."""

ENDS = {"ok": OK, "refused": REFUSED, "unknown": UNKNOWN}


def places(answer: pb.Answer) -> tuple[Place, dict[str, int]]:
    """The position of an answer, and what was pending in it."""
    seen = {one.origin.hex(): one.seq for one in answer.context.seen}
    return (answer.position.epoch, answer.position.revision), seen


def read_line(
    request: pb.BatchGetRequest, response: pb.BatchGetResponse, **asked: Any
) -> lines.Read:
    """A read that was answered."""
    place, seen = places(response.answer)
    return lines.Read(
        space=request.space,
        place=place,
        seen=seen,
        paths=tuple(f"{name.collection}/{name.key}" for name in request.names),
        records={
            f"{one.collection}/{one.key}": lines.Found(
                json.loads(one.json),
                (one.version.epoch, one.version.revision),
                one.version.origin.hex(),
                one.version.seq,
                one.version.pending,
            )
            for one in response.records
        },
        **asked,
    )


def told_line(message: pb.WatchResponse, **watched: Any) -> lines.Told:
    """What a watcher was told."""
    if message.WhichOneof("event") == "bookmark":
        at = message.bookmark.position
        return lines.Told(what="bookmark", place=(at.epoch, at.revision), **watched)
    outcome, changes = message.commit.outcome, message.commit.changes
    pending = outcome.kind == record.OUTCOME_KIND_PENDING
    return lines.Told(
        what="pending" if pending else "commit",
        place=NOWHERE if pending else (outcome.position.epoch, outcome.position.revision),
        origin=outcome.op_id.origin.hex(),
        seq=outcome.op_id.seq,
        changes={
            f"{one.record.collection}/{one.record.key}": None
            if one.record.deleted
            else json.loads(one.record.json)
            for one in changes
        },
        replaced={
            f"{one.record.collection}/{one.record.key}": one.previous_revision for one in changes
        },
        **watched,
    )


# -- all of a run ------------------------------------------------------------


def unpromised(kinds: frozenset[str]) -> frozenset[str]:
    """The names of checkers that say nothing where these faults happened."""
    left_out = BY_SEQ if kinds & RESTORED else frozenset()
    return left_out | {"causes seen"} if kinds & SET_BACK else left_out


def history_of(found: Evidence) -> lines.History:
    """The whole run."""
    told, twins = found.history, bool(found.kinds & RESTORED)
    history = lines.History(
        reads=[one for one in told.reads if not (twins and one.seen)],
        told=[one for one in told.told if not (twins and one.what == "pending")],
    )
    for name, space in found.spaces.items():
        history.decided += decided_lines(name, space.entries)
        history.conflicts += [
            lines.Conflict(
                space=name, revision=row.revision, path=f"{row.collection}/{row.key}",
                field=row.field, kind=row.kind,
            )
            for row in space.conflicts
        ]  # fmt: skip
    for wanted in told.wanted:
        for one in wanted.attempts:
            history.add(_commit_line(wanted, one, found.damaged))
    return history


def _commit_line(wanted: Wanted, one: Attempt, damaged: set[bytes]) -> lines.Commit:
    commit_id = one.commit_id or wanted.commit_id
    gone = bool(wanted.may_be_lost) or commit_id in damaged
    decided = (one.epoch, one.revision) if one.revision else NOWHERE
    return lines.Commit(
        client=one.client,
        session=one.session,
        level=one.level,
        door=one.door,
        space=wanted.space,
        invoked_s=one.began_s,
        returned_s=one.ended_s,
        status=UNKNOWN if gone else ENDS[one.end],
        reason=wanted.may_be_lost or one.reason,
        place=one.place,
        seen=one.seen,
        commit_id=commit_id.hex(),
        ops=tuple(map(_op_line, wanted.ops)),
        origin=one.origin.hex(),
        seq=one.seq,
        decided=decided,
        outcome=OutcomeKind(one.outcome).name.lower() if one.outcome else "",
    )


def _op_line(op: record.Op) -> lines.Op:
    path, action = f"{op.collection}/{op.key}", op.WhichOneof("action")
    if action == "put":
        return lines.Op("put", path, json.loads(op.put.json))
    if action == "patch":
        return lines.Op("patch", path, json.loads(op.patch.json), tuple(op.patch.remove))
    if action == "add":
        return lines.Op("add", path, dict(op.add.deltas))
    return lines.Op(action or "", path)
