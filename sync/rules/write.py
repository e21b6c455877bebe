"""What a rule is asked, and what it answers: the nouns of the table of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sync.context import Author, Part, Stamped, Tracked, parts_of
from sync.ruling import Ruling


class Undecided(Exception):
    """A rule that cannot decide on what it was given; the message says why."""


@dataclass(frozen=True, slots=True)
class Write:
    """One field as a commit would have it.

    `had` is its value and `stamped` who wrote it; both None: nobody since the record came to be.
    `value` is what is wanted, None that there be none. `fields` is the record as it stands, and
    `later` tells which of two parts wins by time.
    """

    ruling: Ruling
    author: Author
    had: bytes | None
    stamped: Stamped | None
    value: bytes | None
    fields: bytes
    later: Callable[[Part, Part], bool]

    @property
    def rival(self) -> Part | None:
        """The latest of those who wrote it without this author having seen it."""
        found = self.author.unseen(self.stamped) if self.stamped is not None else []
        latest: Part | None = None
        for part in found:
            if latest is None or self.later(part, latest):
                latest = part
        return latest

    @property
    def newest(self) -> Part | None:
        """Who wrote it last, seen or not."""
        return max(parts_of(self.stamped)) if self.stamped is not None else None

    @property
    def kind(self) -> int:
        """Of what kind the actor was who wrote what stands; zero if that is not known."""
        return self.stamped.kind if isinstance(self.stamped, Tracked) else 0


@dataclass(frozen=True, slots=True)
class Clash:
    """What is to be told of a field: who stood against it, and who won.

    `had` and `wanted` are what each of the two says where that is not the whole value.
    """

    ours: Part | None
    winner: str
    kind: str = "concurrent"
    reason: str = ""
    waits: bool = False
    had: bytes | None = None
    wanted: bytes | None = None
    partial: bool = False
    detail: str = ""
    """For people, where the reason alone says too little."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a field is to be, and who is in it then. Without `stamped` nothing of the write is."""

    value: bytes | None
    stamped: Stamped | None
    clash: Clash | None = None


def taken(write: Write, stamped: Stamped | None = None) -> Settled:
    """Nothing was concurrent: the write stands as it is."""
    return Settled(write.value, stamped or write.author.part)


def won(write: Write, rival: Part, stamped: Stamped | None = None) -> Settled:
    """The write stands, and what it replaces is kept."""
    clash = Clash(rival, "theirs") if write.had != write.value else None
    return Settled(write.value, stamped or write.author.part, clash)


def lost(write: Write, rival: Part | None, *, waits: bool = False) -> Settled:
    """What was there stands, and the write is kept."""
    clash = Clash(rival, "ours", waits=waits) if write.had != write.value else None
    return Settled(write.had, None, clash)


def refused(write: Write, *, kind: str, reason: str, detail: str, waits: bool) -> Settled:
    """What was there stands, and the conflict says why."""
    rival = write.rival or write.newest
    clash = Clash(rival, "ours", kind, reason, waits, detail=detail)
    return Settled(write.had, None, clash)
