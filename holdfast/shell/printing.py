"""Records, commits and outcomes in words and in JSON.

In JSON ids are hex, times are ISO 8601 in UTC, revisions are numbers, and a record's value stands
as it is stored, digit for digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from holdfast.host.commands import ExitCode
from holdfast.host.output import Output, Verbatim

if TYPE_CHECKING:
    from holdfast.client import (
        Actor,
        Answer,
        Bookmark,
        Change,
        CommitEvent,
        Conflict,
        ConflictAnswer,
        ConflictSide,
        HistoryEntry,
        Op,
        OpId,
        Outcome,
        Position,
        Record,
    )
    from holdfast.client.blocking_client import BlockingReceipt

Document = dict[str, Any]


def show(
    output: Output, columns: Sequence[str], found: Iterable[tuple[Document, Sequence[Any]]]
) -> int:
    """Things of one kind, each as a JSON object and as cells: JSON objects line by line, or a
    table. Returns how many."""
    if not output.as_json:
        rows = [cells for _, cells in found]
        output.table(columns, rows)
        return len(rows)
    count = 0
    for document, _ in found:
        output.event(document, "")
        count += 1
    return count


def moment(stamp: int) -> str:
    """When a stamp was made."""
    return at_ms(stamp >> 16)


def at_ms(unix_ms: int) -> str:
    """A time in UTC; empty for zero."""
    if not unix_ms:
        return ""
    text = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def ago(unix_ms: int, now_ms: int) -> str:
    """How long ago, in words; empty for zero."""
    if not unix_ms:
        return ""
    seconds = max(0, now_ms - unix_ms) / 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def size(count: int) -> str:
    """Bytes in words."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def actor_words(actor: Actor) -> str:
    """Such as anna (human)."""
    return f"{actor.id} ({actor.kind})"


def actor_document(actor: Actor) -> Document:
    """Who."""
    return {"id": actor.id, "kind": str(actor.kind)}


def op_id_document(op_id: OpId) -> Document:
    """The name of a commit."""
    return {
        "space": op_id.space,
        "origin": op_id.origin.hex(),
        "seq": op_id.seq,
        "commit_id": op_id.commit_id.hex(),
    }


def position_document(position: Position | None) -> Document | None:
    """A place in a history."""
    if position is None:
        return None
    return {"epoch": position.epoch, "space": position.space, "revision": position.revision}


def outcome_document(outcome: Outcome) -> Document:
    """What became of a commit, with its name."""
    return {
        "outcome": str(outcome.kind),
        "revision": outcome.position.revision if outcome.position else None,
        "epoch": outcome.position.epoch if outcome.position else None,
        "reason": outcome.reason or None,
        "by": op_id_document(outcome.by) if outcome.by else None,
        **op_id_document(outcome.op_id),
    }


def outcome_words(outcome: Outcome) -> str:
    """Such as: applied at revision 7; pending; rejected (REASON)."""
    at = f" at revision {outcome.position.revision}" if outcome.position else ""
    return str(outcome.kind) + at + (f" ({outcome.reason})" if outcome.reason else "")


def record_document(record: Record) -> Document:
    """A record, as it was read."""
    version = record.version
    return {
        "path": record.path,
        "value": Verbatim(record.json),
        "deleted": record.deleted,
        "actor": actor_document(record.actor),
        "written_at": moment(record.stamp),
        "version": {
            "epoch": version.epoch,
            "revision": version.revision,
            "origin": version.origin.hex(),
            "seq": version.seq,
            "pending": version.pending,
        },
        "served": answer_document(record.answer),
    }


def answer_document(answer: Answer | None) -> Document | None:
    """How a record was read; None for one in a change."""
    if answer is None:
        return None
    return {
        "level": answer.level,
        "revision": answer.position.revision if answer.position else None,
        "staleness_ms": answer.staleness_ms,
        "includes_pending": answer.includes_pending,
    }


def answer_words(answer: Answer | None) -> str:
    """The level, of which revision, and how old it is at most."""
    if answer is None or answer.level is None:
        return "unknown"
    at = answer.position.revision if answer.position else 0
    pending = ", with what is pending" if answer.includes_pending else ""
    return f"{answer.level} at revision {at}, {age_words(answer.staleness_ms)}{pending}"


def age_words(staleness_ms: int | None) -> str:
    """An upper bound of an age."""
    if staleness_ms is None:
        return "age unknown"
    if staleness_ms < 1_000:
        return f"at most {staleness_ms} ms old"
    return f"at most {-(-staleness_ms // 1_000)} s old"


def version_words(record: Record) -> str:
    """Its revision, or that it has none yet."""
    return "pending" if record.version.pending else str(record.version.revision)


def op_document(op: Op) -> Document:
    """What a commit does to one record."""
    from holdfast.client import Add, Patch, Put, SetAdd, SetRemove, Splice

    match op:
        case Put(path, value):
            return {"op": "put", "path": path, "value": value}
        case Patch(path, sets, remove):
            return {"op": "patch", "path": path, "set": sets, "remove": list(remove)}
        case Splice(path, field, runs):
            return {"op": "splice", "path": path, "field": field, "runs": list(runs)}
        case Add(path, deltas):
            return {"op": "add", "path": path, "deltas": dict(deltas)}
        case SetAdd(path, field, elements):
            return {"op": "set_add", "path": path, "field": field, "elements": list(elements)}
        case SetRemove(path, field, elements):
            return {"op": "set_remove", "path": path, "field": field, "elements": list(elements)}
    return {"op": "delete", "path": op.path}


