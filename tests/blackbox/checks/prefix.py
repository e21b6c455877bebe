"""Reads: a state that the history had, with what is pending at the door on top; commits whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.blackbox.history import NOWHERE, OK, Commit, History, Place, Read
from tests.blackbox.hub_log import HubLog, logs_of


def reads_are_states(history: History) -> list[str]:
    """What a read shows as decided is what the log has at the position of the answer."""
    logs, paths = logs_of(history), _paths_by_id(history)
    return [
        f"{read.space}: {read.client} at {read.door} read {path} at {read.place[1]} as {told},"
        f" it was {was}"
        for read in history.reads
        if read.status == OK
        for path, told, was in _differences(read, logs[read.space], paths)
    ]


def _differences(
    read: Read, log: HubLog, paths: dict[str, frozenset[str]]
) -> Iterator[tuple[str, object, object]]:
    pending = {
        path
        for entry in log.undecided(read.place, read.seen)
        for path in (*entry.writes, *paths.get(entry.commit_id, ()))
    }
    for path in read.paths:
        found = read.records.get(path)
        if path in pending or (found is not None and found.pending):
            continue
        place, value = log.state(path, read.place)
        told = (found.place, found.value) if found is not None else (place, None)
        if told != (place, value):
            yield path, found, (place, value)


def _paths_by_id(history: History, kind: str = "") -> dict[str, frozenset[str]]:
    """What each commit wrote, or did in one way."""
    return {
        one.commit_id: frozenset(op.path for op in one.ops if kind in ("", op.kind))
        for one in history.commits
        if one.commit_id
    }


# -- commits whole -----------------------------------------------------------


def commits_are_whole(history: History) -> list[str]:
    """Who sees one record as a commit left it sees no other record as it was before that commit.

    Told by the versions in the answer alone: the log only says which commit a version is."""
    logs, paths = logs_of(history), _paths_by_id(history)
    deletes = _paths_by_id(history, "delete")
    problems = []
    for read in history.reads:
        if read.status == OK and len(read.paths) > 1:
            problems += [
                f"{read.space}: {read.client} at {read.door} sees {one} as {other} does not have it"
                for one, other in _halves(read, logs[read.space], paths, deletes)
            ]
    return problems


def _halves(
    read: Read, log: HubLog, paths: dict[str, frozenset[str]], deletes: dict[str, frozenset[str]]
) -> Iterator[tuple[str, str]]:
    orders = {path: _order(read, path, log, deletes) for path in read.paths}
    for path, found in read.records.items():
        entry = log.by_op.get((found.origin, found.seq))
        if entry is None or entry.outcome not in ("applied", "merged"):
            continue
        if found.pending and entry.base > read.place:
            continue  # the replica fell back: what is pending is shown on less than it was made of
        for other in paths.get(entry.commit_id, frozenset()) & orders.keys() - {path}:
            absent = other not in read.records
            if absent and other in deletes[entry.commit_id]:
                continue
            if absent and found.pending and log.state(other, read.place)[0] > entry.base:
                continue  # deleted meanwhile: an edit brings it back when the hub says so
            # Decided or not, a commit is before all that its origin or the hub put after it.
            if orders[other] < orders[path]:
                yield path, other


def _order(read: Read, path: str, log: HubLog, deletes: dict[str, frozenset[str]]) -> Place:
    """Where the write that made a record what was read of it is decided, sooner or later."""
    found = read.records.get(path)
    if found is not None:
        entry = log.by_op.get((found.origin, found.seq))
        return found.place if entry is None else entry.place
    pending = log.undecided(read.place, read.seen)
    deleted = [one.place for one in pending if path in deletes.get(one.commit_id, ())]
    place, value = log.state(path, read.place)
    return max([*deleted, place if value is None else NOWHERE])


def pairs_agree(history: History) -> list[str]:
    """Records that every commit writes together, with one value, are never read as different.

    Trusts neither versions nor log."""
    problems = []
    for space in history.spaces:
        for pair in _pairs([one for one in history.commits if one.space == space]):
            for read in history.reads:
                if read.space == space and read.status == OK and pair <= set(read.paths):
                    values = [getattr(read.records.get(path), "value", None) for path in pair]
                    if any(value != values[0] for value in values):
                        problems.append(
                            f"{space}: {read.client} at {read.door} reads {sorted(pair)} as"
                            f" {values}"
                        )
    return problems


def _pairs(commits: list[Commit]) -> list[frozenset[str]]:
    written: dict[str, set[frozenset[str]]] = defaultdict(set)
    for one in commits:
        together = frozenset(one.paths)
        equal = all(op.kind == "put" and op.value == one.ops[0].value for op in one.ops)
        for path in one.paths:
            written[path].add(together if equal else frozenset({path}))
    groups = {next(iter(sets)) for sets in written.values() if len(sets) == 1}
    return [group for group in groups if len(group) > 1]
