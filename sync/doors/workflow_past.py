"""What was done with a workflow, and what it was at a revision: from the log of its record, and the
conflicts about it, alone.

Every act writes the member `last`, which says what it was; so the log tells a workflow's story, and
adding its steps up gives the record at any of them, whose hash then shows that nothing is missing.
What a node did under an authority that it had lost is in no record, but it waits in the inbox, and
the story tells of it at the place where it was refused.

Invariant: nothing is told that is not in the log, in a conflict, or pending at this door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from holdfast.v1 import record_pb2
from holdfast.v1 import state_service_pb2 as state
from holdfast.v1 import workflow_service_pb2 as pb
from sync import inbox, values
from sync.authority import MEMBER, WORKFLOWS, authority_of
from sync.codec import workflows as codec
from sync.codec.requests import BadRequest, actor_to
from sync.codec.workflows import Ref
from sync.commit import Version
from sync.doors.door import Call, Door, Found
from sync.doors.workflow_reads import Look, Standing, WorkflowNotFound, Workflows, standing_of
from sync.names import inbox_of
from sync.position import parse_number
from sync.workflow_instances import last_from

MAX_PAGE = 1_000
DEFAULT_PAGE = 100

MAX_STEPS = 10_000
"""Acts added up to one state: a second of work, and more than most workflows ever have."""

MAX_SCAN = 10_000
MAX_INBOX_PAGES = 20
"""Looked through for what was refused of one workflow: the inbox has what was refused of all."""

EVERYTHING = (1 << 63) - 1


class FutureRevision(Exception):
    """The revision has not happened yet here."""

    reason = "FUTURE_REVISION"


class NotKept(Exception):
    """What the workflow was then is not known at this door any more."""

    reason = "COMPACTED"


class TooManySteps(Exception):
    """More was done with the workflow than one request may add up."""

    reason = "HISTORY_TOO_LONG"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: the log's own token, and the revision above which all was told."""

    token: str = ""
    below: int = EVERYTHING

    @classmethod
    def of(cls, text: str) -> Place:
        """Raises BadRequest."""
        if not text:
            return cls()
        token, _, below = text.partition(":")
        try:
            return cls(token, parse_number(below))
        except ValueError:
            raise BadRequest("PAGE_TOKEN_INVALID", "not a token of this history") from None

    def text(self) -> str:
        return f"{self.token}:{self.below}"


class Past:
    """Looks back, at one door."""

    def __init__(self, door: Door, workflows: Workflows) -> None:
        self._door, self._workflows = door, workflows

    # -- as of a revision ------------------------------------------------------

    async def as_of(self, ref: Ref, revision: int, look: Look) -> Standing:
        """A workflow as it was. Raises FutureRevision, NotKept, TooManySteps, WorkflowNotFound,
        Damaged, and what reading does."""
        now = await self._workflows.get(ref, look)
        position = now.answer.position
        if revision > position.revision:
            raise FutureRevision(f"{ref.space} is at revision {position.revision} here")
        steps = await self._steps(ref.space, now.instance.key, revision, look.call)
        if not steps:
            raise WorkflowNotFound(f"{now.instance.key} was not there at revision {revision}")
        parts: dict[str, bytes] = {}
        for step in reversed(steps):
            for op in step.ops:
                _add(parts, op)
        name = steps[0].outcome
        at = name.position
        version = Version(at.epoch, at.revision, name.op_id.origin, name.op_id.seq)
        answer = state.Answer()
        answer.CopyFrom(now.answer)
        answer.position.revision, answer.includes_pending = revision, False
        found = Found(now.instance.key, values.join(parts), version, steps[0].actor)
        return standing_of(found, answer)

    async def _steps(
        self, space: str, key: str, revision: int, call: Call
    ) -> list[state.HistoryEntry]:
        """The commits that made a workflow what it was, newest first."""
        found: list[state.HistoryEntry] = []
        request = state.HistoryRequest(
            space=space, collection=WORKFLOWS, key=key, page_size=MAX_PAGE
        )
        while len(found) <= MAX_STEPS:
            page = await self._door.state.History(request, call)
            found += (e for e in page.entries if e.outcome.position.revision <= revision)
            if page.entries and not page.entries[-1].previous_revision:
                return found
            if not page.next_page_token:
                if page.entries or not page.complete:
                    raise NotKept(f"{key} at revision {revision}")
                return found
            request.page_token = page.next_page_token
        raise TooManySteps(f"{key} has had more than {MAX_STEPS} acts")

    # -- history ---------------------------------------------------------------

    async def history(
        self, request: pb.GetWorkflowHistoryRequest, look: Look
    ) -> pb.GetWorkflowHistoryResponse:
        """A page of what was done, newest first. Raises BadRequest, WorkflowNotFound, and what
        reading does."""
        if request.page_size > MAX_PAGE:
            raise BadRequest("PAGE_SIZE_INVALID", f"page_size: 1 to {MAX_PAGE}")
        now = await self._workflows.get(codec.ref_from(request.read), look)
        key, space = now.instance.key, request.read.space
        place = Place.of(request.page_token)
        # Looked at first: what is decided meanwhile is then told once, and not never.
        waiting = [] if place.token else await self._door.state.pending(space, WORKFLOWS, key)
        asked = state.HistoryRequest(
            space=space, collection=WORKFLOWS, key=key,
            page_size=request.page_size or DEFAULT_PAGE, page_token=place.token,
        )  # fmt: skip
        page = await self._door.state.History(asked, look.call)
        left = page.next_page_token
        lowest = page.entries[-1].outcome.position.revision if page.entries and left else 0
        told = [(e.outcome.position.revision, _entry(e)) for e in page.entries]
        refused = await self._refused(space, key, look.call)
        told += ((at, entry) for at, entry in refused if lowest <= at < place.below)
        told.sort(key=lambda one: one[0], reverse=True)
        decided = {_name(entry.outcome) for _, entry in told}
        entries = [_entry(each) for each in waiting if _name(each.outcome) not in decided]
        return pb.GetWorkflowHistoryResponse(
            entries=[*entries, *(entry for _, entry in told)],
            next_page_token=Place(left, lowest).text() if left else "",
            complete=page.complete,
        )

    async def under(
        self, space: str, key: str, commit_id: bytes, call: Call
    ) -> record_pb2.Outcome | None:
        """What became of an act that was done under a commit id at another door; None: it is not
        among the newest that are known here."""
        asked = state.HistoryRequest(
            space=space, collection=WORKFLOWS, key=key, page_size=DEFAULT_PAGE
        )
        page = await self._door.state.History(asked, call)
        outcomes = (entry.outcome for entry in page.entries)
        return next((one for one in outcomes if one.op_id.commit_id == commit_id), None)

    async def _refused(
        self, space: str, key: str, call: Call
    ) -> list[tuple[int, pb.WorkflowHistoryEntry]]:
        """What was refused of a workflow, with the revision at which it was."""
        found: list[tuple[int, pb.WorkflowHistoryEntry]] = []
        request = state.ListRequest(
            space=space, collection=inbox_of(WORKFLOWS), page_size=MAX_PAGE, scan_limit=MAX_SCAN
        )
        for _ in range(MAX_INBOX_PAGES):
            page = await self._door.page(request, call)
            entries = (inbox.decode(each.key, each.value) for each in page.records)
            found += ((e.revision, _refusal(space, e)) for e in entries if e.key == key)
            request.page_token = page.next_token
            if not page.next_token:
                break
        return found


