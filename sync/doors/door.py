"""What a service at both doors asks of the daemon it is in: reads, commits, outcomes, a name.

Both daemons serve one StateService, so that is the seam: sessions, levels, scopes and deadlines are
what they are there, and a service beside it has no second way to a record.

A write is decided on what was read, and its commit names the versions that it was decided on. Where
somebody else was faster, it is read and decided anew, a few times. A commit id that is known is
answered before anything is decided.

Invariant: of two acts that were decided on one state of a record, wherever they were, at most one
takes effect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

from holdfast.v1 import record_pb2
from holdfast.v1 import state_service_pb2 as pb
from sync.codec import requests as convert
from sync.codec import version_from
from sync.commit import Precondition, Version
from sync.levels import Level
from sync.position import ID_BYTES
from sync.reduce import Request

TRIES = 6
"""How often a write is decided anew when others are faster. Each time somebody got on, so more
than a few in a row is a queue that the caller should know of."""

MAX_LOST = 5 * TRIES
"""Tries under ids that follow from one: a client repeats a request a few times."""

RACES = frozenset({"REVISION_MISMATCH", "PRECONDITION_FAILED", "COMMIT_ID_REUSED"})
"""Refusals after which reading again may change what is decided."""

REJECTED, PENDING = record_pb2.OUTCOME_KIND_REJECTED, record_pb2.OUTCOME_KIND_PENDING
UNKNOWN = record_pb2.OUTCOME_KIND_UNSPECIFIED

LOST_TRY = (REJECTED, "REVISION_MISMATCH")
"""The outcome of a strong try that was refused because others were faster: it has used its id up,
and its author was not told of it, since the next try followed. (What is not strong is refused for
that before it is taken, or rejected with PRECONDITION_FAILED after its author was answered.)"""

Name = tuple[str, str]
"""A collection and a key."""

Call = Any
"""The call that a request came by, with its deadline; handed on as it is."""


class Untimed:
    """The call of nobody: what a node does of its own accord has no deadline."""

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; there is none."""
        return None


UNTIMED = Untimed()


class State(Protocol):
    """StateService as both daemons have it."""

    def named(self, actor: record_pb2.Actor) -> None:
        """Names the socket's own actor where a request names none."""

    async def commit(
        self, wanted: convert.CommitRequest, context: Call, *, system: bool = False
    ) -> pb.CommitResponse:
        """Takes a commit; `system` may write the system's own records."""

    async def BatchGet(self, request: pb.BatchGetRequest, context: Call) -> pb.BatchGetResponse:
        """Reads records at one position."""

    async def List(self, request: pb.ListRequest, context: Call) -> pb.ListResponse:
        """Reads a page of a collection."""

    async def History(self, request: pb.HistoryRequest, context: Call) -> pb.HistoryResponse:
        """Reads the commits that made a record what it is."""

    async def pending(self, space: str, collection: str, key: str) -> list[pb.HistoryEntry]:
        """What was done to a record here and is not decided, newest first."""

    async def GetOutcome(
        self, request: pb.GetOutcomeRequest, context: Call
    ) -> pb.GetOutcomeResponse:
        """Tells what became of commits."""

    async def Wait(self, request: pb.WaitRequest, context: Call) -> pb.WaitResponse:
        """Waits until something has happened."""

    def page_token(self, key: str) -> str:
        """Where a list goes on after a key."""


