"""Writing: from what the caller says to commits, and what becomes of them.

Every method returns steps (see `call`), so that both clients share all of it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from holdfast.client import values, wire
from holdfast.client.call import Call, Steps, method
from holdfast.client.commits import (
    Add,
    Delete,
    Expect,
    Op,
    Patch,
    Put,
    Receipt,
    Run,
    SetAdd,
    SetRemove,
    Splice,
)
from holdfast.client.limits import WRITE_TIMEOUT_S
from holdfast.client.options import CommitOptions, WriteOptions
from holdfast.client.paths import one_space
from holdfast.client.records import Actor, ActorKind, JsonObject, Level, Record, context_of
from holdfast.client.session import Session
from holdfast.errors import InvalidArgument, RevisionMismatch
from holdfast.v1 import state_service_pb2 as state

COMMIT_ID_BYTES = 16

MAX_BOUND = (1 << 53) - 1
"""What every door takes."""


def actor_of(actor: Actor | tuple[str, str]) -> Actor:
    """The actor of what a caller gave. Raises InvalidArgument."""
    if isinstance(actor, Actor):
        return actor
    name, kind = actor
    try:
        return Actor(name, ActorKind(kind))
    except ValueError:
        known = ", ".join(ActorKind)
        raise InvalidArgument(
            "UNKNOWN_ENUM_VALUE", f"kinds of actors are {known}, not {kind!r}"
        ) from None


class Edit(NamedTuple):
    """One place of a document: how much to delete there, and what to insert."""

    at: int
    delete: int
    insert: str | Sequence[Any]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Raises InvalidArgument for numbers below zero."""
        if self.at < 0 or self.delete < 0:
            raise InvalidArgument("SPLICE_MISMATCH", "`at` and `delete` are not negative")
        return (self.at, self.insert, -self.delete)


class Writes:
    """Makes commits in the name of `actor`, within `session`."""

    def __init__(
        self,
        actor: Actor | None,
        session: Session,
        new_id: Callable[[], bytes] = lambda: secrets.token_bytes(COMMIT_ID_BYTES),
    ) -> None:
        self._actor = actor
        self._session = session
        self.new_id = new_id

    def put(self, path: str, value: JsonObject | str, options: WriteOptions) -> Steps[Receipt]:
        """See `AsyncClient.put`."""
        try:
            return (yield from self._one(Put(path, value), options))
        except RevisionMismatch:
            reduced = _reduced(path, value, options)
            if reduced is None:
                raise
        # The refused put was not stored, so the patch is another commit, with an id of its own.
        rest = options.copy()
        rest.pop("commit_id", None)
        try:
            return (yield from self._one(reduced, rest))
        except RevisionMismatch as mismatch:
            ops = _with_additions(reduced, mismatch, options)
            if ops is None:
                raise
        return (yield from self.commit(ops, {**rest, "expect": ()}))  # type: ignore[typeddict-unknown-key]

    def patch(
        self, path: str, sets: JsonObject | str, remove: Iterable[str], options: WriteOptions
    ) -> Steps[Receipt]:
        """See `AsyncClient.patch`."""
        return self._one(Patch(path, sets, tuple(remove)), options)

    def delete(self, path: str, options: WriteOptions) -> Steps[Receipt]:
        """See `AsyncClient.delete`."""
        return self._one(Delete(path), options)

    def add(self, path: str, deltas: Mapping[str, int], options: WriteOptions) -> Steps[Receipt]:
        """See `AsyncClient.add`."""
        return self._one(Add(path, deltas), options)

    def set_add(
        self, path: str, field: str, elements: Iterable[Any], options: WriteOptions
    ) -> Steps[Receipt]:
        """See `AsyncClient.set_add`."""
        return self._one(SetAdd(path, field, tuple(elements)), options)

    def set_remove(
        self, path: str, field: str, elements: Iterable[Any], options: WriteOptions
    ) -> Steps[Receipt]:
        """See `AsyncClient.set_remove`."""
        return self._one(SetRemove(path, field, tuple(elements)), options)

    def splice(
        self, path: str, field: str, runs: Iterable[Run] | None, edit: Edit, options: WriteOptions
    ) -> Steps[Receipt]:
        """See `AsyncClient.splice`."""
        return self._one(Splice(path, field, edit.runs if runs is None else tuple(runs)), options)

    def commit(self, ops: Iterable[Op], options: CommitOptions) -> Steps[Receipt]:
        """See `AsyncClient.commit`."""
        call = self._call(tuple(ops), options)
        response: state.CommitResponse = yield call
        return self.receipt(response)

    def receipt(self, response: state.CommitResponse) -> Receipt:
        """What an answer to a commit says; the session has seen it."""
        answer = wire.answer_from(response.answer)
        op_id, known = wire.op_id_from(response.op_id), wire.outcome_from(response.outcome)
        self._session.learn_commit(response.answer.session_token, answer, op_id, known)
        return Receipt(
            op_id=op_id,
            known=known,
            answer=answer,
            applied_locally=response.applied_locally,
        )

    def _one(self, op: Op, options: WriteOptions) -> Steps[Receipt]:
        rest: dict[str, Any] = dict(options)
        expect = list(rest.pop("expect", ()))
        version = rest.pop("if_version", None)
        if version is not None:
            expect.append(Expect.at(op.path, version))
        if rest.pop("if_absent", False):
            expect.append(Expect.absent(op.path))
        if rest.pop("if_exists", False):
            expect.append(Expect.present(op.path))
        narrowed: CommitOptions = {**rest, "expect": expect}  # type: ignore[typeddict-item]
        return self.commit((op,), narrowed)

    def _call(self, ops: tuple[Op, ...], options: CommitOptions) -> Call:
        if not ops:
            raise InvalidArgument("NO_OPS", "the commit is empty")
        request = state.CommitRequest(
            space=one_space(values.encodable(op.path) for op in ops),
            ops=map(wire.op_to, ops),
            preconditions=map(wire.expect_to, options.get("expect", ())),
            level=wire.level_to(options.get("level")),
            bound=_bound(options),
            actor=wire.actor_to(self.author(options.get("actor"))),
            correlation_id=values.encodable(options.get("correlation_id", "")),
            causation_id=options.get("causation_id", b""),
        )
        if request.HasField("bound") and not request.level:
            request.level = wire.level_to(Level.BOUNDED)
        request.session_token = self._session.token(request.space)
        context = options.get("context") or context_of(options.get("based_on", ()))
        if context is not None:
            request.context.CopyFrom(wire.context_to(context))
        retry = options.get("retry", True)
        request.commit_id = options.get("commit_id") or (self.new_id() if retry else b"")
        return Call(
            method("StateService.Commit"),
            request,
            timeout_s=options.get("timeout_s", WRITE_TIMEOUT_S),
            repeatable=bool(request.commit_id) and retry,
            commit_id=request.commit_id,
        )

    def author(self, named: Actor | tuple[str, str] | None = None) -> Actor:
        """Who writes: who is named, or the actor of the client. Raises InvalidArgument."""
        actor = self._actor if named is None else named
        if actor is None:
            raise InvalidArgument(
                "MALFORMED_REQUEST",
                "nobody is named as the author",
                remedy='Give the client an actor: Client(actor=("arm-3", "robot")).',
            )
        return actor_of(actor)


