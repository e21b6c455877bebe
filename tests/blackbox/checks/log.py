"""The log itself: gapless, each origin in the order of its seqs, each commit once, causes first."""

from __future__ import annotations

from tests.blackbox.history import Decided, History
from tests.blackbox.hub_log import HubLog, logs_of


def gapless(history: History) -> list[str]:
    """Revisions from 1 on, epochs that never fall; per origin seqs from 1, in the log's order."""
    return [text for space, log in logs_of(history).items() for text in _gaps(space, log)]


def _gaps(space: str, log: HubLog) -> list[str]:
    problems = []
    revisions = [entry.place[1] for entry in log.entries]
    if revisions != list(range(1, len(revisions) + 1)):
        problems.append(f"{space}: revisions are not 1 to {len(revisions)}")
    last: dict[str, int] = {}
    for entry in log.entries:
        if entry.seq != last.get(entry.origin, 0) + 1:
            problems.append(
                f"{space}: seq {entry.seq} of {entry.origin[:6]} at {entry.place[1]} follows"
                f" {last.get(entry.origin, 0)}"
            )
        last[entry.origin] = entry.seq
    return problems


def once(history: History) -> list[str]:
    """Of all places of one commit id, at most the first has an effect."""
    return [
        f"{space}: commit {entry.commit_id[:8]} of {log.by_id[entry.commit_id].place[1]} takes"
        f" effect again at {entry.place[1]}"
        for space, log in logs_of(history).items()
        for entry in log.entries
        if entry.commit_id and log.by_id[entry.commit_id] is not entry and entry.writes
    ]


def causes_come_first(history: History) -> list[str]:
    """What the author of a commit had seen stands before it.

    Who hands on a context from one door to another without a session, though, has nobody who waits
    for what was pending in it."""
    loose = {one.commit_id for one in history.commits if not one.session}
    return [
        f"{space}: {entry.place[1]} was written having seen {cause}, which is not before it"
        for space, log in logs_of(history).items()
        for entry in log.entries
        for cause in _later_causes(log, entry, alone=entry.commit_id in loose)
    ]


def _later_causes(log: HubLog, entry: Decided, *, alone: bool) -> list[str]:
    causes = [f"revision {entry.base[1]}"] if entry.base >= entry.place else []
    for origin, seq in entry.seen.items():
        seen = log.by_op.get((origin, seq))
        before = seen is not None and seen.place < entry.place
        if seq and not before and not (alone and origin != entry.origin):
            causes.append(f"{origin[:6]}:{seq}")
    return causes
