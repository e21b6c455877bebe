"""A document that two people typed together, and in which order it can be typed again.

A recording (of the public collection of editing traces, CC BY 4.0, format "concurrent") is a graph:
each transaction names those that its author had seen, and its positions are in the document that
they made together. So who types it again has to have exactly what the author had before him, and
no more.

The first author's keystrokes come before the second's wherever neither had seen the other's: so who
typed at one place at one time is not mixed letter by letter.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = os.environ.get("HOLDFAST_TRACES", "")
"""Where recordings are; empty: there are none, and tests that need one are skipped."""

TRACE = "friendsforever.json.gz"

OPS = 200
"""Keystrokes of a commit at most: an editor sends what was typed since it last did."""

AUTHORS = (0, 1)

Patches = list[list[Any]]
"""What one keystroke did: place, how many code points it deleted, what it inserted."""

Row = tuple[int, Patches]
"""How many keystrokes of the other an author had seen, and what he then did."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What each author typed, in order, and what became of it."""

    rows: tuple[list[Row], list[Row]]
    end: str

    @property
    def keystrokes(self) -> int:
        return sum(len(rows) for rows in self.rows)


@dataclass(frozen=True, slots=True)
class Turn:
    """What an author typed without a look at what was new: `seen` keystrokes of the other.
    `awaited`: the other has seen what the author had typed at the end of it, and no more."""

    author: int
    seen: int
    edits: list[Patches]
    awaited: bool


def recorded(folder: str = FOLDER) -> Recording:
    """The recording in a folder."""
    return read(json.loads(gzip.decompress((Path(folder) / TRACE).read_bytes())))


def read(document: dict[str, Any]) -> Recording:
    """A recording from its file."""
    seen_by: list[list[int]] = []
    rows: tuple[list[Row], list[Row]] = ([], [])
    for one in document["txns"]:
        author = one["agent"]
        known = [max((seen_by[p][who] for p in one["parents"]), default=0) for who in AUTHORS]
        assert known[author] == len(rows[author]), "an author has seen all that he typed himself"
        rows[author].append((known[1 - author], one["patches"]))
        known[author] += 1
        seen_by.append(known)
    return Recording(rows, document["endContent"])


def turns(recording: Recording) -> Iterator[Turn]:
    """The recording, cut where somebody saw the other's keystrokes up to there."""
    rows = recording.rows
    ends = [{seen for seen, _ in rows[1 - who]} for who in AUTHORS]
    done = [0, 0]
    while any(done[who] < len(rows[who]) for who in AUTHORS):
        for who in AUTHORS:
            if done[who] < len(rows[who]) and rows[who][done[who]][0] <= done[1 - who]:
                turn = _turn(who, rows[who], done[who], ends[who])
                done[who] += len(turn.edits)
                yield turn
                break


def _turn(author: int, rows: list[Row], done: int, ends: set[int]) -> Turn:
    """What an author types next. `ends` are the counts at which the other saw his keystrokes."""
    seen, edits = rows[done][0], []
    for its_seen, patches in rows[done : done + OPS]:
        if its_seen != seen:
            break
        edits.append(patches)
        if done + len(edits) in ends:
            break
    return Turn(author, seen, edits, done + len(edits) in ends)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Turns, from number `first` to before `end`, in which nobody looks at what is new, so that
    links can be cut: the second author's, or with `both` the first's as well."""

    first: int
    end: int
    both: bool
    typed: tuple[int, int]
    """Keystrokes of each author."""
    seen: tuple[int, int]
    """How many of the other's each has to have before it begins."""

    @property
    def cut_off(self) -> tuple[int, ...]:
        """Whose links are cut."""
        return AUTHORS if self.both else (1,)

    @property
    def unseen(self) -> int:
        """Keystrokes that nobody else sees before the links are healed."""
        return sum(self.typed[who] for who in self.cut_off)


def stretch(order: list[Turn], first: int, before: tuple[int, int], *, both: bool) -> Stretch:
    """The longest from this turn on; `before` it were so many keystrokes of each. What the other is
    to see alone ends it, as all that was typed behind a cut link comes at once."""
    seen: dict[int, int] = {}
    typed, end = [0, 0], first
    for turn in order[first:]:
        cut_off = both or turn.author == 1
        if cut_off and turn.seen > before[1 - turn.author]:
            break
        if seen.setdefault(turn.author, turn.seen) != turn.seen:
            break
        typed[turn.author] += len(turn.edits)
        end += 1
        if cut_off and turn.awaited:
            break
    return Stretch(first, end, both, (typed[0], typed[1]), (seen.get(0, 0), seen.get(1, 0)))


def stretches(order: list[Turn]) -> list[Stretch]:
    """All in which somebody is cut off from anything."""
    found, before = [], (0, 0)
    for first, turn in enumerate(order):
        found += [stretch(order, first, before, both=both) for both in (False, True)]
        count = len(turn.edits)
        before = (
            (before[0] + count, before[1]) if turn.author == 0 else (before[0], before[1] + count)
        )
    return [one for one in found if one.unseen]


def cuts(order: list[Turn], luck: random.Random, longest: int, others: int) -> list[Stretch]:
    """Where links are cut, in order: in so many of the stretches in which both type most, in as
    many of the longest, and in others by luck."""
    found = stretches(order)
    by_luck = luck.sample(found, len(found))
    both_type = sorted(found, key=lambda one: min(one.typed), reverse=True)
    long = sorted(found, key=lambda one: one.unseen, reverse=True)
    chosen: list[Stretch] = []
    for count, candidates in ((longest, both_type), (longest, long), (others, by_luck)):
        ends = len(chosen) + count
        for one in candidates:
            if len(chosen) < ends and not any(_overlap(one, other) for other in chosen):
                chosen.append(one)
    return sorted(chosen, key=lambda one: one.first)


def _overlap(one: Stretch, other: Stretch) -> bool:
    return one.first < other.end and other.first < one.end
