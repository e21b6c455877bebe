"""Between the messages of the interface and the client's own nouns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from holdfast.client import values
from holdfast.client.commits import (
    Add,
    Bookmark,
    Change,
    CommitEvent,
    Delete,
    Event,
    Expect,
    HistoryEntry,
    Op,
    OpId,
    Outcome,
    OutcomeKind,
    Patch,
    Put,
    Run,
    SetAdd,
    SetRemove,
    Splice,
)
from holdfast.client.paths import record_path
from holdfast.client.records import (
    Actor,
    ActorKind,
    Answer,
    Context,
    Level,
    Position,
    Record,
    Version,
)
from holdfast.errors import InvalidArgument
from holdfast.v1 import record_pb2 as pb
from holdfast.v1 import state_service_pb2 as state

_LEVELS = {
    Level.EVENTUAL: pb.LEVEL_EVENTUAL,
    Level.BOUNDED: pb.LEVEL_BOUNDED,
    Level.STRONG: pb.LEVEL_STRONG,
}
_LEVELS_BACK = {number: level for level, number in _LEVELS.items()}
_KINDS = {
    ActorKind.ROBOT: pb.ACTOR_KIND_ROBOT,
    ActorKind.HUMAN: pb.ACTOR_KIND_HUMAN,
    ActorKind.AI: pb.ACTOR_KIND_AI,
    ActorKind.SYSTEM: pb.ACTOR_KIND_SYSTEM,
}
_KINDS_BACK = {number: kind for kind, number in _KINDS.items()}
_OUTCOMES = {
    pb.OUTCOME_KIND_PENDING: OutcomeKind.PENDING,
    pb.OUTCOME_KIND_APPLIED: OutcomeKind.APPLIED,
    pb.OUTCOME_KIND_MERGED: OutcomeKind.MERGED,
    pb.OUTCOME_KIND_SUPERSEDED: OutcomeKind.SUPERSEDED,
    pb.OUTCOME_KIND_REJECTED: OutcomeKind.REJECTED,
    pb.OUTCOME_KIND_COALESCED: OutcomeKind.COALESCED,
    pb.OUTCOME_KIND_LOST: OutcomeKind.LOST,
}


# -- to the door -------------------------------------------------------------------------------


def level_to(level: Level | str | None) -> pb.Level.ValueType:
    """Zero for None. Raises InvalidArgument for a name that is no level."""
    if level is None:
        return pb.LEVEL_UNSPECIFIED
    try:
        return _LEVELS[Level(level)]
    except ValueError:
        known = ", ".join(Level)
        raise InvalidArgument("UNKNOWN_ENUM_VALUE", f"levels are {known}, not {level!r}") from None


def actor_to(actor: Actor) -> pb.Actor:
    """Raises InvalidArgument for a name that cannot be sent."""
    return pb.Actor(id=values.encodable(actor.id), kind=_KINDS[actor.kind])


def context_to(context: Context) -> pb.Context:
    """What was seen, to be passed on with a write."""
    seen = [pb.Seen(origin=origin, seq=seq) for origin, seq in context.seen]
    return pb.Context(epoch=context.epoch, base=context.base, seen=seen)


def position_to(position: Position) -> pb.Position:
    """A place in a history."""
    return pb.Position(epoch=position.epoch, space=position.space, revision=position.revision)


def op_id_to(op_id: OpId) -> pb.OpId:
    """The name of a commit, as far as it is known."""
    return pb.OpId(origin=op_id.origin, space=op_id.space, seq=op_id.seq, commit_id=op_id.commit_id)


def op_to(op: Op) -> pb.Op:
    """Raises InvalidArgument for a value, name or number that cannot be sent."""
    _, collection, key = record_path(values.encodable(op.path))
    message = pb.Op(collection=collection, key=key)
    if isinstance(op, Put):
        message.put.json = values.encode(op.value)
    elif isinstance(op, Patch):
        message.patch.json = values.encode(op.set)
        message.patch.remove.extend(map(values.encodable, op.remove))
    elif isinstance(op, Delete):
        message.delete.SetInParent()
    elif isinstance(op, Splice):
        message.splice.field = values.encodable(op.field)
        message.splice.runs.extend(map(_run_to, op.runs))
    elif isinstance(op, Add):
        _add_to(op, message.add)
    else:
        _set_to(op, message.set_add if isinstance(op, SetAdd) else message.set_remove)
    return message


def _set_to(op: SetAdd | SetRemove, message: pb.SetAddOp | pb.SetRemoveOp) -> None:
    message.field = values.encodable(op.field)
    message.elements.extend(values.encode_field(element) for element in op.elements)


def _run_to(run: Run) -> pb.SpliceRun:
    if isinstance(run, str):
        return pb.SpliceRun(insert=values.encodable(run))
    if not isinstance(run, int):
        return pb.SpliceRun(elements=values.encode_field(list(run)))
    if not -(2**63) <= run < 2**63:
        raise InvalidArgument("NUMBER_TOO_LONG", "a run of a splice is longer than any document")
    return pb.SpliceRun(retain=run) if run >= 0 else pb.SpliceRun(delete=-run)


def _run_from(message: pb.SpliceRun) -> Run:
    match message.WhichOneof("run"):
        case "insert":
            return message.insert
        case "elements":
            said = values.decode(f'{{"": {message.elements}}}')[""]
            assert isinstance(said, list), "doors send arrays"
            return said
        case "delete":
            return -message.delete
        case _:
            return message.retain


def _add_to(op: Add, message: pb.AddOp) -> None:
    message.SetInParent()
    for name, delta in op.deltas.items():
        if type(delta) is not int:
            raise InvalidArgument("NOT_AN_INTEGER", f"{name}: {delta!r}")
        if not -(2**63) <= delta < 2**63:
            raise InvalidArgument("NUMBER_TOO_LONG", f"{name}: one addition has 64 bits, not more")
        message.deltas[values.encodable(name)] = delta


def version_to(version: Version) -> pb.Version:
    """Which state of a record."""
    return pb.Version(
        epoch=version.epoch,
        revision=version.revision,
        origin=version.origin,
        seq=version.seq,
        pending=version.pending,
    )


def expect_to(expect: Expect) -> pb.Precondition:
    """Raises InvalidArgument for a path that is none."""
    _, collection, key = record_path(values.encodable(expect.path))
    message = pb.Precondition(collection=collection, key=key)
    if expect.version is not None:
        message.version.CopyFrom(version_to(expect.version))
    elif expect.authority is not None:
        message.authority = _token(expect.authority)
    else:
        message.exists = bool(expect.exists)
    return message


def _token(number: int) -> int:
    if not 0 < number < 1 << 53:
        raise InvalidArgument("MALFORMED_REQUEST", f"a token is a positive number, not {number}")
    return number


# -- from the door -----------------------------------------------------------------------------


def actor_from(message: pb.Actor) -> Actor:
    """A kind that is new to this client is a program's."""
    return Actor(message.id, _KINDS_BACK.get(message.kind, ActorKind.SYSTEM))


