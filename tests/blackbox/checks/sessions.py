"""Sessions: the four guarantees, and that no reader sees a write without what its writer had seen.

What a session knows at a moment is folded from the answers that it had by then: the newest
position, what was pending in those states, and its own commits. Where a pending commit was decided
in the end is told by the log.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.blackbox.history import NOWHERE, OK, Asked, Commit, History, Place, Read
from tests.blackbox.hub_log import HubLog, logs_of

Pending = dict[str, int]
"""Per origin a seq: that commit, and all of the origin before it."""


@dataclass(slots=True)
class Knowledge:
    """What a session has seen of a space."""

    place: Place = NOWHERE
    pending: Pending = field(default_factory=dict)
    own: dict[str, Commit] = field(default_factory=dict)
    """Acknowledged commits by id, less those that are within `place`."""

    def learn(self, answer: Asked, log: HubLog) -> None:
        self.place = max(self.place, answer.place)
        for origin, seq in answer.seen.items():
            self.pending[origin] = max(seq, self.pending.get(origin, 0))
        if isinstance(answer, Commit):
            self.own[answer.commit_id] = answer
        for commit_id, one in list(self.own.items()):
            entry = log.first(one)
            if entry is not None and entry.place <= self.place:
                del self.own[commit_id]

    def copy(self) -> Knowledge:
        return Knowledge(self.place, dict(self.pending), dict(self.own))


def told(history: History, log: HubLog, space: str) -> Iterator[tuple[Asked, Knowledge]]:
    """Every successful request of a session, with what the session knew when it began."""
    sessions: dict[str, list[Asked]] = defaultdict(list)
    for one in (*history.commits, *history.reads):
        if one.session and one.space == space:
            sessions[one.session].append(one)
    for asked in sessions.values():
        known, begun = Knowledge(), dict[str, Knowledge]()
        running: list[tuple[float, int, Asked]] = []
        for number, one in enumerate(sorted(asked, key=lambda a: a.invoked_s)):
            while running and running[0][0] <= one.invoked_s:
                known.learn(heapq.heappop(running)[2], log)
            knew = known.copy()
            if isinstance(one, Commit) and one.commit_id:
                # A retry is the commit that was asked for first, before what was learnt since.
                knew = begun.setdefault(one.commit_id, knew)
            if one.status == OK:
                heapq.heappush(running, (one.returned_s, number, one))
                yield one, knew


def _missing(known: Knowledge, place: Place, seen: Pending, log: HubLog) -> Iterator[str]:
    """What of this knowledge is not in a state: decided up to a place, with so much pending."""
    for one in known.own.values():
        entry = log.first(one)
        decided = entry is not None and entry.place <= place
        if not decided and (not one.origin or seen.get(one.origin, 0) < one.seq):
            yield f"its own commit {one.commit_id[:8]}, acknowledged by {one.door}"
    for origin, seq in known.pending.items():
        entry = log.by_op.get((origin, seq))
        if seen.get(origin, 0) < seq and (entry is None or entry.place > place):
            yield f"{origin[:6]}:{seq}, which it had seen pending"


def positions_never_fall(history: History) -> list[str]:
    """Per session and space (monotonic reads)."""
    return [
        f"{space}: {one.session} at {one.door} is answered at {one.place[1]} after {known.place[1]}"
        for space, log in logs_of(history).items()
        for one, known in told(history, log, space)
        if one.place < known.place and _first_answer(one, known)
    ]


def _first_answer(one: Asked, known: Knowledge) -> bool:
    """A retry may be answered with the first result, at the place that had."""
    return not (isinstance(one, Commit) and one.commit_id in known.own)


def writes_are_read(history: History) -> list[str]:
    """A read holds what its session wrote and what it had read (read your writes)."""
    return [
        f"{space}: {one.session} at {one.door}, {one.invoked_s:.3f} s, reads at {one.place[1]}"
        f" without {text}"
        for space, log in logs_of(history).items()
        for one, known in told(history, log, space)
        if isinstance(one, Read)
        for text in _missing(known, one.place, one.seen, log)
    ]


def writes_follow(history: History) -> list[str]:
    """A write is decided after all that its session wrote and read before (monotonic writes, writes
    follow reads)."""
    problems = []
    for space, log in logs_of(history).items():
        for one, known in told(history, log, space):
            entry = log.first(one) if isinstance(one, Commit) else None
            if entry is None:
                continue
            before = (entry.place[0], entry.place[1] - 1)
            missing = [*_missing(known, before, {}, log)]
            if known.place > before:
                missing.append(f"revision {known.place[1]}")
            problems += [
                f"{space}: {one.session} wrote {entry.place[1]} at {one.door} before {text}"
                for text in missing
            ]
    return problems


def causes_are_seen(history: History) -> list[str]:
    """Who sees a pending write sees what its writer had seen; of decided ones the log says it."""
    problems = []
    for space, log in logs_of(history).items():
        needs: dict[tuple[str, int], Knowledge] = {}
        for one, known in told(history, log, space):
            entry = log.first(one) if isinstance(one, Commit) else None
            if entry is not None:
                needs.setdefault((entry.origin, entry.seq), known)
        for read in history.reads:
            if read.space != space or read.status != OK:
                continue
            for entry in log.undecided(read.place, read.seen):
                need = needs.get((entry.origin, entry.seq), Knowledge())
                missing = [*_missing(need, read.place, read.seen, log)]
                if need.place > read.place:
                    missing.append(f"revision {need.place[1]}")
                problems += [
                    f"{space}: {read.client} at {read.door} reads {entry.origin[:6]}:{entry.seq}"
                    f" without {text} of its writer"
                    for text in missing
                ]
    return problems
