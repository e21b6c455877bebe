"""What clients were told, against the log: each acknowledged commit once, no refused one ever."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sync.commit import Kind, OutcomeKind
from sync.names import is_inbox
from tests.blackbox.hub_rows import Entry
from tests.simulation.evidence import Evidence, Space
from tests.simulation.history import Wanted

NO_ID = bytes(16)
NO_EFFECT = (OutcomeKind.REJECTED, OutcomeKind.COALESCED, OutcomeKind.LOST)
PARTIAL = (*NO_EFFECT, OutcomeKind.SUPERSEDED, OutcomeKind.MERGED)


def _by_id(space: Space) -> dict[bytes, list[Entry]]:
    found: dict[bytes, list[Entry]] = defaultdict(list)
    for entry in space.entries:
        if entry.commit_id != NO_ID:
            found[entry.commit_id].append(entry)
    return found


def _pairs(found: Evidence) -> Iterator[tuple[Wanted, list[Entry]]]:
    """Every commit that has a known id, with what the log has of it."""
    by_space = {name: _by_id(space) for name, space in found.spaces.items()}
    for wanted in found.history.wanted:
        ids = {one.commit_id for one in wanted.acknowledged} | {wanted.commit_id} - {b""}
        for commit_id in ids:
            yield wanted, by_space[wanted.space].get(commit_id, [])


def each_has_one_id(found: Evidence) -> list[str]:
    """However often a commit was acknowledged, it was under one id."""
    return [
        f"commit {wanted.number} was acknowledged under several ids"
        for wanted in found.history.wanted
        if wanted.commit_id and len({one.commit_id for one in wanted.acknowledged}) > 1
    ]


def none_is_declared_lost(found: Evidence) -> list[str]:
    """But those whose row was damaged."""
    return [
        f"commit {wanted.number} is declared lost at {entry.revision}"
        for wanted, entries in _pairs(found)
        for entry in entries
        if entry.outcome.kind is OutcomeKind.LOST
        and wanted.acknowledged
        and not found.damaged.intersection(one.commit_id for one in entries)
    ]


def nobody_else_writes(found: Evidence) -> list[str]:
    """Of what every attempt was refused for there is no content anywhere, and the log has no commit
    that nobody wanted."""
    numbers: dict[tuple[str, int], int] = {}
    known = set(found.system_ids)
    for space in found.spaces.values():
        ids = {entry.commit_id for entry in space.entries}
        for entry in space.entries:
            if opens_a_conflict(entry) and entry.extra.causation_id in ids:
                known.add(entry.commit_id)
            for number in _numbers(entry):
                numbers.setdefault((space.name, number), entry.revision)
    problems = []
    for wanted in found.history.wanted:
        known |= {one.commit_id for one in wanted.acknowledged} | {wanted.commit_id}
        at = numbers.get((wanted.space, wanted.number))
        if at is not None and (wanted.refused or not wanted.attempts):
            problems.append(f"commit {wanted.number} was refused, and its content is at {at}")
    strangers = {i for space in found.spaces.values() for i in _by_id(space) if i not in known}
    unknown = sum(
        1
        for wanted in found.history.wanted
        for one in wanted.attempts
        if one.end == "unknown" and not wanted.commit_id
    )
    if len(strangers) > unknown:
        problems.append(f"{len(strangers)} commits nobody knows, {unknown} attempts without answer")
    return problems


def opens_a_conflict(entry: Entry) -> bool:
    """Whether this is a commit of the hub's own, which puts a conflict into the inbox."""
    return bool(entry.ops) and all(
        op.kind == Kind.CREATE and is_inbox(op.collection) for op in entry.ops
    )


def _numbers(entry: Entry) -> Iterator[int]:
    """The numbers of commits that are written in the content of a decided one."""
    if entry.extra.correlation_id:
        yield int(entry.extra.correlation_id[1:])
    for op in entry.ops:
        if is_inbox(op.collection):
            continue  # the hub's own: what waits for a person, with what others wrote
        if op.kind in (Kind.CREATE, Kind.PATCH) and b'"n":' in op.payload:
            yield json.loads(op.payload)["n"]


def effects_are_what_was_asked(found: Evidence) -> list[str]:
    """An applied commit has its own content; what is added to a tally is what was asked."""
    problems = []
    for wanted, entries in _pairs(found):
        if not entries or not wanted.ops or entries[0].outcome.kind in NO_EFFECT:
            continue  # it had none, or is an answer: that writes what it answers
        entry = entries[0]
        # What is added to a record whose creator was rejected is superseded, and kept as that.
        whole = entry.outcome.kind is not OutcomeKind.SUPERSEDED
        if whole and _tallied(entry) != _asked(wanted):
            problems.append(
                f"commit {wanted.number} at {entry.revision} adds {_tallied(entry)}, asked was"
                f" {_asked(wanted)}"
            )
        writes = any(op.WhichOneof("action") in ("put", "patch") for op in wanted.ops)
        if writes and entry.outcome.kind not in PARTIAL and not _has_number(entry, wanted.number):
            problems.append(f"commit {wanted.number} at {entry.revision} lacks its content")
    return problems


def _has_number(entry: Entry, number: int) -> bool:
    payloads: list[Any] = [
        json.loads(op.payload) for op in entry.ops if op.kind in (Kind.CREATE, Kind.PATCH, 2)
    ]
    return any(payload.get("n") == number for payload in payloads)


def _tallied(entry: Entry) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for op in entry.ops:
        if op.collection == "tallies" and op.kind in (Kind.ADD, Kind.ADD_CREATE):
            sums[op.key] += json.loads(op.payload)["sum"]
    return dict(sums)


def _asked(wanted: Wanted) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for op in wanted.ops:
        if op.collection == "tallies":
            sums[op.key] += op.add.deltas["sum"]
    return dict(sums)
