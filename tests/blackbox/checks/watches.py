"""Watchers: in order, each commit once, none left out, none split, also across reconnects; progress
is told; and all watchers of a space saw one stream."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from tests.blackbox.history import NOWHERE, Decided, History, Place, Told, Value
from tests.blackbox.hub_log import HubLog, logs_of


def streams_are_whole(history: History) -> list[str]:
    """Every watcher's stream, over its whole life, against the log."""
    logs = logs_of(history)
    return [
        f"watch {name} of {lines[0].space}: {text}"
        for name, lines in _by_watch(history).items()
        for text in _judge(lines, logs[lines[0].space])
    ]


def _by_watch(history: History) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = defaultdict(list)
    for line in history.told:
        found[line.watch].append(line)
    return found


def _judge(lines: list[Told], log: HubLog) -> list[str]:
    commits = [line for line in lines if line.what == "commit"]
    return [
        *_order(commits),
        *_progress(lines),
        *_content(commits, log),
        *_left_out(lines, log),
        *_outcomes(lines, log),
    ]


def _order(commits: list[Told]) -> list[str]:
    return [
        f"{b.place[1]} {'again' if a.place == b.place else 'out of order'} after {a.place[1]}"
        for a, b in pairwise(commits)
        if a.place >= b.place
    ]


def _progress(lines: list[Told]) -> list[str]:
    """Bookmarks never fall, nor are they below what was told, nor is told what they were above."""
    problems, reached = [], NOWHERE
    for line in lines:
        if line.what == "bookmark" and line.place < reached:
            problems.append(f"a bookmark at {line.place[1]} after {reached[1]}")
        if line.what in ("began", "bookmark", "commit"):
            reached = max(reached, line.place)
    return problems


def _content(commits: list[Told], log: HubLog) -> list[str]:
    entries = {entry.place: entry for entry in log.entries}
    problems = []
    for line in commits:
        entry = entries.get(line.place)
        if entry is None or (entry.origin, entry.seq) != (line.origin, line.seq):
            problems.append(f"{line.place[1]} is not in the log as told")
        elif line.changes != _within(entry, line.collection):
            wanted = _within(entry, line.collection)
            problems.append(f"{line.place[1]} was told as {line.changes}, is {wanted}")
        elif line.replaced and line.replaced != (before := _replaced(line, log)):
            problems.append(f"{line.place[1]} is said to replace {line.replaced}, not {before}")
    return problems


def _replaced(line: Told, log: HubLog) -> dict[str, int]:
    return {path: log.before(path, line.place)[0][1] for path in line.changes}


def _within(entry: Decided, collection: str) -> dict[str, Value]:
    return {
        path: value
        for path, value in entry.writes.items()
        if not collection or path.partition("/")[0] == collection
    }


def _left_out(lines: list[Told], log: HubLog) -> list[str]:
    began = next((line.place for line in lines if line.what == "began"), None)
    if began is None:
        return []
    reached = max(line.place for line in lines if line.what != "pending")
    told = {line.place for line in lines if line.what == "commit"}
    missing = [
        entry.place[1]
        for entry in log.entries
        if began < entry.place <= reached
        and entry.place not in told
        and _within(entry, lines[0].collection)
    ]
    if not missing:
        return []
    return [f"{missing[:5]} between {began[1]} and {reached[1]} were left out"]


def _outcomes(lines: list[Told], log: HubLog) -> list[str]:
    """What was told as pending is told as decided afterwards, or not decided yet."""
    reached = max((line.place for line in lines if line.what != "pending"), default=NOWHERE)
    when = {
        (line.origin, line.seq): number
        for number, line in enumerate(lines)
        if line.what == "commit"
    }
    problems = []
    for number, line in enumerate(lines):
        if line.what != "pending":
            continue
        entry = log.by_op.get((line.origin, line.seq))
        due = entry is not None and entry.place <= reached and _within(entry, line.collection)
        told = when.get((line.origin, line.seq))
        name = f"{line.origin[:6]}:{line.seq}"
        if due and told is None:
            problems.append(f"{name} was told as pending, and no outcome followed")
        elif told is not None and told < number:
            problems.append(f"{name} was told as pending after its outcome")
    return problems


def ends_are_bookmarked(history: History) -> list[str]:
    """In the end, when nothing happens any more, every watcher was told of the head."""
    heads = {space: log.head for space, log in logs_of(history).items()}
    quiet = [mark.at_s for mark in history.marks if mark.what == "quiet"]
    if not quiet:
        return []
    problems = []
    for name, lines in _by_watch(history).items():
        reached = max(line.place for line in lines if line.what != "pending")
        head = heads[lines[0].space]
        if reached < head:
            problems.append(f"watch {name} ends at {reached[1]}, the head is {head[1]}")
    return problems


def all_saw_one_stream(history: History) -> list[str]:
    """Two watchers that were told of one place were told the same; trusts no log."""
    first: dict[tuple[str, str, Place], Told] = {}
    problems = []
    for line in history.told:
        if line.what != "commit":
            continue
        other = first.setdefault((line.space, line.collection, line.place), line)
        same = (line.origin, line.seq, line.changes) == (other.origin, other.seq, other.changes)
        if not same:
            problems.append(
                f"{line.space}: {line.place[1]} is {line.origin[:6]}:{line.seq} to {line.watch} and"
                f" {other.origin[:6]}:{other.seq} to {other.watch}"
            )
    return problems
