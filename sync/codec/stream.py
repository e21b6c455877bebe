"""The messages of the stream, to protobuf and back.

One pair of functions for each message, and a table by type and by field name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.v1 import replication_service_pb2 as pb
from sync import messages as m
from sync.batch import MAX_COMMITS
from sync.names import InvalidName, check_collection, check_space
from sync.position import ID_BYTES, Cursor, Epoch, Position


class MalformedMessage(ValueError):
    """A message that cannot be what its sender means."""

    reason = "PROTOCOL_VIOLATION"


def edge_message_to(message: m.EdgeMessage) -> pb.ReplicateRequest:
    """A message of the edge as it travels."""
    name, convert = _EDGE_TO[type(message)]
    return pb.ReplicateRequest(**{name: convert(message)})


def hub_message_to(message: m.HubMessage) -> pb.ReplicateResponse:
    """A message of the hub as it travels."""
    name, convert = _HUB_TO[type(message)]
    return pb.ReplicateResponse(**{name: convert(message)})


def edge_message_from(request: pb.ReplicateRequest) -> m.EdgeMessage:
    """A message of an edge. Raises MalformedMessage."""
    message: m.EdgeMessage = _read(request, _EDGE_FROM)
    return message


def hub_message_from(response: pb.ReplicateResponse) -> m.HubMessage:
    """A message of the hub. Raises MalformedMessage."""
    message: m.HubMessage = _read(response, _HUB_FROM)
    return message


def _read(message: Any, table: Mapping[str, Callable[[Any], Any]]) -> Any:
    which = message.WhichOneof("message")
    if which is None:
        raise MalformedMessage("an empty message, or one that this version does not know")
    try:
        return table[which](getattr(message, which))
    except (InvalidName, AssertionError) as error:
        raise MalformedMessage(str(error)) from error


def _id(value: bytes) -> bytes:
    if len(value) != ID_BYTES:
        raise MalformedMessage(f"an id has {ID_BYTES} bytes, not {len(value)}")
    return value


# -- nouns -------------------------------------------------------------------


def _origin_to(state: m.OriginState) -> pb.OriginState:
    return pb.OriginState(origin=state.origin, seq=state.seq, commit_id=state.commit_id)


def _origin_from(state: pb.OriginState) -> m.OriginState:
    return m.OriginState(_id(state.origin), state.seq, state.commit_id)


def _epoch_to(epoch: Epoch) -> pb.Epoch:
    forks = [pb.Fork(space=space, revision=at) for space, at in sorted(epoch.forks.items())]
    return pb.Epoch(ordinal=epoch.ordinal, id=epoch.id, parent=epoch.parent, forks=forks)


def _epoch_from(epoch: pb.Epoch) -> Epoch:
    forks = {fork.space: fork.revision for fork in epoch.forks}
    return Epoch(epoch.ordinal, _id(epoch.id), epoch.parent, forks)


def _position_from(position: Any) -> Position:
    return Position(position.epoch, position.space, position.revision)


def _credit_to(credit: m.Credit) -> pb.Credit:
    return pb.Credit(commits=credit.commits, bytes=credit.bytes)


def _credit_from(credit: pb.Credit) -> m.Credit:
    return m.Credit(credit.commits, credit.bytes)


def _goodbye_to(goodbye: m.Goodbye) -> pb.Goodbye:
    return pb.Goodbye(
        reason=goodbye.reason, message=goodbye.message, retry_after_ms=goodbye.retry_after_ms
    )


def _goodbye_from(goodbye: pb.Goodbye) -> m.Goodbye:
    return m.Goodbye(goodbye.reason, goodbye.message, goodbye.retry_after_ms)


# -- from the edge -----------------------------------------------------------


def _hello_to(hello: m.Hello) -> pb.Hello:
    return pb.Hello(
        protocol_versions=hello.versions,
        edge=hello.edge,
        origin=hello.origin,
        predecessor=hello.predecessor,
        predecessor_reason=hello.predecessor_reason,
        spaces=[_space_hello_to(space) for space in hello.spaces],
        codecs=hello.codecs,
        lineage=[_epoch_to(epoch) for epoch in hello.lineage],
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
        origins=[_origin_to(state) for state in space.origins],
    )


def _hello_from(hello: pb.Hello) -> m.Hello:
    if not 1 <= len(hello.edge) <= 128:
        raise MalformedMessage("an edge's name has 1 to 128 characters")
    return m.Hello(
        edge=hello.edge,
        origin=_id(hello.origin),
        spaces=tuple(_space_hello_from(space) for space in hello.spaces),
        versions=tuple(hello.protocol_versions),
        predecessor=hello.predecessor,
        predecessor_reason=hello.predecessor_reason,
        codecs=tuple(hello.codecs),
        lineage=tuple(_epoch_from(epoch) for epoch in hello.lineage),
        software=hello.software,
    )


def _space_hello_from(space: pb.SpaceHello) -> m.SpaceHello:
    collections = frozenset(check_collection(name) for name in space.collections)
    return m.SpaceHello(
        check_space(space.space),
        m.Scope(space.whole, collections),
        Cursor(space.cursor_epoch, space.cursor_revision, space.cursor_token),
        tuple(_origin_from(state) for state in space.origins),
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
        _id(push.origin),
        push.first_seq,
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
    )


def _heartbeat_from(beat: pb.EdgeHeartbeat) -> m.EdgeHeartbeat:
    return m.EdgeHeartbeat(
        beat.nonce, beat.pending, beat.outbox_bytes, beat.wall_ms, tuple(beat.alarms)
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
            m.SpaceCursor(check_space(s.space), s.epoch, s.revision, s.lowest_base)
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
    if gone.first_seq < 1 or not 1 <= gone.count <= MAX_COMMITS:
        raise MalformedMessage(f"a void range has a first seq, and 1 to {MAX_COMMITS} seqs")
    ids = gone.commit_ids
    if ids and len(ids) != ID_BYTES * gone.count:
        raise MalformedMessage("as many ids as seqs, or none")
    return m.VoidRange(
        check_space(gone.space),
        _id(gone.origin),
        gone.first_seq,
        gone.count,
        gone.reason,
        tuple(ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES)),
    )


def _compare_to(compare: m.CompareIds) -> pb.CompareIds:
    return pb.CompareIds(space=compare.space, origin=compare.origin, seqs=compare.seqs)


def _compare_from(compare: pb.CompareIds) -> m.CompareIds:
    return m.CompareIds(check_space(compare.space), _id(compare.origin), tuple(compare.seqs))


# -- from the hub ------------------------------------------------------------


def _welcome_to(welcome: m.Welcome) -> pb.Welcome:
    return pb.Welcome(
        protocol_version=welcome.version,
        hub=welcome.hub,
        lineage=[_epoch_to(epoch) for epoch in welcome.lineage],
        spaces=[
            pb.SpaceWelcome(
                space=s.space,
                epoch=s.epoch,
                head=s.head,
                origins=[_origin_to(state) for state in s.origins],
                refusal=s.refusal,
            )
            for s in welcome.spaces
        ],
        codec=welcome.codec,
        max_message_bytes=welcome.max_message_bytes,
        wall_ms=welcome.wall_ms,
        credit=_credit_to(welcome.credit),
    )


def _welcome_from(welcome: pb.Welcome) -> m.Welcome:
    return m.Welcome(
        hub=welcome.hub,
        version=welcome.protocol_version,
        lineage=tuple(_epoch_from(epoch) for epoch in welcome.lineage),
        spaces=tuple(
            m.SpaceWelcome(
                s.space, s.epoch, s.head, tuple(_origin_from(o) for o in s.origins), s.refusal
            )
            for s in welcome.spaces
        ),
        codec=welcome.codec,
        max_message_bytes=welcome.max_message_bytes,
        wall_ms=welcome.wall_ms,
        credit=_credit_from(welcome.credit),
    )


def _result_to(result: m.PushResult) -> pb.PushResult:
    at = result.position
    message = pb.PushResult(
        space=result.space,
        origin=result.origin,
        decided_seq=result.decided_seq,
        decided_id=result.decided_id,
    )
    message.position.epoch = at.epoch
    message.position.space = at.space
    message.position.revision = at.revision
    return message


def _result_from(result: pb.PushResult) -> m.PushResult:
    return m.PushResult(
        result.space,
        _id(result.origin),
        result.decided_seq,
        result.decided_id,
        _position_from(result.position),
    )


def _refused_to(refused: m.PushRefused) -> pb.PushRefused:
    return pb.PushRefused(
        space=refused.space,
        origin=refused.origin,
        reason=refused.reason,
        message=refused.message,
        decided_seq=refused.decided_seq,
        seq=refused.seq,
    )


def _refused_from(refused: pb.PushRefused) -> m.PushRefused:
    return m.PushRefused(
        refused.space,
        _id(refused.origin),
        refused.reason,
        refused.message,
        refused.decided_seq,
        refused.seq,
    )


def _changes_to(changes: m.Changes) -> pb.Changes:
    return pb.Changes(
        space=changes.space,
        epoch=changes.epoch,
        first_revision=changes.first_revision,
        origin=changes.origin,
        first_seq=changes.first_seq,
        count=changes.count,
        header=changes.header,
        block=changes.block,
        block_bytes=changes.block_bytes,
        cursor_token=changes.cursor_token,
    )


def _changes_from(changes: pb.Changes) -> m.Changes:
    return m.Changes(
        changes.space,
        changes.epoch,
        changes.first_revision,
        _id(changes.origin),
        changes.first_seq,
        changes.count,
        changes.header,
        changes.block,
        changes.block_bytes,
        changes.cursor_token,
    )


def _bookmark_to(bookmark: m.Bookmark) -> pb.Bookmark:
    return pb.Bookmark(
        space=bookmark.space,
        epoch=bookmark.cursor.epoch,
        revision=bookmark.cursor.revision,
        cursor_token=bookmark.cursor.token,
        origins=[_origin_to(state) for state in bookmark.origins],
        digests=[
            pb.CollectionDigest(collection=d.collection, digest=d.digest, records=d.records)
            for d in bookmark.digests
        ],
    )


def _bookmark_from(bookmark: pb.Bookmark) -> m.Bookmark:
    return m.Bookmark(
        bookmark.space,
        Cursor(bookmark.epoch, bookmark.revision, bookmark.cursor_token),
        tuple(_origin_from(state) for state in bookmark.origins),
        tuple(m.CollectionDigest(d.collection, d.digest, d.records) for d in bookmark.digests),
    )


def _hub_heartbeat_to(beat: m.HubHeartbeat) -> pb.HubHeartbeat:
    message = pb.HubHeartbeat(nonce=beat.nonce, wall_ms=beat.wall_ms)
    for head in beat.heads:
        message.heads.add(epoch=head.epoch, space=head.space, revision=head.revision)
    return message


def _hub_heartbeat_from(beat: pb.HubHeartbeat) -> m.HubHeartbeat:
    return m.HubHeartbeat(beat.nonce, beat.wall_ms, tuple(map(_position_from, beat.heads)))


def _compared_to(compared: m.ComparedIds) -> pb.ComparedIds:
    return pb.ComparedIds(
        space=compared.space,
        origin=compared.origin,
        seqs=[seq for seq, _ in compared.ids],
        commit_ids=b"".join(commit_id or bytes(ID_BYTES) for _, commit_id in compared.ids),
    )


def _compared_from(compared: pb.ComparedIds) -> m.ComparedIds:
    ids = compared.commit_ids
    if len(ids) != ID_BYTES * len(compared.seqs):
        raise MalformedMessage("as many ids as seqs")
    nothing = bytes(ID_BYTES)
    pieces = (ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES))
    known = tuple(b"" if piece == nothing else piece for piece in pieces)
    return m.ComparedIds(
        compared.space, _id(compared.origin), tuple(zip(compared.seqs, known, strict=True))
    )


_EDGE_TO: dict[type, tuple[str, Callable[[Any], Any]]] = {
    m.Hello: ("hello", _hello_to),
    m.Push: ("push", _push_to),
    m.Credit: ("credit", _credit_to),
    m.EdgeHeartbeat: ("heartbeat", _heartbeat_to),
    m.CursorReport: ("cursors", _report_to),
    m.VoidRange: ("void_range", _void_to),
    m.CompareIds: ("compare", _compare_to),
    m.Goodbye: ("goodbye", _goodbye_to),
}
_EDGE_FROM: dict[str, Callable[[Any], Any]] = {
    "hello": _hello_from,
    "push": _push_from,
    "credit": _credit_from,
    "heartbeat": _heartbeat_from,
    "cursors": _report_from,
    "void_range": _void_from,
    "compare": _compare_from,
    "goodbye": _goodbye_from,
}
_HUB_TO: dict[type, tuple[str, Callable[[Any], Any]]] = {
    m.Welcome: ("welcome", _welcome_to),
    m.PushResult: ("result", _result_to),
    m.Changes: ("changes", _changes_to),
    m.Bookmark: ("bookmark", _bookmark_to),
    m.Credit: ("credit", _credit_to),
    m.HubHeartbeat: ("heartbeat", _hub_heartbeat_to),
    m.PushRefused: ("refused", _refused_to),
    m.ComparedIds: ("compared", _compared_to),
    m.Goodbye: ("goodbye", _goodbye_to),
}
_HUB_FROM: dict[str, Callable[[Any], Any]] = {
    "welcome": _welcome_from,
    "result": _result_from,
    "changes": _changes_from,
    "bookmark": _bookmark_from,
    "credit": _credit_from,
    "heartbeat": _hub_heartbeat_from,
    "refused": _refused_from,
    "compared": _compared_from,
    "goodbye": _goodbye_from,
}
