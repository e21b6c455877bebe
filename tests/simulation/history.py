"""What clients asked for and were told: the only witness that checkers believe beside the log.

Invariant: an attempt has one of three ends. `ok` and `refused` are answers that a client has seen;
everything else (a crash, a deadline, a lost connection to the database) is `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.v1 import record_pb2 as record


@dataclass(slots=True)
class Attempt:
    """One call of Commit."""

    door: str
    began_s: float
    ended_s: float
    end: str
    reason: str = ""
    origin: bytes = b""
    seq: int = 0
    commit_id: bytes = b""
    revision: int = 0
    """Where it was decided, as a hub's answer says; zero at an edge."""
    outcome: int = 0


@dataclass(slots=True)
class Wanted:
    """A commit that a client wants, under one number that is written in its content."""

    number: int
    space: str
    commit_id: bytes
    ops: list[record.Op]
    attempts: list[Attempt] = field(default_factory=list)
    may_be_lost: str = ""
    """Why nobody need account for it: the file that held it was put back, on purpose."""

    @property
    def acknowledged(self) -> list[Attempt]:
        return [one for one in self.attempts if one.end == "ok"]

    @property
    def refused(self) -> bool:
        """Whether every attempt was refused: then it must never appear."""
        return bool(self.attempts) and all(one.end == "refused" for one in self.attempts)


@dataclass(slots=True)
class Seen:
    """A read answered to a client: for what sessions promise."""

    client: str
    door: str
    at_s: float
    space: str
    epoch: int
    revision: int
    told: str = ""


@dataclass(slots=True)
class WatchedCommit:
    """A decided commit as a watcher was told of it."""

    revision: int
    origin: bytes
    seq: int
    changes: dict[tuple[str, str], tuple[bool, str, int]]
    """Per record: deleted, its value, the revision it replaced."""


@dataclass(slots=True)
class WatchLog:
    """What one watcher was told over its life, across crashes, of one space."""

    name: str
    space: str
    collection: str
    """The only one that is watched; empty for all."""
    began_at: int = -1
    commits: list[WatchedCommit] = field(default_factory=list)
    reached: int = 0
    """The newest revision of a bookmark."""
    faults: list[str] = field(default_factory=list)
    pending: list[tuple[bytes, int]] = field(default_factory=list)


@dataclass(slots=True)
class Sample:
    """The files of an edge at one moment."""

    edge: str
    at_s: float
    space: str
    collections: frozenset[str] | None
    """Its scope; None for everything."""
    epoch: int
    revision: int
    records: dict[tuple[str, str], tuple[int, bool, str]]
    """Revision, deleted, value."""
    view: dict[tuple[str, str], str]
    """Live values with what is pending on top."""
    pending: list[tuple[int, int, int, str, str, int, bytes]]
    """(ordinal, seq, idx, collection, key, kind, payload) of the outbox above the watermark."""
    decided: dict[bytes, int] = field(default_factory=dict)
    """Per own origin the newest seq that is known decided."""
    alarms: tuple[str, ...] = ()
    damaged: bool = False
    """A pending row is not as it was written: nobody knows whether the view still has it."""


@dataclass
class History:
    """Everything."""

    wanted: list[Wanted] = field(default_factory=list)
    reads: list[Seen] = field(default_factory=list)
    watches: list[WatchLog] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def want(self, space: str, commit_id: bytes, ops: list[Any]) -> Wanted:
        wanted = Wanted(len(self.wanted) + 1, space, commit_id, ops)
        self.wanted.append(wanted)
        return wanted
