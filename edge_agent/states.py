"""Records of a replica as its writers and readers need them: the hub's part and what is pending.

Loaded for all names of a request at once, a statement per collection.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_agent import statements
from sync.commit import Actor, ActorKind

SQL = statements.load("replica")

Name = tuple[str, str]
"""Collection and key."""


@dataclass(slots=True)
class HubRecord:
    """A record as the hub decided it. `value` is the last one if it is deleted."""

    revision: int
    origin: bytes
    seq: int
    stamp: int
    other: int
    actor_id: str
    actor_kind: int
    deleted: bool
    digest: int
    value: bytes

    @property
    def live(self) -> bytes | None:
        return None if self.deleted else self.value

    @property
    def actor(self) -> Actor:
        return Actor(self.actor_id, ActorKind(self.actor_kind))


@dataclass(slots=True)
class Overlaid:
    """A record as pending commits leave it. `value` is None where there never was one."""

    ordinal: int
    seq: int
    claimed: int
    actor_id: str
    actor_kind: int
    deleted: bool
    value: bytes | None

    @property
    def live(self) -> bytes | None:
        return None if self.deleted else self.value

    @property
    def actor(self) -> Actor:
        return Actor(self.actor_id, ActorKind(self.actor_kind))


def by_collection(names: Iterable[Name]) -> dict[str, list[str]]:
    """Keys by collection, each once."""
    grouped: dict[str, dict[str, None]] = {}
    for collection, key in names:
        grouped.setdefault(collection, {})[key] = None
    return {collection: list(keys) for collection, keys in grouped.items()}


def hub_records(
    connection: sqlite3.Connection, space: str, names: Iterable[Name]
) -> dict[Name, HubRecord]:
    """Those of the named records that the hub has decided on."""
    found: dict[Name, HubRecord] = {}
    for collection, keys in by_collection(names).items():
        rows = connection.execute(SQL["records"], (space, collection, json.dumps(keys)))
        for key, *columns in rows:
            found[collection, key] = HubRecord(*columns)
    return found


def overlaid(
    connection: sqlite3.Connection, space: str, names: Iterable[Name]
) -> dict[Name, Overlaid]:
    """Those of the named records that have pending operations."""
    found: dict[Name, Overlaid] = {}
    for collection, keys in by_collection(names).items():
        rows = connection.execute(SQL["overlay"], (space, collection, json.dumps(keys)))
        for key, *columns in rows:
            found[collection, key] = Overlaid(*columns)
    return found


def live_value(
    hub: Mapping[Name, HubRecord], over: Mapping[Name, Overlaid], name: Name
) -> bytes | None:
    """The value in the view, None if the record is absent from it."""
    if name in over:
        return over[name].live
    return hub[name].live if name in hub else None
