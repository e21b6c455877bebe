"""Conflicts and answers between doors and callers; the same at every door.

Requests become checked values here, an answer becomes the commit that it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.v1 import conflict_service_pb2 as pb
from holdfast.v1 import record_pb2
from sync import answering, inbox, names
from sync.answering import Answering, Seen
from sync.codec.blocks import version_from
from sync.codec.requests import (
    BadRequest,
    CommitRequest,
    actor_from,
    actor_to,
    level_from,
)
from sync.commit import Actor, Version
from sync.inbox import Choice, Entry, Side, State
from sync.levels import Level
from sync.position import ID_BYTES

_STATES = {
    State.OPEN: pb.CONFLICT_STATE_OPEN,
    State.RESOLVED: pb.CONFLICT_STATE_RESOLVED,
    State.AUTO: pb.CONFLICT_STATE_AUTO,
    State.UNDONE: pb.CONFLICT_STATE_UNDONE,
}
_STATES_BACK: dict[int, State] = {number: state for state, number in _STATES.items()}
_CHOICES = {
    Choice.OURS: pb.CONFLICT_CHOICE_OURS,
    Choice.THEIRS: pb.CONFLICT_CHOICE_THEIRS,
    Choice.VALUE: pb.CONFLICT_CHOICE_VALUE,
    Choice.MERGED: pb.CONFLICT_CHOICE_MERGED,
}
_CHOICES_BACK: dict[int, Choice] = {number: choice for choice, number in _CHOICES.items()}

MAX_KINDS = 32
"""Kinds that a list may be narrowed to: there are fewer."""


# -- questions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conflicts are asked for; an empty set or text stands for all."""

    states: frozenset[State] = frozenset()
    collection: str = ""
    key_prefix: str = ""
    kinds: frozenset[str] = field(default_factory=frozenset)

    def matches(self, collection: str, key: str, kind: str, state: str) -> bool:
        """Whether such a conflict is among them."""
        return (
            (not self.states or state in self.states)
            and (not self.kinds or kind in self.kinds)
            and self.collection in ("", collection)
            and key.startswith(self.key_prefix)
        )


def wanted_from(message: pb.ListConflictsRequest) -> Wanted:
    """What a list is narrowed to. Raises BadRequest, InvalidName."""
    if len(message.kinds) > MAX_KINDS:
        raise BadRequest("MALFORMED_REQUEST", f"kinds: at most {MAX_KINDS}")
    return Wanted(
        frozenset(map(_state_from, message.states)),
        message.collection and names.check_collection(message.collection),
        message.key_prefix,
        frozenset(message.kinds),
    )


def _state_from(number: int) -> State:
    if number not in _STATES_BACK:
        raise BadRequest("UNKNOWN_ENUM_VALUE", f"states: {number} is not known")
    return _STATES_BACK[number]


def id_from(value: bytes) -> bytes:
    """The id of a conflict. Raises BadRequest."""
    if len(value) != ID_BYTES:
        raise BadRequest("MALFORMED_REQUEST", f"id: {ID_BYTES} bytes, not {len(value)}")
    return value


# -- answers of persons --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says of a conflict; no `choice`: that what was done be undone."""

    space: str
    id: bytes
    actor: Actor
    note: str
    seen: Version | None
    seen_absent: bool
    commit_id: bytes
    level: Level | None
    choice: Choice | None = None
    value: bytes | None = None

    def answering(self, entry: Entry, at: Version | None) -> Answering:
        """The commit that this is, on an entry whose version in the inbox is `at`.

        Raises CannotAnswer, InvalidValue.
        """
        seen = Seen(at, self.seen, record_seen=self.seen is not None or self.seen_absent)
        if self.choice is None:
            return answering.undo(entry, seen, self.actor, self.note)
        return answering.resolve(entry, seen, self.choice, self.value, self.actor, self.note)

    def commit(self, entry: Entry, at: Version | None) -> CommitRequest:
        """The request that an agent would make of it. Raises as `answering`."""
        made = self.answering(entry, at)
        return CommitRequest(
            space=self.space,
            requests=made.requests,
            actor=self.actor,
            preconditions=made.preconditions,
            commit_id=self.commit_id,
            level=self.level,
        )


def word_from(message: pb.ResolveConflictRequest | pb.UndoConflictRequest) -> Word:
    """What a person says. Raises BadRequest, InvalidName, InvalidValue."""
    if len(message.commit_id) not in (0, ID_BYTES):
        raise BadRequest("MALFORMED_REQUEST", f"commit_id: {ID_BYTES} bytes, or none")
    choice, value = None, None
    if isinstance(message, pb.ResolveConflictRequest):
        choice = _CHOICES_BACK.get(message.choice)
        if choice is None:
            raise BadRequest("UNKNOWN_ENUM_VALUE", "choice: one of OURS, THEIRS, MERGED, VALUE")
        if message.json:
            if choice is not Choice.VALUE:
                raise BadRequest("MALFORMED_REQUEST", "json: only with the choice VALUE")
            value = inbox.any_value(message.json)
    version = None
    if message.seen.WhichOneof("record") == "version":
        version = version_from(message.seen.version)
    return Word(
        space=names.check_space(message.space),
        id=id_from(message.id),
        actor=actor_from(message.actor),
        note=message.note,
        seen=version,
        seen_absent=message.seen.WhichOneof("record") == "absent",
        commit_id=message.commit_id,
        level=level_from(message.level),
        choice=choice,
        value=value,
    )


# -- conflicts -----------------------------------------------------------------------------------


def conflict_to(space: str, entry: Entry) -> pb.Conflict:
    """A conflict as it travels."""
    message = pb.Conflict(
        id=entry.id,
        collection=entry.collection,
        key=entry.key,
        field=entry.field,
        revision=entry.revision,
        kind=entry.kind,
        theirs=_side_to(space, entry.theirs),
        winner=entry.winner,
        algorithm=entry.algorithm,
        state=_STATES[entry.state],
        reason=entry.reason,
        detail=entry.detail,
        clock_suspect=entry.clock_suspect,
        base_json=(entry.base or b"").decode(),
        abridged=entry.abridged,
        result_json=(entry.decided or b"").decode(),
        rule_version=entry.rule_version,
    )
    if entry.ours is not None:
        message.ours.CopyFrom(_side_to(space, entry.ours))
    if entry.answer is not None:
        said = entry.answer
        message.answer.CopyFrom(
            pb.ConflictAnswer(
                choice=_CHOICES[said.choice], actor=actor_to(said.actor), note=said.note
            )
        )
    return message


def _side_to(space: str, side: Side) -> pb.ConflictSide:
    message = pb.ConflictSide(
        op_id=record_pb2.OpId(origin=side.origin, space=space, seq=side.seq),
        stamp=side.stamp,
        claimed=side.claimed,
        json=(side.value or b"").decode(),
    )
    if side.actor is not None:
        message.actor.CopyFrom(actor_to(side.actor))
    return message
