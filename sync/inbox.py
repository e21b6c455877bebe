"""The inbox: conflicts that wait for a person, as records of their space.

What waits is a record in a reserved collection beside that of the record in conflict, so it comes
to the edges that replicate that one, is read and watched there without a network, and counts in
digests as everything else does. Here is what stands in such a record; how it is answered is in
sync.answering.

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
from sync.canonical_json import InvalidValue
from sync.commit import Actor, ActorKind, Kind

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
    MERGED = "merged"
    """What the rule made of both."""
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
    where a whole record is meant (`field` is empty), NONE if it is several (see sync.refused);
    `epoch` and `left` say which version the conflict left of the record, `left` being zero where
    there is none. `base` is the value that the author of `theirs` had seen, None where that is not
    known. `result` is what the rule made of both, if it is neither of them, by the policy of the
    revision `rule_version` (zero: there was none). `abridged`: the values are too large to be
    carried here, the hub has them.
    """

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
    result: bytes | None = None
    rule_version: int = 0
    clock_suspect: bool = False
    abridged: bool = False
    answer: Answer | None = None
    detail: str = ""

    @property
    def size_bytes(self) -> int:
        """What its values take."""
        ours = self.ours.value if self.ours is not None else None
        values_ = (ours, self.theirs.value, self.base, self.result)
        return sum(len(value) for value in values_ if value is not None)

    @property
    def stands(self) -> Choice:
        """What stands if nobody has answered, or the answer was undone."""
        return Choice(self.winner)

    @property
    def lost(self) -> Choice:
        return Choice.THEIRS if self.winner == Choice.OURS else Choice.OURS

    @property
    def decided(self) -> bytes | None:
        """The value that stood after the decision; None if there was none, or if it is known only
        together with the rest of the record."""
        if self.winner == Choice.MERGED:
            return self.result
        if self.winner == Choice.OURS:
            return self.ours.value if self.ours is not None else None
        whole = self.op in (Kind.CREATE, Kind.REPLACE)
        return self.theirs.value if self.field or whole else None


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
        result=members.get("result"),
        answer=_answer_of(members["answer"]) if "answer" in members else None,
        detail=json.loads(members["detail"]) if "detail" in members else "",
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
    | {"left", "op", "rule_version", "clock_suspect", "abridged"}
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
    if entry.result is not None:
        members["result"] = entry.result
    if entry.detail:
        members["detail"] = _text(entry.detail)
    if entry.answer is not None:
        members["answer"] = answer_text(entry.answer)
    return members


def _without_values(entry: Entry) -> Entry:
    ours = None if entry.ours is None else replace(entry.ours, value=None)
    theirs = replace(entry.theirs, value=None)
    return replace(entry, ours=ours, theirs=theirs, base=None, result=None, abridged=True)


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


def word(state: State, answer: Answer) -> bytes:
    """What an answer sets in its entry; see `answer_of`."""
    return values.join({"state": _text(state), "answer": answer_text(answer)})


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
