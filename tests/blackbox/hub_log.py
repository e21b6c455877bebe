"""The log of a space as a checker looks at it: every state that it ever had, and who made it.

Invariant: nothing here knows a rule. What a commit left is what the log says it left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

from tests.blackbox.history import NOWHERE, Commit, Decided, History, Place, Value


class HubLog:
    """The decided commits of one space, in their order."""

    def __init__(self, decided: Iterable[Decided]) -> None:
        self.entries = sorted(decided, key=lambda entry: entry.place)
        self.by_id: dict[str, Decided] = {}
        """The first of each commit id: the others are repeats without an effect."""
        self.by_op: dict[tuple[str, int], Decided] = {}
        self._states: dict[str, tuple[list[Place], list[Value]]] = {}
        self._of_origin: dict[str, list[Decided]] = defaultdict(list)
        for entry in self.entries:
            self.by_id.setdefault(entry.commit_id, entry)
            self.by_op[entry.origin, entry.seq] = entry
            self._of_origin[entry.origin].append(entry)
            for path, value in entry.writes.items():
                places, values = self._states.setdefault(path, ([NOWHERE], [None]))
                places.append(entry.place)
                values.append(value)

    @property
    def head(self) -> Place:
        return self.entries[-1].place if self.entries else NOWHERE

    def state(self, path: str, place: Place) -> tuple[Place, Value]:
        """Where a record was last written at or before a place, and what it was then."""
        places, values = self._states.get(path, ([NOWHERE], [None]))
        at = bisect_right(places, place) - 1
        return places[at], values[at]

    def before(self, path: str, place: Place) -> tuple[Place, Value]:
        """The same just before that place."""
        return self.state(path, (place[0], place[1] - 1))

    def first(self, commit: Commit) -> Decided | None:
        """Where a commit was decided first, found by its id."""
        return self.by_id.get(commit.commit_id) if commit.commit_id else None

    def undecided(self, place: Place, seen: dict[str, int]) -> list[Decided]:
        """What was seen as pending by somebody whose state was at a place."""
        return [
            entry
            for origin, seq in seen.items()
            for entry in self._of_origin.get(origin, ())
            if entry.seq <= seq and entry.place > place
        ]


def logs_of(history: History) -> dict[str, HubLog]:
    """By space."""
    found: dict[str, list[Decided]] = {space: [] for space in history.spaces}
    for entry in history.decided:
        found[entry.space].append(entry)
    return {space: HubLog(entries) for space, entries in found.items()}