def context_from(message: pb.Context) -> Context:
    """What an answer says that it has seen."""
    seen = tuple((entry.origin, entry.seq) for entry in message.seen)
    return Context(message.epoch, message.base, seen)


def position_from(message: pb.Position) -> Position:
    """A place in a history."""
    return Position(message.epoch, message.space, message.revision)


def version_from(message: pb.Version) -> Version:
    """Which state of a record."""
    return Version(message.epoch, message.revision, message.origin, message.seq, message.pending)


def op_id_from(message: pb.OpId) -> OpId:
    """The whole name of a commit."""
    return OpId(message.space, message.commit_id, message.origin, message.seq)


def outcome_from(message: pb.Outcome) -> Outcome:
    """A kind that is new to this client is unknown to it; the reason stands beside it."""
    return Outcome(
        op_id_from(message.op_id),
        _OUTCOMES.get(message.kind, OutcomeKind.UNKNOWN),
        position_from(message.position) if message.HasField("position") else None,
        message.reason,
        op_id_from(message.by) if message.HasField("by") else None,
    )


def answer_from(message: state.Answer) -> Answer:
    """What an answer says of itself, without its token."""
    return Answer(
        level=_LEVELS_BACK.get(message.level),
        position=position_from(message.position) if message.HasField("position") else None,
        staleness_ms=message.staleness_ms if message.HasField("staleness_ms") else None,
        includes_pending=message.includes_pending,
        context=context_from(message.context) if message.HasField("context") else None,
        new_session=message.new_session,
    )


