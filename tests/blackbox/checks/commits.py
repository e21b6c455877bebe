"""What clients were told of their commits, against the log and the log of conflicts."""

from __future__ import annotations

from collections import defaultdict

from tests.blackbox.history import OK, REFUSED, STRONG, Commit, Decided, History, Op
from tests.blackbox.hub_log import HubLog, logs_of

WHOLE = frozenset({"applied", "merged"})
"""Outcomes with which all of a commit is in the result."""


def attempts_of(history: History) -> dict[tuple[str, str], list[Commit]]:
    """The attempts of each commit that has an id, in the order in which they were begun."""
    found: dict[tuple[str, str], list[Commit]] = defaultdict(list)
    for one in sorted(history.commits, key=lambda commit: commit.invoked_s):
        if one.commit_id:
            found[one.space, one.commit_id].append(one)
    return found


def acknowledged_are_decided(history: History) -> list[str]:
    """Every acknowledged commit is in the log, under the op id and at the place that were told."""
    logs, problems = logs_of(history), []
    for (space, commit_id), attempts in attempts_of(history).items():
        for one in attempts:
            if one.status != OK:
                continue
            entry = logs[space].by_id.get(commit_id)
            name = f"{space}: commit {commit_id[:8]}, acknowledged by {one.door}"
            if entry is None:
                problems.append(f"{name}, is not in the log")
            elif one.decided[1] and one.decided != entry.place:
                problems.append(f"{name} as {one.decided[1]}, is at {entry.place[1]}")
            elif one.decided[1] and one.outcome != entry.outcome:
                problems.append(f"{name} as {one.outcome}, is {entry.outcome}")
    return problems


def refused_never_appear(history: History) -> list[str]:
    """Of a commit whose every attempt was refused there is no trace. A strong one that the hub has
    refused has its number in the log, and no effect, and waits for nobody in the inbox."""
    logs = logs_of(history)
    rows = {(row.space, row.revision) for row in history.conflicts if row.state == "open"}
    problems = []
    for (space, commit_id), attempts in attempts_of(history).items():
        entry = logs[space].by_id.get(commit_id)
        if entry is None or any(one.status != REFUSED for one in attempts):
            continue
        named = (space, entry.place[1]) in rows
        counted = attempts[0].level == STRONG and entry.outcome == "rejected" and not entry.writes
        if named or not counted:
            problems.append(
                f"{space}: commit {commit_id[:8]} was refused with {attempts[-1].reason}, and is"
                f" {entry.outcome} at {entry.place[1]}{', in the inbox' if named else ''}"
            )
    return problems


def losers_are_named(history: History) -> list[str]:
    """What an acknowledged commit asked for is in the state that it left, or the log of conflicts
    names it."""
    logs = logs_of(history)
    rows: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in history.conflicts:
        rows[row.space, row.revision].add(row.path)
    problems = []
    for (space, commit_id), attempts in attempts_of(history).items():
        entry = logs[space].by_id.get(commit_id)
        if entry is not None and any(one.status == OK for one in attempts):
            named = rows[space, entry.place[1]]
            problems += [
                f"{space}: {entry.place[1]} ({entry.outcome}): {text}"
                for text in _unaccounted(attempts[0], entry, logs[space], named)
            ]
    return problems


def _unaccounted(commit: Commit, entry: Decided, log: HubLog, named: set[str]) -> list[str]:
    if entry.outcome == "coalesced":
        return []
    if entry.outcome == "rejected":
        return [] if named else ["its payload is kept nowhere"]
    if entry.outcome == "lost":
        return ["it is lost"]
    last = {op.path: op for op in commit.ops}
    gone = [
        path
        for path, op in last.items()
        if path not in named and not _is_in(op, log.state(path, entry.place)[1])
    ]
    return [f"{path} has nothing of it, and no conflict names it" for path in gone]


def _is_in(op: Op, value: dict[str, object] | None) -> bool:
    if op.kind == "delete":
        return value is None
    if op.kind == "add":
        return value is not None
    return value is not None and all(value.get(k) == v for k, v in op.value.items())
