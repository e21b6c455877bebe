"""What agents ask at a door, and what they are answered; the same at every door.

Requests become checked values here, so that what stands behind a door never
sees protobuf; every error has a reason of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from holdfast.v1 import record_pb2, state_service_pb2
from sync import members, names, splices, values
from sync.apply import names_of
from sync.canonical_json import canonical_value
from sync.codec.blocks import precondition_from
from sync.commit import Actor, ActorKind, Kind, Op, OpId, Outcome, Precondition
from sync.consistency import Bound, ReadLevel
from sync.levels import MAX_BOUND, NO_WRITE_BOUND, Level, WriteBound
from sync.position import ID_BYTES, MAX_NUMBER, Position
from sync.reduce import Add, Delete, Patch, Put, Request, SetAdd, SetRemove, SpliceFields
from sync.transform import Run, Splice, SpliceMismatch, splice

MAX_OPS = 1_000
"""Operations of a commit: one message, one page of a log."""

MAX_PRECONDITIONS = 100
"""Each is a look-up under the lock of the head."""


class BadRequest(ValueError):
    """A request that cannot be accepted as it is; `reason` is of the table."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


MAX_TOLD_TOKEN_BYTES = 800
"""A session token that fits into the trailers of a refusal; a longer one is left out, and what was
seen of an absent record is then not carried on."""

ReadRequest = (
    state_service_pb2.GetRequest | state_service_pb2.BatchGetRequest | state_service_pb2.ListRequest
)


