"""What agents ask of the local store, and what they get: checked values, no wire format.

The door makes them from messages: names are names, values canonical, sizes within limits.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from edge_agent import extras
from edge_agent.outbox_rows import ROW_BYTES
from sync.commit import Actor, Extra, OpId, Precondition, Version
from sync.levels import NO_WRITE_BOUND, Level, WriteBound
from sync.position import Position
from sync.reduce import Add, Delete, Patch, Put, Request, SetAdd, SetRemove, SpliceFields


@dataclass(frozen=True, slots=True)
class Context:
    """What the author of a write had seen: a revision of an epoch, and per origin the newest
    undecided seq in the state that was read."""

    epoch: int
    base: int
    seen: tuple[tuple[bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """One commit asked for. Without a context its author has seen the state at the time of the
    commit. A `commit_id` chosen by the client makes a retry find the first commit. Without a level
    the policy decides. `system`: it may write the system's own records."""

    space: str
    requests: tuple[Request, ...]
    actor: Actor
    preconditions: tuple[Precondition, ...] = ()
    commit_id: bytes | None = None
    context: Context | None = None
    correlation_id: str = ""
    causation_id: bytes = b""
    level: Level | None = None
    bound: WriteBound = NO_WRITE_BOUND
    system: bool = False

    @property
    def size_bytes(self) -> int:
        """What it may take in the outbox at most, roughly."""
        total = 0
        for request in self.requests:
            content, removes = _content(request)
            total += 2 * ROW_BYTES + len(content) + len(request.key) + sum(map(len, removes))
        return total

    def fingerprint(self) -> bytes:
        """Tells a retry from another commit with the same id."""
        strong = self.level is Level.STRONG
        wanted = Extra(preconditions=self.preconditions, strong=strong)
        asked: list[object] = [extras.encode(wanted)]
        for request in self.requests:
            content, removes = _content(request)
            kind = type(request).__name__
            asked.append([kind, request.collection, request.key, content.decode(), removes])
        return hashlib.blake2b(json.dumps(asked).encode(), digest_size=16).digest()


def _content(request: Request) -> tuple[bytes, tuple[str, ...]]:
    match request:
        case Put():
            return request.value, ()
        case Patch():
            return request.sets, request.removes
        case Add():
            return request.deltas, ()
        case SetAdd() | SetRemove():
            return request.elements, ()
        case SpliceFields():
            return request.payload, ()
        case Delete():
            return b"", ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """An acknowledged commit: durable here. `context` is what its author has seen now; `position`
    is what it was judged on. `repeated`: it was acknowledged before."""

    op_id: OpId
    position: Position
    context: Context
    repeated: bool = False
    applied_locally: bool = True
    level: Level = Level.EVENTUAL


@dataclass(frozen=True, slots=True)
class Record:
    """One record as a reader sees it. `value` is the last one if it is deleted; `stamp` is the
    hub's, or the claim of a pending write."""

    collection: str
    key: str
    value: bytes
    version: Version
    actor: Actor
    deleted: bool
    stamp: int


@dataclass(frozen=True, slots=True)
class Read:
    """Records of one moment, with what to pass on to a write that depends on them."""

    records: tuple[Record, ...]
    position: Position
    context: Context
    includes_pending: bool
    scanned: int = 0
    next_page: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A record as a commit left it. `previous` is the revision it replaced, zero for none."""

    record: Record
    previous: int = field(default=0)
