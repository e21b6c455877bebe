"""What a person says of a conflict, as a commit: what it writes to the record, and a word in the
inbox, both or neither.

It is conditional on the record still being as the conflict left it, or as whoever answers has seen
it; if it is not, the answer is refused like any commit whose precondition is false, and nothing is
written over unseen.

Invariant: an answer is made of its entry alone, so that it can be given offline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sync import values
from sync.apply import names_of
from sync.commit import Actor, Kind, Precondition, Version
from sync.inbox import (
    MAX_NOTE_CHARS,
    UNDOING,
    Answer,
    CannotAnswer,
    Choice,
    Entry,
    State,
    encode,
    word,
)
from sync.names import inbox_of
from sync.policy import RESERVED_PREFIX
from sync.reduce import Add, Delete, Patch, Put, Request, SetAdd, SetRemove
from sync.refused import operations


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
        value = _value_of(entry, choice)
    if entry.field:
        if value is None:
            return (Patch(*name, b"{}", (entry.field,)),)
        return (Patch(*name, values.join({entry.field: value})),)
    if choice is Choice.THEIRS:
        return _as_asked(name, Kind(entry.op), value)
    if value is None:
        return (Delete(*name),)
    values.fields(value)  # an object, or it is refused
    return (Put(*name, value),)


def _value_of(entry: Entry, choice: Choice) -> bytes | None:
    if choice is Choice.MERGED:
        if entry.winner != Choice.MERGED:
            raise CannotAnswer("CHOICE_IMPOSSIBLE", "the rule has merged nothing, it has chosen")
        return entry.result
    side = entry.ours if choice is Choice.OURS else entry.theirs
    return side.value if side is not None else None


def _as_asked(name: tuple[str, str], kind: Kind, payload: bytes | None) -> tuple[Request, ...]:
    """What lost, as its author meant it."""
    if kind is Kind.NONE and payload is not None:
        return tuple(_request(name, *one) for one in operations(payload))
    return (_request(name, kind, payload),)


def _request(name: tuple[str, str], kind: Kind, payload: bytes | None) -> Request:
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
    if seen.entry is None:
        mark: Request = Put(inbox, key, encode(replace(entry, state=state, answer=answer)))
        at_entry = Precondition(inbox, key, exists=False)
    else:
        mark = Patch(inbox, key, word(state, answer))
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