class Refused(Exception):
    """A repeated commit that was refused the first time."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the first request with this commit id was refused: {reason}")
        self.reason = reason


class AlreadyApplied(Exception):
    """The commit id is of a commit that was decided, and whose outcome is no longer kept."""

    reason = "ALREADY_APPLIED"


class Contended(Exception):
    """Others changed the record again and again while this was being decided."""

    reason = "REVISION_MISMATCH"


@dataclass(frozen=True, slots=True)
class Found:
    """A live record, and which state of it."""

    key: str
    value: bytes
    version: Version
    actor: record_pb2.Actor


@dataclass(frozen=True, slots=True)
class Reading:
    """Records of one moment; what is absent is left out."""

    records: Mapping[Name, Found]
    answer: pb.Answer

    def __getitem__(self, name: Name) -> Found | None:
        return self.records.get(name)


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of a collection, in the order of their keys."""

    records: Sequence[Found]
    next_token: str
    answer: pb.Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """How a request is to be written: by whom, what it is about, its id, its level, its session."""

    space: str
    call: Call
    actor: record_pb2.Actor
    about: Name
    commit_id: bytes = b""
    level: Level | None = None
    session_token: bytes = b""
    correlation_id: str = ""
    causation_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Plan:
    """A commit that was decided on something that was read: what it writes, what must be true, the
    weakest level at which that may be, and the session that the reading belongs to."""

    requests: tuple[Request, ...]
    preconditions: tuple[Precondition, ...]
    level: Level = Level.EVENTUAL
    session_token: bytes = b""
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A commit that was taken. `repeated`: by an earlier request with this commit id."""

    commit: pb.CommitResponse
    repeated: bool = False

    @property
    def token(self) -> bytes:
        """The session that has seen it."""
        return self.commit.answer.session_token


@dataclass(frozen=True, slots=True)
class _Known:
    """An earlier commit: its kind and reason, and what is answered for it."""

    outcome: tuple[int, str]
    done: Done


@dataclass(frozen=True, slots=True)
class Door:
    """A daemon's StateService, with what else a service beside it has to know of the node: `node`
    is its name as a holder of authority (see sync.authority), `now_ms` its time, for people."""

    state: State
    node: Callable[[], str]
    now_ms: Callable[[], int]
    taken: Callable[[str], None] = lambda _space: None
    """Told that this node has taken an authority in a space: others may have asked something of it
    before."""

    async def read(
        self, space: str, names: Sequence[Name], call: Call, session_token: bytes = b"",
        level: Level | None = None,
    ) -> Reading:  # fmt: skip
        """The records of these names, at one position. Raises what BatchGet does."""
        request = pb.BatchGetRequest(
            space=space,
            names=[pb.RecordName(collection=each[0], key=each[1]) for each in names],
            level=int(level or 0),  # type: ignore[arg-type]
            session_token=session_token,
        )
        response = await self.state.BatchGet(request, call)
        return Reading(
            {(r.collection, r.key): _found(r) for r in response.records}, response.answer
        )

    async def page(self, request: pb.ListRequest, call: Call) -> Page:
        """A page of a collection. Raises what List does."""
        response = await self.state.List(request, call)
        return Page([*map(_found, response.records)], response.next_page_token, response.answer)

    async def write(self, asked: Asked, decide: Callable[[], Awaitable[Plan]]) -> Done:
        """Decides, and has the commit taken; anew where somebody else was faster. `decide` reads
        for itself, and raises what the caller is to be told.

        Raises Contended, AlreadyApplied, Refused, what `decide` raises, and what Commit does.
        """
        error: Exception | None = None
        commit_id = asked.commit_id
        for _ in range(TRIES):
            commit_id, done = await self._counted(asked, commit_id)
            if done is not None:
                return done
            try:
                plan = await decide()
            except Exception:
                # What is in its way may be what an equal request has done in this moment.
                _, done = await self._counted(asked, commit_id)
                if done is None:
                    raise
                return done
            try:
                return Done(await self._commit(asked, plan, commit_id))
            except Exception as refused:
                if getattr(refused, "reason", "") not in RACES:
                    raise
                error = refused
        raise Contended("others were faster, again and again") from error

    async def _counted(self, asked: Asked, commit_id: bytes) -> tuple[bytes, Done | None]:
        """The first try from this one on that was not lost: its id, and what became of it if it was
        made."""
        for _ in range(MAX_LOST):
            known = await self._known(asked, commit_id)
            if known is None:
                return commit_id, None
            if known.outcome != LOST_TRY:
                return commit_id, known.done
            commit_id = _next(commit_id)
        raise Contended("this commit id has lost too often: choose another")

    async def _commit(self, asked: Asked, plan: Plan, commit_id: bytes) -> pb.CommitResponse:
        request = convert.CommitRequest(
            space=asked.space,
            requests=plan.requests,
            actor=convert.actor_from(asked.actor),
            preconditions=plan.preconditions,
            commit_id=commit_id,
            correlation_id=plan.correlation_id or asked.correlation_id,
            causation_id=asked.causation_id,
            session_token=plan.session_token or asked.session_token,
            level=max(plan.level, asked.level or Level.EVENTUAL),
        )
        return await self.state.commit(request, asked.call, system=True)

    async def _known(self, asked: Asked, commit_id: bytes) -> _Known | None:
        """What became of an earlier request with this commit id; None: there was none."""
        if not commit_id:
            return None
        outcome = await self._outcome(asked, commit_id)
        if outcome.kind == UNKNOWN:
            if outcome.op_id.seq:
                raise AlreadyApplied(f"commit id {commit_id.hex()}")
            return None
        told = (outcome.kind, outcome.reason)
        if asked.level is Level.STRONG and outcome.kind == REJECTED and told != LOST_TRY:
            raise Refused(outcome.reason)
        # Read after the outcome was: so the session that it tells of has seen the commit.
        read = await self.read(asked.space, [asked.about], asked.call, asked.session_token)
        commit = pb.CommitResponse(
            answer=read.answer, op_id=outcome.op_id, outcome=outcome, applied_locally=True
        )
        return _Known(told, Done(commit, repeated=True))

    async def _outcome(self, asked: Asked, commit_id: bytes) -> record_pb2.Outcome:
        """What is known of a commit; of a strong one, what the hub decides."""
        name = record_pb2.OpId(space=asked.space, commit_id=commit_id)
        request = pb.GetOutcomeRequest(space=asked.space, op_ids=[name])
        (outcome,) = (await self.state.GetOutcome(request, asked.call)).outcomes
        if asked.level is Level.STRONG and outcome.kind == PENDING:
            wait = pb.WaitRequest(space=asked.space, ops=pb.WaitOps(op_ids=[outcome.op_id]))
            (outcome,) = (await self.state.Wait(wait, asked.call)).outcomes
        return outcome


def _next(commit_id: bytes) -> bytes:
    """The id of the next try: it follows from the one before, so that a repeat finds it."""
    return blake2b(commit_id, digest_size=ID_BYTES).digest()


def _found(record: record_pb2.Record) -> Found:
    value, version = record.json.encode(), version_from(record.version)
    return Found(record.key, value, version, record.actor)
