"""What asks to be decided, and what it is answered.

Three kinds come to ingest: batches that edges push, requests at the hub's own
door, and ranges of seqs that an edge declares void. Each is answered once, after
its transaction is durable.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sync import messages as m
from sync.authority import HUB
from sync.batch import Batch
from sync.commit import Actor, OpId, Outcome, Precondition
from sync.levels import Level
from sync.position import Position
from sync.reduce import Request


@dataclass(slots=True, eq=False)
class Line:
    """What comes on one stream, one after the other.

    An edge does not wait for an answer before it sends on. Where one push is refused because
    another database has written under its names, those sent after it may follow on what that one
    wrote, without a gap: they are refused too, or the refused ones would be taken for decided.
    """

    broken: set[tuple[str, bytes]] = field(default_factory=set)

    def checked(
        self, batch: Batch, decided_seq: int, refusal: m.PushRefused | None
    ) -> m.PushRefused | None:
        """The refusal of a batch, by itself or for what was refused before it."""
        name = (batch.space, batch.origin)
        if name in self.broken:
            message = "a push before it on this stream was refused"
            return m.PushRefused(*name, "SUPERSEDED", message, decided_seq)
        if refusal is not None and refusal.reason != "SEQ_GAP":
            self.broken.add(name)
        return refusal


@dataclass(frozen=True, slots=True)
class Pushed:
    """A batch from an edge, with its block as it came."""

    batch: Batch
    push: m.Push
    codec: str
    edge: str
    line: Line = field(default_factory=Line)

    @property
    def weight(self) -> int:
        return len(self.batch)


@dataclass(frozen=True, slots=True)
class AuthorContext:
    """What a hub client had read: a position and undecided seqs of edges."""

    base: Position
    seen: tuple[tuple[bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Requested:
    """A commit at the hub's own door; decided where its space's head is locked.

    `system` may write collections that are reserved. Without a level the policy decides. `node` is
    who commits: the hub, or the edge whose strong commit it is.
    """

    space: str
    requests: tuple[Request, ...]
    actor: Actor
    commit_id: bytes
    preconditions: tuple[Precondition, ...] = ()
    context: AuthorContext | None = None
    correlation_id: str = ""
    causation_id: bytes = b""
    retryable: bool = False
    system: bool = False
    level: Level | None = None
    node: str = HUB

    @property
    def weight(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Voided:
    """Seqs that will never come."""

    gone: m.VoidRange
    line: Line = field(default_factory=Line)

    @property
    def weight(self) -> int:
        return self.gone.count


Submission = Pushed | Requested | Voided


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request was decided."""

    op_id: OpId
    position: Position
    outcome: Outcome
    level: Level = Level.EVENTUAL


Answer = m.PushResult | m.PushRefused | Receipt


@dataclass(slots=True)
class Waiting:
    """A submission and who waits for its answer."""

    submission: Submission
    answer: asyncio.Future[Answer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    since_s: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @property
    def space(self) -> str:
        match self.submission:
            case Pushed(batch=batch):
                return batch.space
            case Voided(gone=gone):
                return gone.space
            case Requested(space=space):
                return space
