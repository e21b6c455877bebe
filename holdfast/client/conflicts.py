"""What was written concurrently and what was decided; and saying what shall stand.

Every method of `Conflicts` returns steps (see `call`), so that both clients share all of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from holdfast.client import values, wire
from holdfast.client.call import Call, Steps, method
from holdfast.client.commits import Receipt
from holdfast.client.limits import READ_TIMEOUT_S, WRITE_TIMEOUT_S
from holdfast.client.records import Actor, Record
from holdfast.client.writes import Writes
from holdfast.errors import InvalidArgument
from holdfast.v1 import conflict_service_pb2 as pb


class ConflictState(StrEnum):
    """Where a conflict stands."""

    OPEN = "open"
    """It waits for a person."""
    RESOLVED = "resolved"
    """A person has answered it."""
    AUTO = "auto"
    """A rule has decided it."""
    UNDONE = "undone"
    """A rule had decided it, and a person has put back what lost."""


_STATES = {
    ConflictState.OPEN: pb.CONFLICT_STATE_OPEN,
    ConflictState.RESOLVED: pb.CONFLICT_STATE_RESOLVED,
    ConflictState.AUTO: pb.CONFLICT_STATE_AUTO,
    ConflictState.UNDONE: pb.CONFLICT_STATE_UNDONE,
}
_STATES_BACK = {number: state for state, number in _STATES.items()}
_CHOICES = {
    "ours": pb.CONFLICT_CHOICE_OURS,
    "theirs": pb.CONFLICT_CHOICE_THEIRS,
    "value": pb.CONFLICT_CHOICE_VALUE,
    "merged": pb.CONFLICT_CHOICE_MERGED,
}
_CHOICES_BACK = {number: choice for choice, number in _CHOICES.items()}


@dataclass(frozen=True, slots=True)
class ConflictSide:
    """One of two versions: who wrote it (None: not known any more), when (stamps, as of a record),
    and the value as JSON text (None: absent, or removed)."""

    origin: bytes
    seq: int
    actor: Actor | None
    stamp: int
    claimed: int
    json: str | None


@dataclass(frozen=True, slots=True)
class ConflictAnswer:
    """What a person said: `ours`, `theirs`, `merged` or `value`, who, and why."""

    choice: str
    actor: Actor
    note: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two versions that did not know of each other. `ours` is what the hub had (None: nothing),
    `theirs` what came; `base` what the author of `theirs` had seen, where that is known; `result`
    what stood after the decision (None: nothing, or it is known only with the rest of the record).
    """

    id: bytes
    path: str
    field: str
    """Empty: the whole record."""
    revision: int
    kind: str
    algorithm: str
    winner: str
    """`ours`, `theirs`, or `merged`: the rule made something of both."""
    state: ConflictState
    reason: str
    """Of `holdfast.reasons`, or empty."""
    detail: str
    """What was special, for people."""
    clock_suspect: bool
    ours: ConflictSide | None
    theirs: ConflictSide
    base: str | None
    result: str | None
    rule_version: int
    """Revision of the policy that it was decided by; zero: there was none."""
    answer: ConflictAnswer | None
    abridged: bool
    """The values are too large to be carried to edges; the hub has them."""
    record: Record | None = dataclasses.field(default=None, compare=False, repr=False)
    """The record at the door when it was read by `conflict`; None: there is none, or it is from a
    list."""

    @property
    def space(self) -> str:
        return self.path.split("/", 1)[0]


class AnswerOptions(TypedDict, total=False):
    """Of an answer to a conflict."""

    note: str
    """Why, for people; at most 1,000 characters."""
    seen: Record | None
    """The record as it was when the answer was chosen (None: there was none), if it is not any more
    as the conflict left it. The answer is refused if it is another by then."""
    actor: Actor | tuple[str, str]
    """Who answers, if not the actor of the client."""
    timeout_s: float
    """Until an answer; default `limits.WRITE_TIMEOUT_S`."""


@dataclass(frozen=True, slots=True)
class ConflictListing:
    """Which conflicts are listed, the same for every page."""

    space: str
    states: Iterable[ConflictState | str]
    collection: str
    key_prefix: str
    kinds: Iterable[str]
    page_size: int


@dataclass(frozen=True, slots=True)
class ConflictPage:
    """Some conflicts, and the token of the next page (empty: this was the last)."""

    conflicts: tuple[Conflict, ...]
    next_token: str


