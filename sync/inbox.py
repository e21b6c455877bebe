"""The inbox: conflicts that wait for a person, as records of their space.

What waits is a record in a reserved collection beside that of the record in conflict, so it comes
to the edges that replicate that one, is read and watched there without a network, and counts in
digests as everything else does. An answer is a commit: what it writes to the record in conflict,
and a word in the inbox, both or neither. It is conditional on the record still being as the
conflict left it, or as whoever answers has seen it; if it is not, the answer is refused like any
commit whose precondition is false, and nothing is written over unseen.

States go round: `open` (a person must answer) becomes `resolved`, and undoing that opens it again;
`auto` (a rule has answered) becomes `undone`, and undoing that makes it `auto` again.

Invariant: an entry says all that its answer needs, so that it can be given offline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sync import values
from sync.apply import names_of
from sync.canonical_json import InvalidValue
from sync.commit import Actor, ActorKind, Kind, Precondition, Version
from sync.names import inbox_of
from sync.policy import RESERVED_PREFIX
from sync.reduce import Add, Delete, Patch, Put, Request, SetAdd, SetRemove

MAX_NOTE_CHARS = 1_000
"""What a person has to say of an answer: a paragraph."""


class State(StrEnum):
    """Where a conflict stands."""

    OPEN = "open"
    RESOLVED = "resolved"
    AUTO = "auto"
    UNDONE = "undone"


class Choice(StrEnum):
    """What shall stand."""

    OURS = "ours"
    """What the hub had."""
    THEIRS = "theirs"
    """What came."""
    VALUE = "value"
    """Something else, which is given."""


UNDOING = {
    State.RESOLVED: State.OPEN,
    State.AUTO: State.UNDONE,
    State.UNDONE: State.AUTO,
}
"""What undoing makes of a state; nothing has been done about an open one."""


class CannotAnswer(ValueError):
    """An answer that this conflict cannot be given; `reason` is of the table of reasons."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Side:
    """One of two versions. A value of None: there is nothing, or it is to be removed. `actor` is
    None where nobody knows it any more."""

    origin: bytes
    seq: int
    stamp: int
    claimed: int
    actor: Actor | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said. `wrote` tells whether the record in conflict was written by it."""

    choice: Choice
    wrote: bool
    actor: Actor
    note: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One conflict. `op` is the kind of operation that the value of `theirs` is the payload of
    where a whole record is meant (`field` is empty); `epoch` and `left` say which version the
    conflict left of the record, `left` being zero where there is none. `base` is the value that the
    author of `theirs` had seen, None where that is not known. `abridged`: the values are too large
    to be carried here, the hub has them."""

    id: bytes
    collection: str
    key: str
    field: str
    kind: str
    algorithm: str
    winner: str
    reason: str
    state: State
    revision: int
    epoch: int
    left: int
    op: int
    ours: Side | None
    theirs: Side
    base: bytes | None = None
    clock_suspect: bool = False
    abridged: bool = False
    answer: Answer | None = None

    @property
    def stands(self) -> Choice:
        """What stands if nobody has answered, or the answer was undone."""
        return Choice(self.winner)

    @property
    def lost(self) -> Choice:
        return Choice.OURS if self.winner == Choice.THEIRS else Choice.THEIRS


