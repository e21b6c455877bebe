"""What is found in the files, beside what clients and watchers were told.

Files are read by connections of their own, between two turns of the loop: as an outsider would.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_hub.change_log import LogRow
from sync import digest as digests
from tests.blackbox.hub_rows import LOG, Entry, Name, entries_of
from tests.simulation.history import History, Sample

if TYPE_CHECKING:
    from tests.simulation.machines import EdgeMachine
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """One row of the log of conflicts."""

    revision: int
    collection: str
    key: str
    field: str
    ours_value: bytes | None
    theirs_value: bytes | None
    winner: str
    kind: str
    id: bytes
    state: str


@dataclass
class Space:
    """What the hub has of one space."""

    name: str
    entries: list[Entry]
    conflicts: list[ConflictRow]
    records: dict[Name, tuple[int, bool, bytes]]
    digests: dict[str, tuple[int, int]]
    head: int


@dataclass
class Evidence:
    """Everything that checkers judge by."""

    history: History
    spaces: dict[str, Space]
    rebuilds: dict[str, dict[str, int]]
    system_ids: set[bytes]
    damaged: set[bytes]
    """Commit ids whose row in an outbox was damaged."""
    kinds: frozenset[str]
    """Kinds of faults that happened."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


# -- the hub -----------------------------------------------------------------


def hub_space(connection: sqlite3.Connection, space: str) -> Space:
    """All of one space."""
    rows = [LogRow(*row) for row in connection.execute(LOG, (space,))]
    head = connection.execute("SELECT revision FROM heads WHERE space = ?", (space,)).fetchone()
    return Space(
        space,
        [entry for row in rows for entry in entries_of(row, space)],
        [
            ConflictRow(row[0], row[1], row[2], row[3].decode(), *row[4:])
            for row in connection.execute(
                "SELECT revision, collection, key, field, ours_value, theirs_value, winner, kind,"
                " id, state"
                " FROM conflicts WHERE space = ?", (space,)
            )
        ],
        {
            (collection, key): (revision, bool(deleted), value)
            for collection, key, revision, deleted, value in connection.execute(
                "SELECT collection, key, revision, deleted, value FROM records WHERE space = ?",
                (space,),
            )
        },
        hub_digests(connection, space),
        head[0] if head else 0,
    )  # fmt: skip


def hub_digests(connection: sqlite3.Connection, space: str) -> dict[str, tuple[int, int]]:
    rows = connection.execute(
        "SELECT collection, digest, records FROM digests WHERE space = ?", (space,)
    )
    return {row[0]: (row[1], row[2]) for row in rows if row[2]}


def gather(world: World) -> Evidence:
    """What is left at the end."""
    with opened(world.hub.directory / "hub.db") as connection:
        spaces = {space: hub_space(connection, space) for space in world.plan.spaces}
    rebuilds = {}
    for edge in world.edges:
        with opened(edge.directory / "outbox.db") as connection, contextlib.suppress(sqlite3.Error):
            rebuilds[edge.name] = dict(connection.execute("SELECT reason, count FROM rebuilds"))
    kinds = frozenset(fault.kind for fault in world.plan.faults)
    return Evidence(world.history, spaces, rebuilds, world.system_ids, world.damaged, kinds)


# -- an edge -----------------------------------------------------------------


def samples(edge: EdgeMachine, now_s: float) -> list[Sample]:
    """The state of an edge, unless it is in the middle of taking commits."""
    agent = edge.agent
    if not edge.up or agent is None:
        return []
    if agent.files.writing.locked() or agent.store._view_is_behind:
        return []
    damaged = any(fault.kind == "damaged_replica" for fault in edge.world.plan.faults)
    try:
        return _samples(edge, now_s, agent.files.alarms.names)
    except sqlite3.DatabaseError:
        if damaged:  # in a page that the edge itself has not had to read yet
            return []
        raise


def _samples(edge: EdgeMachine, now_s: float, alarms: tuple[str, ...]) -> list[Sample]:
    found = []
    with (
        opened(edge.directory / "replica.db") as replica,
        opened(edge.directory / "outbox.db") as outbox,
    ):
        ids = {row[0] for row in outbox.execute("SELECT commit_id FROM outbox WHERE idx = 0")}
        for space in edge.world.plan.spaces:
            sample = _sample(edge, space, now_s, replica, outbox)
            sample.alarms = alarms
            sample.damaged = not ids.isdisjoint(edge.world.damaged)
            found.append(sample)
    return found


