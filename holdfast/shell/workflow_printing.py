"""Workflows in words and in JSON; as in `printing`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.host.output import Verbatim
from holdfast.shell.printing import (
    Document,
    actor_document,
    actor_words,
    at_ms,
    outcome_document,
    outcome_words,
)

if TYPE_CHECKING:
    from holdfast.client import (
        Execution,
        Workflow,
        WorkflowAct,
        WorkflowAuthority,
        WorkflowHistoryEntry,
    )

COLUMNS = ("workflow", "state", "steps", "priority", "agent", "holder", "last", "at")
HISTORY_COLUMNS = ("revision", "at", "actor", "did", "to", "outcome", "why")

_SHORT_HOLDER = 8


def workflow_document(found: Workflow) -> Document:
    """A workflow, as it was read or as an act left it."""
    definition = found.definition
    document = {
        "workflow": found.key,
        "id": found.id,
        "incarnation": found.incarnation,
        "space": found.space,
        "state": found.state,
        "status": found.status,
        "allowed": list(found.allowed_events),
        "definition": None
        if definition is None
        else {"name": definition.name, "version": definition.version, "hash": definition.hash},
        "metadata": Verbatim(found.metadata_json),
        "counters": {
            "total": found.counters.total,
            "completed": found.counters.completed,
            "failed": found.counters.failed,
        },
        "steps": {step: str(status) for step, status in sorted(found.steps.items())},
        "step": found.step or None,
        "routing": str(found.routing),
        "priority": found.priority,
        "agent": found.agent or None,
        "parent": found.parent or None,
        "on_parent": dict(sorted(found.on_parent.items())),
        "correlation_id": found.correlation_id or None,
        "created_at": at_ms(found.created_ms) or None,
        "started_at": at_ms(found.started_ms) or None,
        "ended_at": at_ms(found.ended_ms) or None,
        "authority": authority_document(found.authority),
        "last": act_document(found.last),
        "hash": found.hash,
        "revision": found.version.revision,
        "pending": found.version.pending,
    }
    if found.receipt is not None:
        document |= {"commit": outcome_document(found.receipt.known), "repeated": found.repeated}
    return document


def authority_document(held: WorkflowAuthority) -> Document:
    """Who may advance it."""
    return {"holder": held.holder or None, "token": held.token}


def act_document(act: WorkflowAct) -> Document:
    """What was done."""
    return {
        "event": act.event,
        "actor": actor_document(act.actor),
        "at": at_ms(act.at_ms),
        "from": act.before or None,
        "to": act.after or None,
        "exits": list(act.exits),
        "entries": list(act.entries),
        "note": act.note or None,
        "because": act.because or None,
        "step": act.step or None,
        "attempt": act.attempt or None,
        "status": str(act.status) if act.status else None,
    }


def execution_document(found: Execution) -> Document:
    """One attempt at a step."""
    return {
        "step": found.step,
        "attempt": found.attempt,
        "status": str(found.status),
        "agent": found.agent or None,
        "kind": found.kind or None,
        "input": Verbatim(found.input or "null"),
        "output": Verbatim(found.output or "null"),
        "error": found.error or None,
        "started_at": at_ms(found.started_ms) or None,
        "ended_at": at_ms(found.ended_ms) or None,
        "cost": found.cost,
    }


def workflow_row(found: Workflow) -> tuple[Document, Sequence[Any]]:
    """A workflow among others, for `printing.show`."""
    return workflow_document(found), (
        found.key,
        found.state,
        _progress(found),
        found.priority,
        found.agent,
        holder_words(found.authority),
        found.last.event,
        at_ms(found.last.at_ms),
    )


def workflow_facts(found: Workflow) -> Document:
    """A workflow for people."""
    definition = found.definition
    facts: Document = {
        "workflow": found.key,
        "state": found.state,
        "allowed": ", ".join(found.allowed_events) or "nothing: it is at its end",
        "authority": f"{found.authority.holder or 'nobody'}, token {found.authority.token}",
        "definition": f"{definition.name} {definition.version}" if definition else "",
        "steps": _progress(found),
        "step": found.step,
        "agent": found.agent,
        "priority": found.priority,
        "routing": str(found.routing),
        "parent": found.parent,
        "correlation": found.correlation_id,
        "created": at_ms(found.created_ms),
        "started": at_ms(found.started_ms),
        "ended": at_ms(found.ended_ms),
        "last": f"{act_words(found.last)} by {actor_words(found.last.actor)}"
        f" at {at_ms(found.last.at_ms)}",
        "why": found.last.note,
        "metadata": Verbatim(found.metadata_json),
        "revision": "pending" if found.version.pending else found.version.revision,
    }
    return {name: value for name, value in facts.items() if value not in {"", None}}


def history_rows(
    entries: Iterable[WorkflowHistoryEntry],
) -> Iterator[tuple[Document, Sequence[Any]]]:
    """The entries of a history, newest first, for `printing.show`."""
    for entry in entries:
        act, outcome = entry.act, entry.outcome
        conflict = entry.conflict_id.hex().lstrip("0")
        document = {
            **act_document(act),
            "began": entry.began,
            "authority": authority_document(entry.authority) if entry.authority else None,
            **outcome_document(outcome),
            "conflict": entry.conflict_id.hex() or None,
            "correlation_id": entry.correlation_id or None,
            "causation_id": entry.causation_id.hex() or None,
        }
        revision = outcome.position.revision if outcome.position else "pending"
        told = outcome_words(outcome).replace(f" at revision {revision}", "")
        if conflict:
            told += f", conflict {conflict}"
        why = "; ".join(filter(None, (act.note, act.because and f"because of {act.because}")))
        yield document, (
            revision, at_ms(act.at_ms), actor_words(act.actor), _did(entry), act.after, told, why,
        )  # fmt: skip


def act_words(act: WorkflowAct) -> str:
    """Such as: prepared grip; recorded grip, attempt 2: failed."""
    words = act.event + (f" {act.step}" if act.step else "")
    if act.attempt:
        words += f", attempt {act.attempt}: {act.status}"
    return words


def holder_words(held: WorkflowAuthority) -> str:
    """Who may advance it, as short as it can be told apart."""
    return held.holder[:_SHORT_HOLDER] or "nobody"


def _did(entry: WorkflowHistoryEntry) -> str:
    words = act_words(entry.act)
    if entry.began and entry.act.event != "created":
        words = f"created, {words}"
    if entry.authority is not None and entry.act.event in ("taken", "released"):
        words += f": {holder_words(entry.authority)}, token {entry.authority.token}"
    return words


def _progress(found: Workflow) -> str:
    tally = found.counters
    failed = f", {tally.failed} failed" if tally.failed else ""
    return f"{tally.completed} of {tally.total}{failed}" if tally.total else ""