def _add(parts: dict[str, bytes], op: record_pb2.Op) -> None:
    """Does to a record's members what an operation does."""
    match op.WhichOneof("action"):
        case "put":
            parts.clear()
            parts.update(values.fields(op.put.json.encode()))
        case "patch":
            parts.update(values.fields(op.patch.json.encode()))
            for name in op.patch.remove:
                parts.pop(name, None)


def _entry(found: state.HistoryEntry) -> pb.WorkflowHistoryEntry:
    return pb.WorkflowHistoryEntry(
        **_said(_texts(found.ops), found.actor),
        outcome=found.outcome,
        began=_begins(found),
        causation_id=found.causation_id,
        correlation_id=found.correlation_id,
    )


def _begins(found: state.HistoryEntry) -> bool:
    """Whether there was nothing before it; what is pending does not say so otherwise."""
    return any(op.WhichOneof("action") == "put" for op in found.ops) and not found.previous_revision


def _refusal(space: str, found: inbox.Entry) -> pb.WorkflowHistoryEntry:
    side = found.theirs
    outcome = record_pb2.Outcome(
        op_id=record_pb2.OpId(space=space, origin=side.origin, seq=side.seq),
        kind=record_pb2.OUTCOME_KIND_REJECTED,
        reason=found.reason or found.kind,
        position=record_pb2.Position(epoch=found.epoch, space=space, revision=found.revision),
    )
    texts = [side.value] if side.value and side.value[:1] == b"{" else []
    actor = record_pb2.Actor() if side.actor is None else actor_to(side.actor)
    return pb.WorkflowHistoryEntry(**_said(texts, actor), outcome=outcome, conflict_id=found.id)


def _name(outcome: record_pb2.Outcome) -> tuple[bytes, int]:
    return outcome.op_id.origin, outcome.op_id.seq


def _texts(ops: Sequence[record_pb2.Op]) -> list[bytes]:
    written = []
    for op in ops:
        which = op.WhichOneof("action")
        if which in ("put", "patch"):
            written.append((op.put.json if which == "put" else op.patch.json).encode())
    return written


def _said(texts: Sequence[bytes], actor: record_pb2.Actor) -> dict[str, Any]:
    """What an operation's values say of the act, and of the authority it left."""
    said: dict[str, Any] = {"act": pb.WorkflowAct(event="unknown", actor=actor)}
    for text in texts:
        parts = values.fields(text)
        if "last" in parts:
            said["act"] = codec.act_to(last_from(orjson.loads(parts["last"])))
        held = authority_of(text) if MEMBER in parts else None
        if held is not None:
            said["authority"] = codec.authority_to(held)
    return said
