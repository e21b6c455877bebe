"""The vocabulary of the stream between an edge and the hub.

Frozen values without protobuf; codec.py translates. Blocks and headers stay
bytes here: a session counts and orders them, and only who decides or applies
takes them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync.commit import OpId, Outcome
from sync.names import collection_of, is_inbox
from sync.position import Cursor, Epoch, Position

PROTOCOL_VERSIONS = (1,)
"""Versions of the stream that this code speaks, newest first."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an edge replicates of a space: everything, or these collections."""

    whole: bool = True
    collections: frozenset[str] = frozenset()

    def covers(self, collection: str) -> bool:
        """Whether a collection is in it; its conflicts go with it, and policies with everything."""
        if self.whole or collection in self.collections:
            return True
        return collection.startswith("_") and (
            not is_inbox(collection) or collection_of(collection) in self.collections
        )


@dataclass(frozen=True, slots=True)
class OriginState:
    """The newest commit of one origin that a party knows of."""

    origin: bytes
    seq: int
    commit_id: bytes


@dataclass(frozen=True, slots=True)
class SpaceHello:
    """Where an edge stands in one space."""

    space: str
    scope: Scope
    cursor: Cursor
    origins: tuple[OriginState, ...] = ()


@dataclass(frozen=True, slots=True)
class Hello:
    """The edge introduces itself."""

    edge: str
    origin: bytes
    spaces: tuple[SpaceHello, ...]
    versions: tuple[int, ...] = PROTOCOL_VERSIONS
    predecessor: bytes = b""
    predecessor_reason: str = ""
    codecs: tuple[str, ...] = ()
    lineage: tuple[Epoch, ...] = ()
    software: str = ""


@dataclass(frozen=True, slots=True)
class Credit:
    """How much the other side may send, counted from the beginning of the stream."""

    commits: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SpaceWelcome:
    """Where the hub stands in one space. `origins` holds, for each origin of the
    hello, the newest decided seq, and the commit id at the lesser of that and
    the edge's newest."""

    space: str
    epoch: int
    head: int
    origins: tuple[OriginState, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The hub's answer to Hello."""

    hub: str
    version: int
    lineage: tuple[Epoch, ...]
    spaces: tuple[SpaceWelcome, ...]
    codec: str
    max_message_bytes: int
    wall_ms: int
    credit: Credit


@dataclass(frozen=True, slots=True)
class Push:
    """Consecutive commits of one origin in one space; `block` is compressed."""

    space: str
    origin: bytes
    first_seq: int
    count: int
    block: bytes
    block_bytes: int

    @property
    def last_seq(self) -> int:
        return self.first_seq + self.count - 1


@dataclass(frozen=True, slots=True)
class StrongVerdict:
    """What became of a strong commit. `first` is the operation that was decided first under its
    commit id, at `position`; `message` and `metadata` say why it was refused."""

    commit_id: bytes
    position: Position
    outcome: Outcome
    first: OpId
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushResult:
    """Every seq up to `decided_seq` is decided, durably, the last at `position`. `verdicts` are
    those of the push's strong commits."""

    space: str
    origin: bytes
    decided_seq: int
    decided_id: bytes
    position: Position
    verdicts: tuple[StrongVerdict, ...] = ()


@dataclass(frozen=True, slots=True)
class PushRefused:
    """A push that cannot be taken as it is; nothing of it was stored."""

    space: str
    origin: bytes
    reason: str
    message: str
    decided_seq: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class VoidRange:
    """Seqs that will never come. `commit_ids` are empty where nobody knows them."""

    space: str
    origin: bytes
    first_seq: int
    count: int
    reason: str
    commit_ids: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CompareIds:
    """Asks for the commit ids at these seqs."""

    space: str
    origin: bytes
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ComparedIds:
    """The commit ids asked for; empty where the hub does not know."""

    space: str
    origin: bytes
    ids: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class AskDecided:
    """Asks when a commit of another edge was decided, and what of its origin up to it was declared
    lost after revision `since`."""

    space: str
    origin: bytes
    seq: int
    since: int


@dataclass(frozen=True, slots=True)
class DecidedAt:
    """The answer: where the history has the commit and all of its origin before it, revision zero
    if it has not yet; and what was lost, as first seqs and counts."""

    asked: AskDecided
    position: Position
    lost: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """Decided commits as they travel: header and block are bytes."""

    space: str
    epoch: int
    first_revision: int
    origin: bytes
    first_seq: int
    count: int
    header: bytes
    block: bytes
    block_bytes: int
    cursor_token: bytes

    @property
    def last_revision(self) -> int:
        return self.first_revision + self.count - 1


@dataclass(frozen=True, slots=True)
class CollectionDigest:
    """The digest of the live records of one collection, and how many they are."""

    collection: str
    digest: int
    records: int


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Everything of a space up to a revision has been sent on this stream."""

    space: str
    cursor: Cursor
    origins: tuple[OriginState, ...] = ()
    digests: tuple[CollectionDigest, ...] = ()


@dataclass(frozen=True, slots=True)
class SpaceCursor:
    """How far a replica of one space is, and its lowest undecided base."""

    space: str
    epoch: int
    revision: int
    lowest_base: int


@dataclass(frozen=True, slots=True)
class CursorReport:
    """How far a replica is, durably."""

    spaces: tuple[SpaceCursor, ...]


COUNTERS_VERSION = 1
"""Of the set of counters."""

MAX_REFUSALS = 32
"""Reasons that an edge counts apart: those that occur at all are fewer."""


@dataclass(frozen=True, slots=True)
class EdgeCounters:
    """What an edge process has counted since it began; `oldest_pending_ms` and `lag_ms` are as they
    are now, the latter None if its replica never had all of the hub's history."""

    uptime_ms: int = 0
    commits: int = 0
    applied: int = 0
    dials: int = 0
    outbox_transactions: int = 0
    outbox_us: int = 0
    oldest_pending_ms: int = 0
    lag_ms: int | None = None
    refusals: tuple[tuple[str, int], ...] = ()
    version: int = COUNTERS_VERSION


@dataclass(frozen=True, slots=True)
class EdgeHeartbeat:
    """The edge lives."""

    nonce: int
    pending: int
    outbox_bytes: int
    wall_ms: int
    alarms: tuple[str, ...] = ()
    counters: EdgeCounters | None = None


@dataclass(frozen=True, slots=True)
class HubHeartbeat:
    """The hub lives; `heads` were read after the heartbeat arrived."""

    nonce: int
    wall_ms: int
    heads: tuple[Position, ...] = ()


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The stream ends."""

    reason: str
    message: str = ""
    retry_after_ms: int = 0


EdgeMessage = (
    Hello | Push | Credit | EdgeHeartbeat | CursorReport | VoidRange | CompareIds | Goodbye
    | AskDecided
)  # fmt: skip
HubMessage = (
    Welcome | PushResult | Changes | Bookmark | Credit | HubHeartbeat | PushRefused | ComparedIds
    | Goodbye | DecidedAt
)  # fmt: skip