# -- answering -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answering:
    """An answer as a commit: what it writes, and on what condition."""

    requests: tuple[Request, ...]
    preconditions: tuple[Precondition, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What whoever answers had before his eyes: the version of the inbox's entry (None: it is in
    the log of conflicts only), and of the record in conflict if it is not as the conflict left it
    (`record` None and `record_seen`: it is absent)."""

    entry: Version | None
    record: Version | None = None
    record_seen: bool = False


def resolve(
    entry: Entry, seen: Seen, choice: Choice, value: bytes | None, actor: Actor, note: str = ""
) -> Answering:
    """Says what shall stand of an open conflict, or of one that was resolved otherwise.

    `value` is what shall stand where `choice` is VALUE: a JSON value for a field, an object for a
    record; None removes it. Raises CannotAnswer, InvalidValue.
    """
    if entry.state not in (State.OPEN, State.RESOLVED):
        raise CannotAnswer(
            "CONFLICT_DECIDED", "a rule has decided this conflict, and nothing waits: undo it"
        )
    return _answering(entry, seen, State.RESOLVED, choice, value, actor, note)


def undo(entry: Entry, seen: Seen, actor: Actor, note: str = "") -> Answering:
    """Puts back what lost, or, of what a person did, what stood before. Raises CannotAnswer."""
    state = UNDOING.get(entry.state)
    if state is None:
        raise CannotAnswer("CONFLICT_OPEN", "nobody has decided this conflict yet: resolve it")
    choice = entry.lost if state is State.UNDONE else entry.stands
    if state is State.OPEN and entry.answer is not None and not entry.answer.wrote:
        return _noted(entry, seen, state, Answer(choice, False, actor, note), ())
    return _answering(entry, seen, state, choice, None, actor, note)


def _answering(
    entry: Entry, seen: Seen, state: State, choice: Choice, value: bytes | None, actor: Actor,
    note: str,
) -> Answering:  # fmt: skip
    if len(note) > MAX_NOTE_CHARS:
        raise CannotAnswer("MALFORMED_REQUEST", f"note: at most {MAX_NOTE_CHARS} characters")
    untouched = entry.state is State.OPEN and choice == entry.stands and not entry.field
    writes = () if untouched else _writes(entry, choice, value)
    return _noted(entry, seen, state, Answer(choice, bool(writes), actor, note), writes)


def _writes(entry: Entry, choice: Choice, value: bytes | None) -> tuple[Request, ...]:
    name = (entry.collection, entry.key)
    if entry.collection.startswith(RESERVED_PREFIX):
        raise CannotAnswer("RESERVED_COLLECTION", "the system's own records are not written so")
    if choice is not Choice.VALUE:
        if entry.abridged:
            raise CannotAnswer("CONFLICT_ABRIDGED", "its values are too large to be carried here")
        side = entry.ours if choice is Choice.OURS else entry.theirs
        value = side.value if side is not None else None
    if entry.field:
        if value is None:
            return (Patch(*name, b"{}", (entry.field,)),)
        return (Patch(*name, values.join({entry.field: value})),)
    if choice is Choice.THEIRS:
        return (_as_asked(name, Kind(entry.op), value),)
    if value is None:
        return (Delete(*name),)
    values.fields(value)  # an object, or it is refused
    return (Put(*name, value),)


def _as_asked(name: tuple[str, str], kind: Kind, payload: bytes | None) -> Request:
    """The operation that lost, as its author meant it."""
    if payload is None or kind is Kind.DELETE:
        return Delete(*name)
    match kind:
        case Kind.CREATE | Kind.REPLACE:
            return Put(*name, payload)
        case Kind.PATCH:
            return Patch(*name, payload)
        case Kind.REMOVE:
            return Patch(*name, b"{}", tuple(names_of(payload)))
        case Kind.ADD | Kind.ADD_CREATE:
            return Add(*name, payload)
        case Kind.SET_ADD | Kind.SET_ADD_CREATE:
            return SetAdd(*name, payload)
        case Kind.SET_REMOVE:
            return SetRemove(*name, payload)
        case Kind.MAX | Kind.MAX_CREATE | Kind.MIN | Kind.MIN_CREATE:
            return Patch(*name, payload)
        case _:
            raise CannotAnswer(
                "CHOICE_IMPOSSIBLE", f"an operation of the kind {kind.name} cannot be done again"
            )


def _noted(
    entry: Entry, seen: Seen, state: State, answer: Answer, writes: tuple[Request, ...]
) -> Answering:
    """Both parts of an answer, with what must still be true."""
    inbox, key = inbox_of(entry.collection), entry.id.hex()
    said = {"state": _text(state), "answer": answer_text(answer)}
    if seen.entry is None:
        mark: Request = Put(inbox, key, encode(replace(entry, state=state, answer=answer)))
        at_entry = Precondition(inbox, key, exists=False)
    else:
        mark = Patch(inbox, key, values.join(said))
        at_entry = Precondition(inbox, key, version=seen.entry)
    at_record = _condition(entry, seen)
    return Answering((*writes, mark), (at_record, at_entry))


def _condition(entry: Entry, seen: Seen) -> Precondition:
    """That the record is as it was seen; by default as the conflict, or the last answer, left it.

    An answer writes the record and the entry at one place in the history, so the entry's version
    tells that of the record.
    """
    name = (entry.collection, entry.key)
    version = Version(entry.epoch, entry.left) if entry.left else None
    if seen.record_seen:
        version = seen.record
    elif entry.answer is not None and entry.answer.wrote and seen.entry is not None:
        version = seen.entry
    if version is None:
        return Precondition(*name, exists=False)
    return Precondition(*name, version=version)


# -- as a record ---------------------------------------------------------------------------------


def encode(entry: Entry) -> bytes:
    """The record of an entry, canonical. Values that make it too large or too deep are left out."""
    try:
        return values.join(_members(entry))
    except InvalidValue:
        return values.join(_members(_without_values(entry)))


def decode(key: str, value: bytes) -> Entry:
    """The entry of a record in the inbox.

    Raises InvalidValue, ValueError or KeyError for a record that no hub has written.
    """
    members = values.fields(value)
    plain = json.loads(values.join({n: t for n, t in members.items() if n in _PLAIN}))
    return Entry(
        id=bytes.fromhex(key),
        state=State(json.loads(members["state"])),
        ours=_side_of(members["ours"]) if "ours" in members else None,
        theirs=_side_of(members["theirs"]),
        base=members.get("base"),
        answer=_answer_of(members["answer"]) if "answer" in members else None,
        **plain,
    )


def answer_of(sets: bytes) -> tuple[State, bytes] | None:
    """State and answer that a patch of an entry says, None if it is no answer.

    Whoever may answer writes these two members and no other.
    """
    try:
        members = values.fields(sets)
        if members.keys() != {"state", "answer"}:
            return None
        _answer_of(members["answer"])
        return State(json.loads(members["state"])), members["answer"]
    except (InvalidValue, ValueError, KeyError, TypeError):
        return None


_PLAIN = frozenset(
    {"collection", "key", "field", "kind", "algorithm", "winner", "reason", "revision", "epoch"}
    | {"left", "op", "clock_suspect", "abridged"}
)
"""Members that stand in an entry as they stand in its record."""


def _members(entry: Entry) -> dict[str, bytes]:
    members = {name: _text(getattr(entry, name)) for name in _PLAIN}
    members["state"] = _text(entry.state)
    members["theirs"] = _side_text(entry.theirs)
    if entry.ours is not None:
        members["ours"] = _side_text(entry.ours)
    if entry.base is not None:
        members["base"] = entry.base
    if entry.answer is not None:
        members["answer"] = answer_text(entry.answer)
    return members


def _without_values(entry: Entry) -> Entry:
    ours = None if entry.ours is None else replace(entry.ours, value=None)
    theirs = replace(entry.theirs, value=None)
    return replace(entry, ours=ours, theirs=theirs, base=None, abridged=True)


def _side_text(side: Side) -> bytes:
    members = {
        "origin": _text(side.origin.hex()),
        "seq": _text(side.seq),
        "stamp": _text(side.stamp),
        "claimed": _text(side.claimed),
    }
    if side.actor is not None:
        members["actor"] = _actor_text(side.actor)
    if side.value is not None:
        members["value"] = side.value
    return values.join(members)


def _side_of(text: bytes) -> Side:
    members = values.fields(text)
    return Side(
        origin=bytes.fromhex(json.loads(members["origin"])),
        seq=json.loads(members["seq"]),
        stamp=json.loads(members["stamp"]),
        claimed=json.loads(members["claimed"]),
        actor=_actor_of(json.loads(members["actor"])) if "actor" in members else None,
        value=members.get("value"),
    )


def part_of(value: bytes | None, field: str) -> bytes | None:
    """The field of a record's value, or all of it; None if it is not there."""
    if value is None or not field:
        return value
    return values.fields(value).get(field)


