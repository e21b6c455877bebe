"""What this edge has, as it is told to its callers: records, outcomes, histories, events.

Invariant: an event fits a message; values for which there is no room are left out and named so.
"""

from __future__ import annotations

from edge_agent import requests as ask
from edge_agent.events import Event
from edge_agent.retrospect import Decision, Entry
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from sync.codec import requests as convert
from sync.codec import version_to
from sync.room import Room


def record_to(found: ask.Record) -> record.Record:
    """A record as it travels."""
    return record.Record(
        collection=found.collection,
        key=found.key,
        json=found.value.decode(),
        version=version_to(found.version),
        actor=convert.actor_to(found.actor),
        deleted=found.deleted,
        stamp=found.stamp,
    )


def decision_to(space: str, decision: Decision) -> record.Outcome:
    """What became of a commit, as it travels."""
    if decision.outcome is None:
        return record.Outcome(
            op_id=convert.op_id_to(space, decision.op_id), reason=decision.unknown
        )
    return convert.outcome_to(space, decision.op_id, decision.outcome, decision.position)


def entry_to(space: str, entry: Entry) -> pb.HistoryEntry:
    """A commit in a history, as it travels."""
    return pb.HistoryEntry(
        outcome=decision_to(space, entry.decision),
        actor=convert.actor_to(entry.actor),
        stamp=entry.stamp,
        claimed=entry.claimed,
        ops=convert.ops_to(entry.ops),
        previous_revision=entry.previous,
        correlation_id=entry.extra.correlation_id,
        causation_id=entry.extra.causation_id,
    )


def _change(change: ask.Change, room: Room) -> pb.Change:
    told = record_to(change.record)
    fits = room.takes(len(change.record.value))
    if not fits:
        told.json = ""
    return pb.Change(record=told, previous_revision=change.previous, omitted=not fits)


def event_to(space: str, event: Event) -> pb.CommitEvent:
    """A commit that a watch tells of, as it travels."""
    position, room = None if event.pending else event.position, Room()
    return pb.CommitEvent(
        changes=[_change(change, room) for change in event.changes],
        outcome=convert.outcome_to(space, event.op_id, event.outcome, position),
        actor=convert.actor_to(event.actor),
        correlation_id=event.extra.correlation_id,
        causation_id=event.extra.causation_id,
    )
