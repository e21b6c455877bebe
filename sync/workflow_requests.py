"""What is asked of a workflow that another node may advance, when its parent was told something.

A request is a record under the key of the workflow that it is asked of. Anybody may add one; only
who has the authority over that workflow carries it out, and removes it in the same commit.

Invariant: `request_from(request.encode()) == request`.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from sync import values
from sync.canonical_json import SORTED
from sync.commit import Actor, ActorKind
from sync.workflow_definitions import InvalidWorkflow


@dataclass(frozen=True, slots=True)
class ParentTold:
    """A parent (by its key) was told an event: by whom, when and why."""

    event: str
    parent: str
    actor: Actor
    at_ms: int
    note: str = ""

    def encode(self) -> bytes:
        """The record's value."""
        said = {
            "event": self.event,
            "parent": self.parent,
            "actor": {"id": self.actor.id, "kind": self.actor.kind.name.lower()},
            "at_ms": self.at_ms,
            "note": self.note,
        }
        return values.canonical(orjson.dumps(said, None, SORTED))


def request_from(value: bytes) -> ParentTold:
    """A request from its record. Raises InvalidWorkflow if it is none."""
    try:
        said = orjson.loads(value)
        actor = Actor(said["actor"]["id"], ActorKind[said["actor"]["kind"].upper()])
        return ParentTold(said["event"], said["parent"], actor, int(said["at_ms"]), said["note"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidWorkflow("the record of a request cannot be read") from error