def answer_text(answer: Answer) -> bytes:
    """What a person said, as it stands in an entry."""
    return values.join(
        {
            "choice": _text(answer.choice),
            "wrote": _text(answer.wrote),
            "actor": _actor_text(answer.actor),
            "note": _text(answer.note),
        }
    )


def _answer_of(text: bytes) -> Answer:
    said = json.loads(text)
    note, wrote = said["note"], said["wrote"]
    if not isinstance(note, str) or type(wrote) is not bool or len(note) > MAX_NOTE_CHARS:
        raise ValueError("an answer that no door has made")
    return Answer(Choice(said["choice"]), wrote, _actor_of(said["actor"]), note)


def answer_from(text: bytes) -> Answer:
    """What a person said, from the log of conflicts."""
    return _answer_of(text)


def _actor_text(actor: Actor) -> bytes:
    return values.join({"id": _text(actor.id), "kind": _text(int(actor.kind))})


def _actor_of(said: Mapping[str, object]) -> Actor:
    name, kind = said["id"], said["kind"]
    if not isinstance(name, str):
        raise TypeError("an actor that no door has made")
    return Actor(name, ActorKind(int(str(kind))))


def _text(plain: str | int | bool) -> bytes:
    """One canonical value."""
    return values.canonical(json.dumps({"v": plain}, ensure_ascii=False))[5:-1]


def any_value(text: str) -> bytes:
    """One JSON value of any kind, canonical. Raises InvalidValue."""
    members = values.fields(values.canonical('{"v":' + text + "}"))
    if members.keys() != {"v"}:
        raise InvalidValue("INVALID_JSON", "one JSON value, and nothing beside it")
    return members["v"]
