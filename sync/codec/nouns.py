"""What messages of both directions are made of, to protobuf and back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from holdfast.v1 import replication_service_pb2 as pb
from sync import messages as m
from sync.names import MAX_ACTOR_CHARS
from sync.position import ID_BYTES, MAX_NUMBER, Epoch, Position

MAX_REASON_CHARS = 64
"""Reasons and alarms are names of the table, whichever version of it the other side has."""

_REASON = re.compile(rf"[A-Z][A-Z_]{{0,{MAX_REASON_CHARS - 1}}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class MalformedMessage(ValueError):
    """A message that cannot be what its sender means."""

    reason = "PROTOCOL_VIOLATION"


def checked_id(value: bytes) -> bytes:
    """The id. Raises MalformedMessage if its size is not an id's."""
    if len(value) != ID_BYTES:
        raise MalformedMessage(f"an id has {ID_BYTES} bytes, not {len(value)}")
    return value


def checked_number(value: int) -> int:
    """A seq, revision, epoch, size or time. Raises MalformedMessage if no database can hold it."""
    if value > MAX_NUMBER:
        raise MalformedMessage(f"a number above {MAX_NUMBER}")
    return value


def checked_reason(value: str) -> str:
    """The name of a reason. Raises MalformedMessage if it cannot be one."""
    if not _REASON.fullmatch(value):
        raise MalformedMessage(f"not the name of a reason: {value[:80]!r}")
    return value


def checked_label(value: str, what: str) -> str:
    """A name for people. Raises MalformedMessage if it is long or has control characters."""
    if len(value) > MAX_ACTOR_CHARS or _CONTROL.search(value):
        raise MalformedMessage(
            f"{what} has at most {MAX_ACTOR_CHARS} characters, and none of control"
        )
    return value


def origin_to(state: m.OriginState) -> pb.OriginState:
    """An origin's state as it travels."""
    return pb.OriginState(origin=state.origin, seq=state.seq, commit_id=state.commit_id)


def origin_from(state: pb.OriginState) -> m.OriginState:
    """An origin's state. Raises MalformedMessage."""
    commit_id = checked_id(state.commit_id) if state.commit_id else b""
    return m.OriginState(checked_id(state.origin), checked_number(state.seq), commit_id)


def epoch_to(epoch: Epoch) -> pb.Epoch:
    """An epoch as it travels."""
    forks = [pb.Fork(space=space, revision=at) for space, at in sorted(epoch.forks.items())]
    return pb.Epoch(ordinal=epoch.ordinal, id=epoch.id, parent=epoch.parent, forks=forks)


def epoch_from(epoch: pb.Epoch) -> Epoch:
    """An epoch. Raises MalformedMessage."""
    forks = {fork.space: checked_number(fork.revision) for fork in epoch.forks}
    return Epoch(checked_number(epoch.ordinal), checked_id(epoch.id), epoch.parent, forks)


def lineage_from(epochs: Iterable[pb.Epoch]) -> tuple[Epoch, ...]:
    """Epochs, oldest first, each with its parent before it. Raises MalformedMessage."""
    lineage: list[Epoch] = []
    known = {0}
    for epoch in map(epoch_from, epochs):
        if epoch.parent not in known or epoch.ordinal <= max(known):
            raise MalformedMessage(f"epoch {epoch.ordinal} is not the child of one before it")
        known.add(epoch.ordinal)
        lineage.append(epoch)
    return tuple(lineage)


def position_from(position: Any) -> Position:
    """A position. Raises MalformedMessage."""
    return Position(
        checked_number(position.epoch), position.space, checked_number(position.revision)
    )


def credit_to(credit: m.Credit) -> pb.Credit:
    """Credit as it travels."""
    return pb.Credit(commits=credit.commits, bytes=credit.bytes)


def credit_from(credit: pb.Credit) -> m.Credit:
    """Credit."""
    return m.Credit(credit.commits, credit.bytes)


def goodbye_to(goodbye: m.Goodbye) -> pb.Goodbye:
    """A goodbye as it travels."""
    return pb.Goodbye(
        reason=goodbye.reason, message=goodbye.message, retry_after_ms=goodbye.retry_after_ms
    )


def goodbye_from(goodbye: pb.Goodbye) -> m.Goodbye:
    """A goodbye."""
    return m.Goodbye(goodbye.reason, goodbye.message, goodbye.retry_after_ms)
