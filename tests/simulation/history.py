"""What clients asked for and were told: the only witness that checkers believe beside the log.

Invariant: an attempt has one of three ends. `ok` and `refused` are answers that a client has seen;
everything else (a crash, a deadline, a lost connection to the database) is `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.v1 import record_pb2 as record
from tests.blackbox.history import NOWHERE, Place, Read, Told


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
    epoch: int = 0
    outcome: int = 0
    client: str = ""
    session: str = ""
    level: str = "eventual"
    place: Place = NOWHERE
    """The position of the answer."""
    seen: dict[str, int] = field(default_factory=dict)


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
    reads: list[Read] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    watch_faults: list[tuple[str, str]] = field(default_factory=list)
    """Which watch was refused, and why."""
    samples: list[Sample] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        """How many commits were."""
        return sum(1 for wanted in self.wanted if wanted.acknowledged)

    def want(self, space: str, commit_id: bytes, ops: list[Any]) -> Wanted:
        wanted = Wanted(len(self.wanted) + 1, space, commit_id, ops)
        self.wanted.append(wanted)
        return wanted