class Conflicts:
    """Asks for conflicts and answers them, in the name of the author of `writes`."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes

    def page(self, listing: ConflictListing, token: str) -> Steps[ConflictPage]:
        """One page, newest first. It may be empty and still have a next one."""
        request = pb.ListConflictsRequest(
            space=values.encodable(listing.space),
            states=map(_state_to, listing.states),
            collection=values.encodable(listing.collection),
            key_prefix=values.encodable(listing.key_prefix),
            kinds=map(values.encodable, listing.kinds),
            page_size=listing.page_size,
            page_token=token,
        )
        called = method("ConflictService.ListConflicts")
        response: pb.ListConflictsResponse = yield Call(called, request, READ_TIMEOUT_S)
        found = tuple(_conflict_from(listing.space, each) for each in response.conflicts)
        return ConflictPage(found, response.next_page_token)

    def get(self, space: str, id_: bytes) -> Steps[Conflict]:
        """See `AsyncClient.conflict`."""
        request = pb.GetConflictRequest(space=values.encodable(space), id=id_)
        called = method("ConflictService.GetConflict")
        response: pb.GetConflictResponse = yield Call(called, request, READ_TIMEOUT_S)
        record = None
        if response.HasField("record"):
            record = wire.record_from(space, response.record, None)
        return _conflict_from(space, response.conflict, record)

    def resolve(
        self, conflict: Conflict, choice: str, json: str, options: AnswerOptions
    ) -> Steps[Receipt]:
        """See `AsyncClient.resolve`."""
        if choice not in _CHOICES:
            known = ", ".join(_CHOICES)
            raise InvalidArgument("UNKNOWN_ENUM_VALUE", f"choices are {known}, not {choice!r}")
        request = pb.ResolveConflictRequest(
            space=conflict.space, id=conflict.id, choice=_CHOICES[choice], json=json
        )
        return self._say("ResolveConflict", request, options)

    def undo(self, conflict: Conflict, options: AnswerOptions) -> Steps[Receipt]:
        """See `AsyncClient.undo`."""
        request = pb.UndoConflictRequest(space=conflict.space, id=conflict.id)
        return self._say("UndoConflict", request, options)

    def _say(
        self, name: str, request: pb.ResolveConflictRequest | pb.UndoConflictRequest,
        options: AnswerOptions,
    ) -> Steps[Receipt]:  # fmt: skip
        request.note = values.encodable(options.get("note", ""))
        request.actor.CopyFrom(wire.actor_to(self._writes.author(options.get("actor"))))
        request.commit_id = self._writes.new_id()
        if "seen" in options:
            seen = options["seen"]
            if seen is None or seen.deleted:
                request.seen.absent = True
            else:
                request.seen.version.CopyFrom(wire.version_to(seen.version))
        timeout_s = options.get("timeout_s", WRITE_TIMEOUT_S)
        called = method(f"ConflictService.{name}")
        response = yield Call(called, request, timeout_s, commit_id=request.commit_id)
        return self._writes.receipt(response.commit)


def _state_to(state: ConflictState | str) -> pb.ConflictState.ValueType:
    try:
        return _STATES[ConflictState(state)]
    except ValueError:
        known = ", ".join(ConflictState)
        raise InvalidArgument("UNKNOWN_ENUM_VALUE", f"states are {known}, not {state!r}") from None


def _conflict_from(space: str, message: pb.Conflict, record: Record | None = None) -> Conflict:
    answer = None
    if message.HasField("answer"):
        said = message.answer
        choice = _CHOICES_BACK.get(said.choice, "value")
        answer = ConflictAnswer(choice, wire.actor_from(said.actor), said.note)
    return Conflict(
        id=message.id,
        path=f"{space}/{message.collection}/{message.key}",
        field=message.field,
        revision=message.revision,
        kind=message.kind,
        algorithm=message.algorithm,
        winner=message.winner,
        state=_STATES_BACK[message.state],
        reason=message.reason,
        detail=message.detail,
        clock_suspect=message.clock_suspect,
        ours=_side_from(message.ours) if message.HasField("ours") else None,
        theirs=_side_from(message.theirs),
        base=message.base_json or None,
        result=message.result_json or None,
        rule_version=message.rule_version,
        answer=answer,
        abridged=message.abridged,
        record=record,
    )


def _side_from(message: pb.ConflictSide) -> ConflictSide:
    return ConflictSide(
        origin=message.op_id.origin,
        seq=message.op_id.seq,
        actor=wire.actor_from(message.actor) if message.HasField("actor") else None,
        stamp=message.stamp,
        claimed=message.claimed,
        json=message.json or None,
    )