def op_words(op: Op) -> str:
    """What an operation does to its record, without the record's path."""
    document = op_document(op)
    kind = str(document.pop("op"))
    document.pop("path")
    removed = "".join(f" -{name}" for name in document.pop("remove", ()))
    from holdfast.host.output import cell

    return f"{kind} {' '.join(map(cell, document.values()))}".rstrip() + removed


def history_rows(entries: Iterable[HistoryEntry]) -> Iterator[tuple[Document, Sequence[Any]]]:
    """The entries of a history, newest first, for `show`."""
    for entry in entries:
        outcome = entry.outcome
        document = {
            **outcome_document(outcome),
            "actor": actor_document(entry.actor),
            "written_at": moment(entry.stamp),
            "claimed_at": moment(entry.claimed),
            "ops": [op_document(op) for op in entry.ops],
            "previous_revision": entry.previous_revision,
            "correlation_id": entry.correlation_id or None,
            "causation_id": entry.causation_id.hex() or None,
        }
        revision = outcome.position.revision if outcome.position else "pending"
        did = "; ".join(map(op_words, entry.ops))
        cells = (revision, moment(entry.stamp), actor_words(entry.actor), str(outcome.kind), did)
        yield document, cells


HISTORY_COLUMNS = ("revision", "written_at", "actor", "outcome", "did")


def event_document(event: CommitEvent | Bookmark) -> Document:
    """What a watch tells."""
    from holdfast.client import Bookmark

    if isinstance(event, Bookmark):
        return {
            "event": "bookmark",
            "position": position_document(event.position),
            "resume": event.resume_token.hex(),
        }
    return {
        "event": "commit",
        **outcome_document(event.outcome),
        "actor": actor_document(event.actor),
        "changes": [_change_document(change) for change in event.changes],
        "correlation_id": event.correlation_id or None,
        "causation_id": event.causation_id.hex() or None,
        "resume": event.resume_token.hex(),
    }


def _change_document(change: Change) -> Document:
    document = record_document(change.record)
    if change.omitted:
        document |= {"value": None, "omitted": True}
    return document | {"previous_revision": change.previous_revision}


def event_words(event: CommitEvent | Bookmark) -> str:
    """One line: revision, outcome, who, and each record as the commit left it."""
    from holdfast.client import Bookmark

    if isinstance(event, Bookmark):
        return f"{event.position.revision}  up to here"
    at = event.outcome.position
    changed = "; ".join(
        f"{one.record.path} {'deleted' if one.record.deleted else one.record.json or '(large)'}"
        for one in event.changes
    )
    left = f"{at.revision if at else '-'}  {event.outcome.kind}  {actor_words(event.actor)}"
    return f"{left}  {changed}".rstrip()


NO_EFFECT = ("rejected", "lost", "unknown")


def receipt(taken: BlockingReceipt, output: Output, options: Document) -> int:
    """Prints what became of a write, waiting for it if that was asked for; the exit code is REFUSED
    if it had no effect."""
    outcome = taken.outcome(options["timeout"]) if options["wait"] else taken.known
    if output.as_json:
        output.facts(outcome_document(outcome))
    else:
        output.say(f"{outcome_words(outcome)}, commit {outcome.op_id.commit_id.hex()}")
    return ExitCode.REFUSED if outcome.kind in NO_EFFECT else ExitCode.OK


def conflict_document(found: Conflict) -> Document:
    """What was written concurrently, and what was decided."""
    _, collection, key = found.path.split("/", 2)
    return {
        "id": found.id.hex(),
        "collection": collection,
        "key": key,
        "field": found.field or None,
        "revision": found.revision,
        "kind": found.kind,
        "winner": found.winner,
        "algorithm": found.algorithm,
        "state": str(found.state),
        "reason": found.reason or None,
        "detail": found.detail or None,
        "clock_suspect": found.clock_suspect,
        "abridged": found.abridged,
        "rule_version": found.rule_version or None,
        "base": Verbatim(found.base) if found.base is not None else None,
        "result": Verbatim(found.result) if found.result is not None else None,
        "ours": _side(found.ours) if found.ours is not None else None,
        "theirs": _side(found.theirs),
        "answer": _answer(found.answer) if found.answer is not None else None,
    }


def _side(side: ConflictSide) -> Document:
    return {
        "origin": side.origin.hex(),
        "seq": side.seq,
        "actor": actor_document(side.actor) if side.actor is not None else None,
        "written_at": moment(side.stamp),
        "claimed_at": moment(side.claimed),
        "value": Verbatim(side.json) if side.json is not None else None,
    }


def _answer(said: ConflictAnswer) -> Document:
    return {"choice": said.choice, "actor": actor_document(said.actor), "note": said.note or None}