def _bound(options: CommitOptions) -> state.WriteBound | None:
    """The bound that was given, None for none. Raises InvalidArgument."""
    pending, age = options.get("max_pending"), options.get("max_age")
    if pending is None and age is None:
        return None
    seconds = age.total_seconds() if isinstance(age, timedelta) else age
    if pending is not None and not 1 <= pending <= MAX_BOUND:
        raise InvalidArgument("MALFORMED_REQUEST", f"max_pending: 1 to {MAX_BOUND}")
    if seconds is not None and not 0.001 <= seconds <= MAX_BOUND / 1000:
        raise InvalidArgument("MALFORMED_REQUEST", "max_age: a millisecond or more, in seconds")
    return state.WriteBound(max_pending=pending or 0, max_age_ms=round((seconds or 0) * 1000))


def _reduced(path: str, value: JsonObject | str, options: WriteOptions) -> Patch | None:
    """The put as a patch of what its author had read, or None where that is not what was meant.

    With a condition the caller wants to know of the mismatch; without the record that was read
    there is nothing to reduce against.
    """
    read = options.get("based_on")
    conditional = any(options.get(name) for name in ("if_version", "if_absent", "if_exists"))
    if not isinstance(read, Record) or read.path != path or conditional or options.get("expect"):
        return None
    wanted = values.decode(value) if isinstance(value, str) else value
    sets, remove = values.diff({} if read.deleted else read.value, wanted)
    return Patch(path, sets, remove)


def _elements(path: str, name: str, had: list[Any], wanted: list[Any]) -> list[Op]:
    """What makes one set of another."""
    more = tuple(one for one in wanted if not any(values.same(one, other) for other in had))
    gone = tuple(one for one in had if not any(values.same(one, other) for other in wanted))
    ops: list[Op] = [SetAdd(path, name, more)] if more else []
    return [*ops, SetRemove(path, name, gone)] if gone else ops


def _with_additions(
    patch: Patch, mismatch: RevisionMismatch, options: WriteOptions
) -> tuple[Op, ...] | None:
    """The patch with its counters and sets as what it adds to what was read, and takes away; None
    if it has neither."""
    counters = json.loads(mismatch.metadata.get("counters", "[]"))
    sets_named = json.loads(mismatch.metadata.get("sets", "[]"))
    read = options.get("based_on")
    if not (counters or sets_named) or not isinstance(read, Record):
        return None
    sets = values.decode(patch.set) if isinstance(patch.set, str) else dict(patch.set)
    had = {} if read.deleted else read.value
    deltas = {name: sets.pop(name) - had.get(name, 0) for name in counters if name in sets}
    ops: list[Op] = [Add(patch.path, deltas)] if deltas else []
    for name in sets_named:
        if name in sets:
            ops += _elements(patch.path, name, had.get(name, []), sets.pop(name))
    if sets or patch.remove:
        ops.insert(0, Patch(patch.path, sets, patch.remove))
    return tuple(ops)
