"""What the hub says, to protobuf and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.v1 import replication_service_pb2 as pb
from sync import messages as m
from sync.codec.edge_messages import ask_decided_from, ask_decided_to
from sync.codec.nouns import (
    MalformedMessage,
    checked_id,
    checked_number,
    credit_from,
    credit_to,
    epoch_to,
    goodbye_from,
    goodbye_to,
    lineage_from,
    origin_from,
    origin_to,
    position_from,
)
from sync.commit import OpId, Outcome, OutcomeKind
from sync.position import ID_BYTES, MAX_NUMBER, Cursor


def _welcome_to(welcome: m.Welcome) -> pb.Welcome:
    return pb.Welcome(
        protocol_version=welcome.version,
        hub=welcome.hub,
        lineage=[epoch_to(epoch) for epoch in welcome.lineage],
        spaces=[
            pb.SpaceWelcome(
                space=s.space,
                epoch=s.epoch,
                head=s.head,
                origins=[origin_to(state) for state in s.origins],
                refusal=s.refusal,
            )
            for s in welcome.spaces
        ],
        codec=welcome.codec,
        max_message_bytes=welcome.max_message_bytes,
        wall_ms=welcome.wall_ms,
        credit=credit_to(welcome.credit),
    )


def _welcome_from(welcome: pb.Welcome) -> m.Welcome:
    if not welcome.lineage:
        raise MalformedMessage("a hub has at least its first epoch")
    return m.Welcome(
        hub=welcome.hub,
        version=welcome.protocol_version,
        lineage=lineage_from(welcome.lineage),
        spaces=tuple(
            m.SpaceWelcome(
                s.space, s.epoch, s.head, tuple(origin_from(o) for o in s.origins), s.refusal
            )
            for s in welcome.spaces
        ),
        codec=welcome.codec,
        max_message_bytes=welcome.max_message_bytes,
        wall_ms=welcome.wall_ms,
        credit=credit_from(welcome.credit),
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
    for verdict in result.verdicts:
        message.verdicts.append(_verdict_to(verdict))
    return message


def _result_from(result: pb.PushResult) -> m.PushResult:
    return m.PushResult(
        result.space,
        checked_id(result.origin),
        checked_number(result.decided_seq),
        result.decided_id,
        position_from(result.position),
        tuple(map(_verdict_from, result.verdicts)),
    )


def _verdict_to(verdict: m.StrongVerdict) -> pb.StrongVerdict:
    at, first = verdict.position, verdict.first
    message = pb.StrongVerdict(
        commit_id=verdict.commit_id,
        kind=int(verdict.outcome.kind),  # type: ignore[arg-type]
        reason=verdict.outcome.reason,
        message=verdict.message,
        metadata=verdict.metadata,
    )
    message.position.epoch, message.position.space = at.epoch, at.space
    message.position.revision = at.revision
    message.first.origin, message.first.seq = first.origin, first.seq
    return message


def _verdict_from(verdict: pb.StrongVerdict) -> m.StrongVerdict:
    try:
        kind = OutcomeKind(verdict.kind)
    except ValueError:
        raise MalformedMessage("an outcome that this version does not know") from None
    commit_id = checked_id(verdict.commit_id)
    return m.StrongVerdict(
        commit_id,
        position_from(verdict.position),
        Outcome(kind, verdict.reason),
        OpId(checked_id(verdict.first.origin), checked_number(verdict.first.seq), commit_id),
        verdict.message,
        dict(verdict.metadata),
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
        checked_id(refused.origin),
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
    if changes.count < 1 or not 1 <= changes.first_revision <= MAX_NUMBER - changes.count:
        raise MalformedMessage("changes have commits, and revisions that begin at 1")
    return m.Changes(
        changes.space,
        changes.epoch,
        changes.first_revision,
        checked_id(changes.origin),
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
        origins=[origin_to(state) for state in bookmark.origins],
        digests=[
            pb.CollectionDigest(collection=d.collection, digest=d.digest, records=d.records)
            for d in bookmark.digests
        ],
    )


def _bookmark_from(bookmark: pb.Bookmark) -> m.Bookmark:
    return m.Bookmark(
        bookmark.space,
        Cursor(bookmark.epoch, checked_number(bookmark.revision), bookmark.cursor_token),
        tuple(origin_from(state) for state in bookmark.origins),
        tuple(m.CollectionDigest(d.collection, d.digest, d.records) for d in bookmark.digests),
    )


def _hub_heartbeat_to(beat: m.HubHeartbeat) -> pb.HubHeartbeat:
    message = pb.HubHeartbeat(nonce=beat.nonce, wall_ms=beat.wall_ms)
    for head in beat.heads:
        message.heads.add(epoch=head.epoch, space=head.space, revision=head.revision)
    return message


def _hub_heartbeat_from(beat: pb.HubHeartbeat) -> m.HubHeartbeat:
    return m.HubHeartbeat(beat.nonce, beat.wall_ms, tuple(map(position_from, beat.heads)))


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
        compared.space, checked_id(compared.origin), tuple(zip(compared.seqs, known, strict=True))
    )


def _decided_at_to(answer: m.DecidedAt) -> pb.DecidedAt:
    message = pb.DecidedAt(
        asked=ask_decided_to(answer.asked),
        lost=[pb.SeqRange(first_seq=first, count=count) for first, count in answer.lost],
    )
    at = answer.position
    message.position.epoch, message.position.space = at.epoch, at.space
    message.position.revision = at.revision
    return message


def _decided_at_from(answer: pb.DecidedAt) -> m.DecidedAt:
    return m.DecidedAt(
        ask_decided_from(answer.asked),
        position_from(answer.position),
        tuple((checked_number(r.first_seq), checked_number(r.count)) for r in answer.lost),
    )


TO: dict[type, tuple[str, Callable[[Any], Any]]] = {
    m.Welcome: ("welcome", _welcome_to),
    m.PushResult: ("result", _result_to),
    m.Changes: ("changes", _changes_to),
    m.Bookmark: ("bookmark", _bookmark_to),
    m.Credit: ("credit", credit_to),
    m.HubHeartbeat: ("heartbeat", _hub_heartbeat_to),
    m.PushRefused: ("refused", _refused_to),
    m.ComparedIds: ("compared", _compared_to),
    m.Goodbye: ("goodbye", goodbye_to),
    m.DecidedAt: ("decided_at", _decided_at_to),
}
FROM: dict[str, Callable[[Any], Any]] = {
    "welcome": _welcome_from,
    "result": _result_from,
    "changes": _changes_from,
    "bookmark": _bookmark_from,
    "credit": credit_from,
    "heartbeat": _hub_heartbeat_from,
    "refused": _refused_from,
    "compared": _compared_from,
    "goodbye": goodbye_from,
    "decided_at": _decided_at_from,
}
