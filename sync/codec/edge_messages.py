"""What an edge says, to protobuf and back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from holdfast.v1 import replication_service_pb2 as pb
from sync import messages as m
from sync.batch import MAX_COMMITS
from sync.codec.nouns import (
    MalformedMessage,
    checked_id,
    checked_label,
    checked_number,
    checked_reason,
    credit_from,
    credit_to,
    epoch_to,
    goodbye_from,
    goodbye_to,
    lineage_from,
    origin_from,
    origin_to,
)
from sync.names import check_collection, check_space
from sync.position import ID_BYTES, MAX_NUMBER, Cursor

MAX_ALARMS = 64
"""Named alarms of one edge: more than there are names."""

_COUNTED = (
    "uptime_ms", "commits", "applied", "dials", "outbox_transactions", "outbox_us",
    "oldest_pending_ms",
)  # fmt: skip


def _hello_to(hello: m.Hello) -> pb.Hello:
    return pb.Hello(
        protocol_versions=hello.versions,
        edge=hello.edge,
        origin=hello.origin,
        predecessor=hello.predecessor,
        predecessor_reason=hello.predecessor_reason,
        spaces=[_space_hello_to(space) for space in hello.spaces],
        codecs=hello.codecs,
        lineage=[epoch_to(epoch) for epoch in hello.lineage],
        software=hello.software,
    )


def _space_hello_to(space: m.SpaceHello) -> pb.SpaceHello:
    return pb.SpaceHello(
        space=space.space,
        whole=space.scope.whole,
        collections=sorted(space.scope.collections),
        cursor_epoch=space.cursor.epoch,
        cursor_revision=space.cursor.revision,
        cursor_token=space.cursor.token,
        origins=[origin_to(state) for state in space.origins],
    )


def _hello_from(hello: pb.Hello) -> m.Hello:
    if not hello.edge:
        raise MalformedMessage("an edge has a name")
    return m.Hello(
        edge=checked_label(hello.edge, "an edge's name"),
        origin=checked_id(hello.origin),
        spaces=tuple(_space_hello_from(space) for space in hello.spaces),
        versions=tuple(hello.protocol_versions),
        predecessor=checked_id(hello.predecessor) if hello.predecessor else b"",
        predecessor_reason=(
            checked_reason(hello.predecessor_reason) if hello.predecessor_reason else ""
        ),
        codecs=tuple(hello.codecs),
        lineage=lineage_from(hello.lineage),
        software=checked_label(hello.software, "the name of the software"),
    )


def _space_hello_from(space: pb.SpaceHello) -> m.SpaceHello:
    collections = frozenset(check_collection(name) for name in space.collections)
    return m.SpaceHello(
        check_space(space.space),
        m.Scope(space.whole, collections),
        Cursor(
            checked_number(space.cursor_epoch),
            checked_number(space.cursor_revision),
            space.cursor_token,
        ),
        tuple(origin_from(state) for state in space.origins),
    )


def _push_to(push: m.Push) -> pb.Push:
    return pb.Push(
        space=push.space,
        origin=push.origin,
        first_seq=push.first_seq,
        count=push.count,
        block=push.block,
        block_bytes=push.block_bytes,
    )


def _push_from(push: pb.Push) -> m.Push:
    return m.Push(
        check_space(push.space),
        checked_id(push.origin),
        checked_number(push.first_seq),
        push.count,
        push.block,
        push.block_bytes,
    )


def _heartbeat_to(beat: m.EdgeHeartbeat) -> pb.EdgeHeartbeat:
    return pb.EdgeHeartbeat(
        nonce=beat.nonce,
        pending=beat.pending,
        outbox_bytes=beat.outbox_bytes,
        wall_ms=beat.wall_ms,
        alarms=beat.alarms,
        counters=None if beat.counters is None else counters_to(beat.counters),
    )


def counters_to(counters: m.EdgeCounters) -> pb.EdgeCounters:
    """What an edge has counted, as it travels."""
    return pb.EdgeCounters(
        version=counters.version,
        refusals=[pb.ReasonCount(reason=name, count=count) for name, count in counters.refusals],
        lag_ms=counters.lag_ms,
        **{name: getattr(counters, name) for name in _COUNTED},
    )


def _counters_from(counters: pb.EdgeCounters) -> m.EdgeCounters:
    if len(counters.refusals) > m.MAX_REFUSALS:
        raise MalformedMessage(f"more than {m.MAX_REFUSALS} reasons of refusals")
    return m.EdgeCounters(
        version=counters.version,
        refusals=tuple(
            (checked_reason(one.reason), checked_number(one.count)) for one in counters.refusals
        ),
        lag_ms=checked_number(counters.lag_ms) if counters.HasField("lag_ms") else None,
        **{name: checked_number(getattr(counters, name)) for name in _COUNTED},
    )


def _heartbeat_from(beat: pb.EdgeHeartbeat) -> m.EdgeHeartbeat:
    if len(beat.alarms) > MAX_ALARMS:
        raise MalformedMessage(f"more than {MAX_ALARMS} alarms")
    return m.EdgeHeartbeat(
        beat.nonce,
        checked_number(beat.pending),
        checked_number(beat.outbox_bytes),
        checked_number(beat.wall_ms),
        tuple(map(checked_reason, beat.alarms)),
        _counters_from(beat.counters) if beat.HasField("counters") else None,
    )


def _report_to(report: m.CursorReport) -> pb.CursorReport:
    return pb.CursorReport(
        spaces=[
            pb.SpaceCursor(
                space=s.space, epoch=s.epoch, revision=s.revision, lowest_base=s.lowest_base
            )
            for s in report.spaces
        ]
    )


def _report_from(report: pb.CursorReport) -> m.CursorReport:
    return m.CursorReport(
        tuple(
            m.SpaceCursor(
                check_space(s.space),
                checked_number(s.epoch),
                checked_number(s.revision),
                checked_number(s.lowest_base),
            )
            for s in report.spaces
        )
    )


def _void_to(gone: m.VoidRange) -> pb.VoidRange:
    return pb.VoidRange(
        space=gone.space,
        origin=gone.origin,
        first_seq=gone.first_seq,
        count=gone.count,
        reason=gone.reason,
        commit_ids=b"".join(gone.commit_ids),
    )


def _void_from(gone: pb.VoidRange) -> m.VoidRange:
    if not 1 <= gone.first_seq <= MAX_NUMBER - MAX_COMMITS or not 1 <= gone.count <= MAX_COMMITS:
        raise MalformedMessage(f"a void range has a first seq, and 1 to {MAX_COMMITS} seqs")
    ids = gone.commit_ids
    if ids and len(ids) != ID_BYTES * gone.count:
        raise MalformedMessage("as many ids as seqs, or none")
    return m.VoidRange(
        check_space(gone.space),
        checked_id(gone.origin),
        gone.first_seq,
        gone.count,
        checked_reason(gone.reason),
        tuple(ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES)),
    )


def _compare_to(compare: m.CompareIds) -> pb.CompareIds:
    return pb.CompareIds(space=compare.space, origin=compare.origin, seqs=compare.seqs)


def _compare_from(compare: pb.CompareIds) -> m.CompareIds:
    seqs = tuple(compare.seqs)
    if not seqs or seqs[0] < 1 or any(a >= b for a, b in pairwise(seqs)):
        raise MalformedMessage("seqs to compare are ascending, and begin at 1")
    checked_number(seqs[-1])
    return m.CompareIds(check_space(compare.space), checked_id(compare.origin), seqs)


def ask_decided_to(asked: m.AskDecided) -> pb.AskDecided:
    """A question as it travels."""
    return pb.AskDecided(space=asked.space, origin=asked.origin, seq=asked.seq, since=asked.since)


def ask_decided_from(asked: pb.AskDecided) -> m.AskDecided:
    """A question. Raises MalformedMessage."""
    if asked.seq < 1:
        raise MalformedMessage("seqs begin at 1")
    return m.AskDecided(
        check_space(asked.space),
        checked_id(asked.origin),
        checked_number(asked.seq),
        checked_number(asked.since),
    )


TO: dict[type, tuple[str, Callable[[Any], Any]]] = {
    m.Hello: ("hello", _hello_to),
    m.Push: ("push", _push_to),
    m.Credit: ("credit", credit_to),
    m.EdgeHeartbeat: ("heartbeat", _heartbeat_to),
    m.CursorReport: ("cursors", _report_to),
    m.VoidRange: ("void_range", _void_to),
    m.CompareIds: ("compare", _compare_to),
    m.Goodbye: ("goodbye", goodbye_to),
    m.AskDecided: ("ask_decided", ask_decided_to),
}
FROM: dict[str, Callable[[Any], Any]] = {
    "hello": _hello_from,
    "push": _push_from,
    "credit": credit_from,
    "heartbeat": _heartbeat_from,
    "cursors": _report_from,
    "void_range": _void_from,
    "compare": _compare_from,
    "goodbye": goodbye_from,
    "ask_decided": ask_decided_from,
}