@dataclass(frozen=True, slots=True)
class Context:
    """What an author says it had seen: a position, and undecided commits by origin."""

    base: Position
    seen: tuple[tuple[bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """A commit as an agent asks for it, checked. `commit_id` is empty if the door chooses, `level`
    None if the policy does."""

    space: str
    requests: tuple[Request, ...]
    actor: Actor
    preconditions: tuple[Precondition, ...] = ()
    commit_id: bytes = b""
    correlation_id: str = ""
    causation_id: bytes = b""
    context: Context | None = None
    session_token: bytes = b""
    level: Level | None = None
    bound: WriteBound = NO_WRITE_BOUND


def commit_from(message: state_service_pb2.CommitRequest) -> CommitRequest:
    """A checked commit. Raises BadRequest, InvalidName, InvalidValue, MalformedBatch."""
    if not message.ops:
        raise BadRequest("NO_OPS", "a commit has at least one operation")
    if len(message.ops) > MAX_OPS:
        raise BadRequest("TOO_MANY_OPS", f"a commit has at most {MAX_OPS} operations")
    if len(message.preconditions) > MAX_PRECONDITIONS:
        text = f"a commit has at most {MAX_PRECONDITIONS} preconditions"
        raise BadRequest("TOO_MANY_PRECONDITIONS", text)
    if len(message.correlation_id) > names.MAX_CORRELATION_CHARS:
        raise BadRequest("INVALID_NAME", "a correlation id has at most 128 characters")
    space = names.check_space(message.space)
    context = context_from(space, message.context) if message.HasField("context") else None
    return CommitRequest(
        space=space,
        requests=tuple(_request_from(op) for op in message.ops),
        actor=actor_from(message.actor),
        preconditions=tuple(_precondition_from(p) for p in message.preconditions),
        commit_id=_optional_id("commit_id", message.commit_id),
        correlation_id=message.correlation_id,
        causation_id=_optional_id("causation_id", message.causation_id),
        context=context,
        session_token=message.session_token,
        level=level_from(message.level),
        bound=bound_from(message.bound),
    )


def level_from(level: int) -> Level | None:
    """The level that a request asks for; None if it names none. Raises BadRequest."""
    if level == record_pb2.LEVEL_UNSPECIFIED:
        return None
    try:
        return Level(level)
    except ValueError:
        raise BadRequest("UNKNOWN_ENUM_VALUE", f"level {level} is not known") from None


def bound_from(message: state_service_pb2.WriteBound) -> WriteBound:
    """The bound of a bounded write; empty if it names none. Raises BadRequest."""
    bound = WriteBound(message.max_pending, message.max_age_ms)
    if max(bound.max_pending, bound.max_age_ms) > MAX_BOUND:
        raise BadRequest("MALFORMED_REQUEST", f"bound: at most {MAX_BOUND}")
    return bound


def read_level_from(message: ReadRequest) -> ReadLevel:
    """The level that a read asks for, and its bound. Raises BadRequest."""
    level = level_from(message.level)
    given = message.bound
    if level is not Level.BOUNDED and message.HasField("bound"):
        raise BadRequest("MALFORMED_REQUEST", "bound: it belongs to level bounded")
    if max(given.max_staleness_ms, given.max_behind) > MAX_BOUND:
        raise BadRequest("MALFORMED_REQUEST", f"bound: at most {MAX_BOUND}")
    bound = Bound(
        given.max_staleness_ms if given.HasField("max_staleness_ms") else None,
        given.max_behind if given.HasField("max_behind") else None,
    )
    return ReadLevel(level, bound, given.local_only)


def actor_from(message: record_pb2.Actor) -> Actor:
    """Who writes. Raises BadRequest, InvalidName."""
    name = names.check_actor(message.id)
    try:
        return Actor(name, ActorKind(message.kind))
    except ValueError:
        text = "actor.kind: one of ROBOT, HUMAN, AI, SYSTEM"
        raise BadRequest("UNKNOWN_ENUM_VALUE", text) from None


def context_from(space: str, message: record_pb2.Context) -> Context:
    """What an author had seen. Raises BadRequest."""
    seen = tuple(
        (_id("context.seen.origin", s.origin), _number("context.seen.seq", s.seq))
        for s in message.seen
    )
    _number("context.epoch", message.epoch)
    _number("context.base", message.base)
    return Context(Position(message.epoch, space, message.base), seen)


def _request_from(op: record_pb2.Op) -> Request:
    collection, key = names.check_collection(op.collection), names.check_key(op.key)
    which = op.WhichOneof("action")
    if which == "put":
        return Put(collection, key, values.canonical(op.put.json))
    if which == "patch":
        removes = tuple(dict.fromkeys(op.patch.remove))
        return Patch(collection, key, values.canonical(op.patch.json or "{}"), removes)
    if which == "delete":
        return Delete(collection, key)
    if which == "add":
        if not op.add.deltas:
            raise BadRequest("MALFORMED_REQUEST", "add.deltas: at least one field")
        return Add(collection, key, values.canonical(orjson.dumps(dict(op.add.deltas))))
    if which == "splice":
        return SpliceFields(collection, key, ((op.splice.field, _splice_from(op.splice)),))
    if which == "set_add":
        return SetAdd(collection, key, _elements(op.set_add))
    if which == "set_remove":
        return SetRemove(collection, key, _elements(op.set_remove))
    if which is None:
        raise BadRequest("MALFORMED_REQUEST", f"the operation on {collection}/{key} does nothing")
    raise BadRequest("OP_NOT_IMPLEMENTED", f"{which} is not implemented in this version")


def _elements(message: record_pb2.SetAddOp | record_pb2.SetRemoveOp) -> bytes:
    """The elements of an operation on a set, as field -> array of their texts."""
    if not message.elements:
        raise BadRequest("MALFORMED_REQUEST", "elements: at least one JSON value")
    texts = [canonical_value(text) for text in message.elements]
    return values.join({message.field: members.array(sorted(set(texts)))})


def _splice_from(message: record_pb2.SpliceOp) -> Splice:
    try:
        edit = splice(_run_from(run) for run in message.runs)
    except SpliceMismatch as error:
        raise BadRequest(error.reason, str(error)) from error
    if not edit.changes:
        raise BadRequest("MALFORMED_REQUEST", "splice.runs: it inserts and deletes nothing")
    return edit


def _run_from(message: record_pb2.SpliceRun) -> Run:
    which = message.WhichOneof("run")
    if which == "insert":
        return message.insert
    if which == "elements":
        array = values.fields(values.canonical(f'{{"":{message.elements}}}'))[""]
        if array[:1] != b"[":
            raise BadRequest("MALFORMED_REQUEST", "splice.runs.elements: a JSON array")
        return splices.elements(array)
    if which is None:
        raise BadRequest("MALFORMED_REQUEST", "splice.runs: a run that does nothing")
    count = message.retain if which == "retain" else message.delete
    _number("splice.runs", count)
    return count if which == "retain" else -count


def _precondition_from(message: record_pb2.Precondition) -> Precondition:
    names.check_collection(message.collection)
    names.check_key(message.key)
    if message.WhichOneof("condition") is None:
        raise BadRequest("MALFORMED_REQUEST", "a precondition needs version, exists or authority")
    _optional_id("version.origin", message.version.origin)
    for number in (message.version.epoch, message.version.revision, message.version.seq):
        _number("version", number)
    _number("authority", message.authority)
    return precondition_from(message)


def _optional_id(name: str, value: bytes) -> bytes:
    return _id(name, value) if value else b""


def _id(name: str, value: bytes) -> bytes:
    if len(value) != ID_BYTES:
        raise BadRequest("MALFORMED_REQUEST", f"{name}: {ID_BYTES} bytes, not {len(value)}")
    return value


def _number(name: str, value: int) -> int:
    if value > MAX_NUMBER:
        raise BadRequest("MALFORMED_REQUEST", f"{name}: at most {MAX_NUMBER}, not {value}")
    return value


# -- answers -----------------------------------------------------------------


def position_to(position: Position) -> record_pb2.Position:
    """A position as it travels."""
    return record_pb2.Position(
        epoch=position.epoch, space=position.space, revision=position.revision
    )


def actor_to(actor: Actor) -> record_pb2.Actor:
    """An actor as it travels."""
    return record_pb2.Actor(id=actor.id, kind=int(actor.kind))  # type: ignore[arg-type]


def op_id_to(space: str, op_id: OpId) -> record_pb2.OpId:
    """The name of a commit as it travels."""
    return record_pb2.OpId(
        origin=op_id.origin, space=space, seq=op_id.seq, commit_id=op_id.commit_id
    )


def op_id_from(message: record_pb2.OpId) -> OpId:
    """The name of a commit: origin and seq, or the commit id alone. Raises BadRequest."""
    if not message.origin and not message.commit_id:
        raise BadRequest("MALFORMED_REQUEST", "op_ids: origin and seq, or the commit id")
    return OpId(
        _optional_id("op_ids.origin", message.origin),
        _number("op_ids.seq", message.seq),
        _optional_id("op_ids.commit_id", message.commit_id),
    )


def outcome_to(
    space: str, op_id: OpId, outcome: Outcome, position: Position | None
) -> record_pb2.Outcome:
    """An outcome as it travels; without a position while it is pending."""
    message = record_pb2.Outcome(
        op_id=op_id_to(space, op_id),
        kind=int(outcome.kind),  # type: ignore[arg-type]
        reason=outcome.reason,
    )
    if position is not None:
        message.position.CopyFrom(position_to(position))
    if outcome.by_origin:
        message.by.CopyFrom(
            record_pb2.OpId(origin=outcome.by_origin, space=space, seq=outcome.by_seq)
        )
    return message


def context_to(epoch: int, base: int, seen: Iterable[tuple[bytes, int]]) -> record_pb2.Context:
    """A context as it travels."""
    return record_pb2.Context(
        epoch=epoch,
        base=base,
        seen=[record_pb2.Seen(origin=origin, seq=seq) for origin, seq in seen],
    )


def ops_to(ops: Sequence[Op]) -> list[record_pb2.Op]:
    """Reduced operations as people and programs read them; those without effect are left out."""
    shown: list[record_pb2.Op] = []
    for op in ops:
        if op.kind in (Kind.SET_ADD, Kind.SET_ADD_CREATE, Kind.SET_REMOVE):
            shown += _set_ops_to(op)
        elif op.kind in (Kind.SPLICE, Kind.SPLICE_CREATE):
            shown += _splices_to(op)
        elif op.kind != Kind.NONE:
            shown.append(_op_to(op))
    return shown


def _set_ops_to(op: Op) -> list[record_pb2.Op]:
    """One operation for each set, since the interface has one field in each."""
    shown = []
    for name, array in values.fields(op.payload).items():
        message = record_pb2.Op(collection=op.collection, key=op.key)
        action = message.set_remove if op.kind == Kind.SET_REMOVE else message.set_add
        action.field = name
        action.elements.extend(text.decode() for text in members.elements(array))
        shown.append(message)
    return shown


def _splices_to(op: Op) -> list[record_pb2.Op]:
    return [
        record_pb2.Op(
            collection=op.collection,
            key=op.key,
            splice=record_pb2.SpliceOp(field=name, runs=map(_run_to, edit.runs)),
        )
        for name, edit in splices.decode(op.payload).items()
    ]


def _run_to(run: Run) -> record_pb2.SpliceRun:
    if isinstance(run, str):
        return record_pb2.SpliceRun(insert=run)
    if isinstance(run, tuple):
        return record_pb2.SpliceRun(elements=splices.text_of(run).decode())
    if run > 0:
        return record_pb2.SpliceRun(retain=run)
    return record_pb2.SpliceRun(delete=-run)


def _op_to(op: Op) -> record_pb2.Op:
    message = record_pb2.Op(collection=op.collection, key=op.key)
    if op.kind in (Kind.CREATE, Kind.REPLACE, Kind.PUT):
        message.put.json = op.payload.decode()
    elif op.kind in (Kind.PATCH, Kind.MAX, Kind.MAX_CREATE, Kind.MIN, Kind.MIN_CREATE):
        message.patch.json = op.payload.decode()
    elif op.kind == Kind.REMOVE:
        message.patch.json = "{}"
        message.patch.remove.extend(names_of(op.payload))
    elif op.kind == Kind.DELETE:
        message.delete.SetInParent()
    else:
        for name, delta in orjson.loads(op.payload).items():
            message.add.deltas[name] = delta
    return message


def absence(answer: state_service_pb2.Answer) -> dict[str, str]:
    """What an answer says of itself, for one that a record is absent: that has no other place."""
    said = {
        "epoch": str(answer.position.epoch),
        "revision": str(answer.position.revision),
        "level": record_pb2.Level.Name(answer.level),
        "includes_pending": str(answer.includes_pending).lower(),
    }
    if answer.HasField("staleness_ms"):
        said["staleness_ms"] = str(answer.staleness_ms)
    if len(answer.session_token) <= MAX_TOLD_TOKEN_BYTES:
        said["session_token"] = answer.session_token.hex()
    return said
