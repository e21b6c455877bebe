"""Watchers: ordered, each commit once and whole, none left out."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from sync.commit import Kind
from tests.blackbox.hub_rows import Entry, Name
from tests.blackbox.replay import Replay
from tests.simulation.evidence import Evidence
from tests.simulation.history import WatchedCommit, WatchLog

EXPECTED_FAULTS = frozenset({"COMPACTED"})

Changes = dict[Name, tuple[bool, Any, int]]


def streams_are_whole(found: Evidence) -> list[str]:
    """Every stream of every watcher, against the log."""
    told: dict[str, dict[int, Changes]] = {}
    entries: dict[str, dict[int, Entry]] = {}
    for name, space in found.spaces.items():
        replay = Replay(space.entries)
        told[name] = {e.revision: _changes(e, replay) for e in space.entries}
        entries[name] = {e.revision: e for e in space.entries}
    problems = []
    for log in found.history.watches:
        problems += _judge(log, told[log.space], entries[log.space])
    return problems


def _changes(entry: Entry, replay: Replay) -> Changes:
    """What a watcher is to be told of a commit."""
    found: Changes = {}
    for op in entry.ops:
        if op.kind != Kind.NONE:
            name = (op.collection, op.key)
            value = replay.at(name, entry.revision)
            before = replay.state(name, entry.revision - 1)[0]
            found[name] = (value is None, value, before)
    return found


def _judge(log: WatchLog, told: dict[int, Changes], entries: dict[int, Entry]) -> list[str]:
    where = f"watch of {log.space} at {log.name}"
    problems = [f"{where}: {fault}" for fault in log.faults if fault not in EXPECTED_FAULTS]
    revisions = [commit.revision for commit in log.commits]
    if any(a >= b for a, b in pairwise(revisions)):
        problems.append(f"{where}: out of order or twice: {revisions}")
    for commit in log.commits:
        entry = entries.get(commit.revision)
        if entry is None or (entry.origin, entry.seq) != (commit.origin, commit.seq):
            problems.append(f"{where}: {commit.revision} is not in the log as told")
            continue
        wanted = _within(told[commit.revision], log.collection)
        if _plain(commit) != _comparable(wanted):
            problems.append(
                f"{where}: {commit.revision} was told as {_plain(commit)}, is {_comparable(wanted)}"
            )
    told_here = set(revisions)
    missing = [
        revision
        for revision in range(max(log.began_at, 0) + 1, log.reached + 1)
        if revision not in told_here and _within(told.get(revision, {}), log.collection)
    ]
    if missing and log.began_at >= 0:
        problems.append(
            f"{where}: {missing[:5]} of {log.began_at + 1} to {log.reached} are missing"
        )
    return problems


def _within(changes: Changes, collection: str) -> Changes:
    return {n: change for n, change in changes.items() if not collection or n[0] == collection}


def _comparable(changes: Changes) -> Changes:
    return {name: (gone, None if gone else v, at) for name, (gone, v, at) in changes.items()}


def _plain(commit: WatchedCommit) -> Changes:
    return {
        name: (gone, None if gone else json.loads(value), before)
        for name, (gone, value, before) in commit.changes.items()
    }