def _sample(
    edge: EdgeMachine, space: str, now_s: float, replica: sqlite3.Connection,
    outbox: sqlite3.Connection,
) -> Sample:  # fmt: skip
    replica.execute("BEGIN")
    cursor = replica.execute("SELECT epoch, revision FROM cursors WHERE space = ?", (space,))
    epoch, revision = cursor.fetchone() or (0, 0)
    records = {
        (collection, key): (at, bool(deleted), value.decode())
        for collection, key, at, deleted, value in replica.execute(
            "SELECT collection, key, revision, deleted, value FROM records WHERE space = ?",
            (space,),
        )
    }
    view = {name: value for name, (_, deleted, value) in records.items() if not deleted}
    overlay = replica.execute(
        "SELECT collection, key, deleted, value FROM overlay WHERE space = ?", (space,)
    )
    for collection, key, deleted, value in overlay:
        view.pop((collection, key), None)
        if not deleted:
            view[collection, key] = value.decode()
    own = replica.execute(
        "SELECT ordinal, origin, decided_seq FROM own WHERE space = ?", (space,)
    ).fetchall()
    decided = {ordinal: seq for ordinal, _, seq in own}
    replica.execute("COMMIT")
    rows = outbox.execute(
        "SELECT ordinal, seq, idx, collection, key, kind, payload FROM outbox"
        " WHERE space = ? AND kind IS NOT NULL ORDER BY ordinal, seq, idx", (space,)
    )  # fmt: skip
    pending = [tuple(row) for row in rows if row[1] > decided.get(row[0], 0)]
    scope = edge.scopes[space]
    covered = None if scope.whole else scope.collections
    return Sample(
        edge.name, now_s, space, covered, epoch, revision, records, view, pending,
        {origin: seq for _, origin, seq in own if seq},
    )  # fmt: skip


# -- whether all has come together -------------------------------------------


async def unsettled(world: World) -> list[str]:
    """What still differs between the hub and the edges; empty when nothing does."""
    if not world.hub.up:
        return ["the hub is not up"]
    found: list[str] = []
    with opened(world.hub.directory / "hub.db") as hub:
        for edge in world.edges:
            found += _unsettled_edge(world, edge, hub)
    return found


def _unsettled_edge(world: World, edge: EdgeMachine, hub: sqlite3.Connection) -> list[str]:
    if not edge.up or edge.agent is None:
        return [f"{edge.name} is not up"]
    found: list[str] = []
    with (
        opened(edge.directory / "replica.db") as replica,
        opened(edge.directory / "outbox.db") as outbox,
    ):
        for space in world.plan.spaces:
            found += _unsettled_space(edge, space, hub, replica, outbox)
    link = f"{edge.agent.uplink.state}, {edge.agent.uplink.reason}"
    return [f"{edge.name}: {text} (link {link})" for text in found]


def _unsettled_space(
    edge: EdgeMachine, space: str, hub: sqlite3.Connection, replica: sqlite3.Connection,
    outbox: sqlite3.Connection,
) -> list[str]:  # fmt: skip
    found = []
    head = _one(hub, "SELECT revision FROM heads WHERE space = ?", space)
    cursor = _one(replica, "SELECT revision FROM cursors WHERE space = ?", space)
    if cursor != head:
        found.append(f"{space} is at {cursor} of {head}")
    decided = dict(
        replica.execute("SELECT ordinal, decided_seq FROM own WHERE space = ?", (space,)).fetchall()
    )
    for ordinal, last in outbox.execute(
        "SELECT ordinal, last_seq FROM counters WHERE space = ?", (space,)
    ):
        if last > decided.get(ordinal, 0):
            found.append(f"{space} has {last - decided.get(ordinal, 0)} pending")
    scope = edge.scopes[space]
    theirs = {c: d for c, d in hub_digests(hub, space).items() if scope.covers(c)}
    ours = hub_digests(replica, space)
    if cursor == head and theirs != ours:
        found.append(f"{space} has other digests than the hub: {ours} {theirs}")
    return found


def _one(connection: sqlite3.Connection, question: str, space: str) -> int:
    row = connection.execute(question, (space,)).fetchone()
    return int(row[0]) if row else 0


def true_digests(space: str, records: dict[Name, tuple[int, bool, bytes]]) -> dict[str, Any]:
    """Digests computed anew from records."""
    found: dict[str, tuple[int, int]] = {}
    for (collection, key), (revision, deleted, value) in records.items():
        if not deleted:
            digest, count = found.get(collection, (digests.EMPTY, 0))
            one = digests.record_digest(space, collection, key, revision, value)
            found[collection] = (digests.combine(digest, one), count + 1)
    return {name: (digests.to_signed(digest), count) for name, (digest, count) in found.items()}


def sometimes(found: Evidence) -> Counter[str]:
    """What a run has come across: a sweep tells what none of its runs did."""
    reached: Counter[str] = Counter()
    for space in found.spaces.values():
        reached.update(f"outcome {entry.outcome.kind.name.lower()}" for entry in space.entries)
        reached.update(f"conflict {row.kind}" for row in space.conflicts)
        reached.update(f"state {row.state}" for row in space.conflicts)
    for wanted in found.history.wanted:
        reached.update(f"refused {one.reason}" for one in wanted.attempts if one.end == "refused")
    reached.update(f"fault {kind}" for kind in found.kinds)
    return reached
