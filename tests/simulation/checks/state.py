"""States: the hub's is the replay of its log; an edge's is the replay to its cursor, plus what is
pending."""

from __future__ import annotations

import json
from typing import Any

from sync.names import collection_of
from sync.policy import POLICIES
from sync.splicing import SPLICES
from tests.blackbox.hub_rows import Name
from tests.blackbox.replay import Replay, Value, step
from tests.simulation.evidence import Evidence, Space, true_digests
from tests.simulation.history import Sample
from tests.simulation.workloads import levels, ruled

PREVIEWED = {*ruled.POLICIES, levels.COLLECTION}
"""Collections of which a view shows what an edge expects of the hub, or waits for its word."""


def hub_is_replay(found: Evidence) -> list[str]:
    """Records and digests of the hub."""
    problems = []
    for space in found.spaces.values():
        expected = Replay(space.entries).live(space.head)
        actual = {
            name: (revision, json.loads(value))
            for name, (revision, deleted, value) in space.records.items()
            if not deleted
        }
        problems += _differences(f"the hub's {space.name}", expected, actual)
        if true_digests(space.name, space.records) != space.digests:
            problems.append(f"the hub's digests of {space.name} are not those of its records")
    return problems


def edges_are_replays(found: Evidence) -> list[str]:
    """Every sample that was taken of an edge."""
    replays = {name: Replay(space.entries) for name, space in found.spaces.items()}
    problems = []
    for sample in found.history.samples:
        problems += _judge(sample, replays[sample.space], found.spaces[sample.space])
    return problems


def _judge(sample: Sample, replay: Replay, space: Space) -> list[str]:
    where = f"{sample.edge} at {sample.at_s:.2f} s, {sample.space} at {sample.revision}"
    if sample.revision > space.head:
        return [f"{where}: the hub has only {space.head}"]
    covers = sample.collections
    expected = {
        name: state
        for name, state in replay.live(sample.revision).items()
        if covers is None or collection_of(name[0]) in covers or name[0] == POLICIES
    }
    actual = {
        name: (revision, json.loads(value))
        for name, (revision, deleted, value) in sample.records.items()
        if not deleted
    }
    problems = _differences(where, expected, actual)
    newest = {
        entry.origin: entry.seq
        for entry in space.entries[: sample.revision]
        if entry.origin in sample.decided
    }
    if newest != sample.decided:
        problems.append(f"{where}: {sample.decided} is known decided of its own, {newest} is")
    if problems or sample.damaged:
        return problems
    # What becomes of pending splices, and of fields whose rules an edge previews, is the hub's
    # to decide: laws of their own look at that.
    typed = {(row[3], row[4]) for row in sample.pending if row[5] in SPLICES or row[3] in PREVIEWED}
    view: dict[Name, Value] = {name: value for name, (_, value) in expected.items()}
    for _, _, _, collection, key, kind, payload in sample.pending:
        if (collection, key) not in typed:
            view[collection, key] = step(kind, payload, view.get((collection, key)))
    wanted = {name: value for name, value in view.items() if value is not None}
    wanted = {name: value for name, value in wanted.items() if name not in typed}
    shown = {name: json.loads(v) for name, v in sample.view.items() if name not in typed}
    return _differences(f"{where}, with what is pending", wanted, shown)


def _differences(where: str, expected: dict[Name, Any], actual: dict[Name, Any]) -> list[str]:
    if expected == actual:
        return []
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            return [
                f"{where}: {'/'.join(name)} is {actual.get(name)}, should be {expected.get(name)}"
            ]
    return []
