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


def each_takes_effect_once(found: Evidence) -> list[str]:
    """Of all places of one commit id in the log, at most the first has an effect, and a commit has
    one id."""
    problems = []
    for space in found.spaces.values():
        for commit_id, entries in _by_id(space).items():
            again = [e.revision for e in entries[1:] if any(op.kind for op in e.ops)]
            if again:
                problems.append(
                    f"{space.name}: commit {commit_id.hex()[:8]} of {entries[0].revision} takes"
                    f" effect again at {again}"
                )
    for wanted in found.history.wanted:
        ids = {one.commit_id for one in wanted.acknowledged}
        if len(ids) > 1 and wanted.commit_id:
            problems.append(f"commit {wanted.number} was acknowledged under {len(ids)} ids")
    return problems


def acknowledged_are_decided(found: Evidence) -> list[str]:
    """Every acknowledged commit is in the log; what a hub's answer says of it is true."""
    problems = []
    for wanted, entries in _pairs(found):
        if not wanted.acknowledged:
            continue
        if not entries and not wanted.may_be_lost:
            one = wanted.acknowledged[0]
            problems.append(
                f"commit {wanted.number} ({one.origin.hex()[:6]}:{one.seq}), acknowledged by"
                f" {one.door} at {one.ended_s:.2f}, is not in the log"
            )
        lost = [entry.revision for entry in entries if entry.outcome.kind is OutcomeKind.LOST]
        if lost and not found.damaged.intersection(entry.commit_id for entry in entries):
            problems.append(f"commit {wanted.number} is declared lost at {lost[0]}")
        places = {entry.revision: entry for entry in entries}
        for one in wanted.acknowledged:
            if one.revision and entries:
                entry = places.get(one.revision)
                if entry is None or entry.outcome.kind != one.outcome:
                    problems.append(f"commit {wanted.number} is not at {one.revision} as told")
    return problems


def refused_never_appear(found: Evidence) -> list[str]:
    """Of a commit whose every attempt was refused there is no trace; nor of any that nobody
    wanted."""
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
    by_space = {name: _by_id(space) for name, space in found.spaces.items()}
    for wanted in found.history.wanted:
        known |= {one.commit_id for one in wanted.acknowledged} | {wanted.commit_id}
        if wanted.refused or not wanted.attempts:
            at = numbers.get((wanted.space, wanted.number))
            entries = by_space[wanted.space].get(wanted.commit_id, [])
            if at is not None or entries:
                at = at or entries[0].revision
                problems.append(f"commit {wanted.number} was refused, and is decided at {at}")
    strangers = {i for space in by_space.values() for i in space if i not in known}
    unknown = sum(
        1 for w in found.history.wanted for one in w.attempts
        if one.end == "unknown" and not w.commit_id
    )  # fmt: skip
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
        if not entries or entries[0].outcome.kind in NO_EFFECT:
            continue
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
