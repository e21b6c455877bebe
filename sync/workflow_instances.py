"""An instance of a workflow as its record: what it says, and that nobody has altered it.

The record carries a hash over all else that it says, as canonical JSON. Only one node at a time
writes it, whole, so the hash always fits; where it does not, the record was damaged, or written
past its service, and it is told so instead of being acted upon.

Invariant: `decode(encode(instance)) == instance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

import orjson

from sync import values, workflow
from sync.authority import MEMBER, Authority, authority_of
from sync.canonical_json import SORTED
from sync.commit import Actor, ActorKind
from sync.values import InvalidValue
from sync.work_keys import workflow_key
from sync.workflow_definitions import Reference

HASH = "hash"
"""The member that holds the hash over all others."""

NOTHING = b"{}"


class Damaged(Exception):
    """A record that is not what its hash says."""

    reason = "WORKFLOW_DAMAGED"


class Routing(StrEnum):
    """How the next agent is chosen; by whoever chooses it."""

    SEMANTIC = "semantic"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    LEAST_LOADED = "least-loaded"


class StepStatus(StrEnum):
    """Where a step, or one attempt at it, stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Counters:
    """Steps: how many there are, how many are done, how many have failed."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Last:
    """The newest thing that was done with an instance; older ones are in the log."""

    event: str
    """Of the table; or `created`, `saved`, `recorded`, `taken`, `released`."""
    actor: Actor
    at_ms: int
    before: str = ""
    """The state before, where the event is one of the table."""
    exits: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    note: str = ""
    because: str = ""
    """Key of the parent whose event this one follows."""
    step: str = ""
    """The one that it is about."""
    attempt: int = 0
    """Where something was recorded: at the step."""
    status: StepStatus | None = None
    """What has become of that attempt."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One workflow. Times are unix milliseconds, zero: not yet."""

    id: str
    incarnation: int
    authority: Authority
    last: Last
    state: str = workflow.PENDING
    definition: Reference | None = None
    metadata: bytes = NOTHING
    """A JSON object, canonical."""
    counters: Counters = Counters()
    steps: Mapping[str, StepStatus] = field(default_factory=dict)
    step: str = ""
    """The one that is being executed."""
    routing: Routing = Routing.SEMANTIC
    priority: int = 0
    agent: str = ""
    parent: str = ""
    """Key of the parent's record; empty: none."""
    on_parent: Mapping[str, str] = field(default_factory=dict)
    """What to do when the parent is told something; see sync.workflow_rules."""
    correlation_id: str = ""
    created_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0

    @property
    def key(self) -> str:
        """Of its record."""
        return workflow_key(self.id, self.incarnation)

    @property
    def status(self) -> str:
        """The outermost part of its state."""
        return workflow.status_of(self.state)

    @property
    def ended(self) -> bool:
        return self.state in workflow.ENDS

    def encode(self) -> bytes:
        """The record's value, with its hash. Raises InvalidValue, VALUE_TOO_LARGE."""
        texts = {name: orjson.dumps(member, None, SORTED) for name, member in self._members()}
        texts |= {MEMBER: self.authority.encode(), "metadata": self.metadata}
        return values.join({**texts, HASH: orjson.dumps(_hash(texts))})

    def _members(self) -> list[tuple[str, Any]]:
        named = self.definition
        reference = None
        if named is not None:
            reference = {"name": named.name, "version": named.version, "hash": named.hash}
        tally = self.counters
        return [
            ("id", self.id),
            ("incarnation", self.incarnation),
            ("status", self.status),
            ("state", self.state),
            ("last", _last_to(self.last)),
            ("definition", reference),
            (
                "counters",
                {"total": tally.total, "completed": tally.completed, "failed": tally.failed},
            ),
            ("steps", {step: str(status) for step, status in self.steps.items()}),
            ("step", self.step),
            ("routing", str(self.routing)),
            ("priority", self.priority),
            ("agent", self.agent),
            ("parent", self.parent),
            ("on_parent", dict(self.on_parent)),
            ("correlation_id", self.correlation_id),
            ("created_ms", self.created_ms),
            ("started_ms", self.started_ms),
            ("ended_ms", self.ended_ms),
        ]


def decode(value: bytes) -> Instance:
    """An instance from its record. Raises Damaged."""
    try:
        texts = values.fields(value)
        told = orjson.loads(texts.pop(HASH, b"null"))
        found = authority_of(value)
        if told != _hash(texts) or found is None:
            raise Damaged("the workflow's record is not what its hash says")
        plain = {name: orjson.loads(text) for name, text in texts.items() if name != "metadata"}
        return _decoded(plain, texts["metadata"], found)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidValue) as error:
        raise Damaged(f"the workflow's record cannot be read: {type(error).__name__}") from error


def _decoded(said: Mapping[str, Any], metadata: bytes, found: Authority) -> Instance:
    named = said["definition"]
    if said["state"] not in workflow.LEAVES:
        raise Damaged(f"the workflow is in no state that is known here: {said['state']!r}")
    return Instance(
        id=said["id"],
        incarnation=said["incarnation"],
        authority=found,
        last=last_from(said["last"]),
        state=said["state"],
        definition=None if named is None else Reference(**named),
        metadata=metadata,
        counters=Counters(**said["counters"]),
        steps={step: StepStatus(status) for step, status in said["steps"].items()},
        step=said["step"],
        routing=Routing(said["routing"]),
        priority=said["priority"],
        agent=said["agent"],
        parent=said["parent"],
        on_parent=said["on_parent"],
        correlation_id=said["correlation_id"],
        created_ms=said["created_ms"],
        started_ms=said["started_ms"],
        ended_ms=said["ended_ms"],
    )


def _hash(texts: Mapping[str, bytes]) -> str:
    return sha256(values.join(texts)).hexdigest()


def _last_to(last: Last) -> dict[str, Any]:
    said: dict[str, Any] = {
        "event": last.event,
        "actor": {"id": last.actor.id, "kind": last.actor.kind.name.lower()},
        "at_ms": last.at_ms,
    }
    if last.before:
        transition = {"from": last.before, "exits": last.exits, "entries": last.entries}
        said |= transition
    optional = {
        "note": last.note, "because": last.because, "step": last.step, "attempt": last.attempt,
        "status": last.status and str(last.status),
    }  # fmt: skip
    return said | {name: member for name, member in optional.items() if member}


def last_from(said: Mapping[str, Any]) -> Last:
    """What was done, from the member `last` of a record. Raises KeyError, ValueError, TypeError."""
    actor, status = said["actor"], said.get("status")
    return Last(
        event=said["event"],
        actor=Actor(actor["id"], ActorKind[actor["kind"].upper()]),
        at_ms=said["at_ms"],
        before=said.get("from", ""),
        exits=tuple(said.get("exits", ())),
        entries=tuple(said.get("entries", ())),
        note=said.get("note", ""),
        because=said.get("because", ""),
        step=said.get("step", ""),
        attempt=said.get("attempt", 0),
        status=StepStatus(status) if status else None,
    )
