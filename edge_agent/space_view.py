"""One space while a group of commits is judged: what was loaded, and what the group makes of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_agent import standing as standings
from edge_agent import statements, states
from edge_agent.outbox import Emptying, Outbox
from edge_agent.requests import Write
from edge_agent.standing import Standing
from edge_agent.states import HubRecord, Name, Overlaid
from sync.policy import Policies

READS = statements.load("reads")


@dataclass(slots=True)
class SpaceView:
    """One space while a group is judged: what was loaded, and what the group has made of it."""

    standing: Standing
    policies: Policies
    hub: dict[Name, HubRecord]
    over: dict[Name, Overlaid]
    last_seq: int
    touched: dict[Name, Overlaid] = field(default_factory=dict)
    emptied: list[Emptying] = field(default_factory=list)


def load_view(
    connection: sqlite3.Connection, outbox: Outbox, space: str, writes: Sequence[Write]
) -> SpaceView:
    """The state that writes of one space are judged on, within a snapshot of the caller. Its
    policies are for the caller to set: those of the standing's policies_revision."""
    standing = standings.load(connection, space)
    names = {
        (one.collection, one.key)
        for write in writes
        for one in (*write.requests, *write.preconditions)
    }
    return SpaceView(
        standing,
        Policies(),
        states.hub_records(connection, space, names),
        states.overlaid(connection, space, names) if standing.seen else {},
        outbox.counter(space, outbox.origin.ordinal).last_seq,
    )


def load_policies(connection: sqlite3.Connection, space: str) -> Policies:
    """The policies of a space as the replica has them. The hub takes only sound ones."""
    policies = Policies()
    for key, value in connection.execute(READS["policies"], (space,)):
        policies = policies.with_record(key, value)
    return policies