def record_from(
    space: str, message: pb.Record, context: Context | None, answer: Answer | None = None
) -> Record:
    """One record; its context is that of the answer or the event that it came in."""
    return Record(
        path=f"{space}/{message.collection}/{message.key}",
        json=message.json,
        version=version_from(message.version),
        actor=actor_from(message.actor),
        deleted=message.deleted,
        stamp=message.stamp,
        context=context,
        answer=answer,
    )


def records_from(
    space: str, messages: Iterable[pb.Record], answer: state.Answer
) -> tuple[Record, ...]:
    """The records of one answer, which share what it says of itself."""
    said = answer_from(answer)
    return tuple(record_from(space, message, said.context, said) for message in messages)


def event_from(space: str, message: state.WatchResponse) -> Event | None:
    """What a watch tells; None for a kind of event that is new to this client."""
    kind = message.WhichOneof("event")
    if kind == "bookmark":
        return Bookmark(position_from(message.bookmark.position), message.resume_token)
    if kind is None:
        return None
    event = message.commit
    return CommitEvent(
        changes=tuple(_change_from(space, change, event.outcome) for change in event.changes),
        outcome=outcome_from(event.outcome),
        actor=actor_from(event.actor),
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        resume_token=message.resume_token,
    )


def _change_from(space: str, message: state.Change, outcome: pb.Outcome) -> Change:
    return Change(
        record_from(space, message.record, _context_after(message.record.version, outcome)),
        message.previous_revision,
        message.omitted,
    )


def _context_after(version: pb.Version, outcome: pb.Outcome) -> Context:
    """What somebody has seen who saw a record as this commit left it."""
    if version.pending:
        seen = ((version.origin, version.seq),)
        return Context(version.epoch, version.revision, seen)
    if outcome.HasField("position"):
        return Context(outcome.position.epoch, outcome.position.revision)
    return Context(version.epoch, version.revision)


def history_from(space: str, message: state.HistoryEntry) -> HistoryEntry:
    """One commit in a record's history; operations new to this client are left out."""
    return HistoryEntry(
        outcome=outcome_from(message.outcome),
        actor=actor_from(message.actor),
        stamp=message.stamp,
        claimed=message.claimed,
        ops=tuple(op for item in message.ops if (op := op_from(space, item)) is not None),
        previous_revision=message.previous_revision,
        correlation_id=message.correlation_id,
        causation_id=message.causation_id,
    )


def _elements(message: pb.SetAddOp | pb.SetRemoveOp) -> tuple[Any, ...]:
    return tuple(values.decode_any(text) for text in message.elements)


def op_from(space: str, message: pb.Op) -> Op | None:
    """The operation; None for one that is new to this client."""
    path = f"{space}/{message.collection}/{message.key}"
    match message.WhichOneof("action"):
        case "put":
            return Put(path, values.decode(message.put.json))
        case "patch":
            sets = values.decode(message.patch.json) if message.patch.json else {}
            return Patch(path, sets, tuple(message.patch.remove))
        case "delete":
            return Delete(path)
        case "add":
            return Add(path, dict(message.add.deltas))
        case "set_add":
            return SetAdd(path, message.set_add.field, _elements(message.set_add))
        case "set_remove":
            return SetRemove(path, message.set_remove.field, _elements(message.set_remove))
        case "splice":
            return Splice(path, message.splice.field, tuple(map(_run_from, message.splice.runs)))
        case _:
            return None
