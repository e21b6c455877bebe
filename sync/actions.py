"""What a session asks of the daemon that runs it.

A session returns actions in order, and the daemon does them in that order: what
is to be persisted comes before what may then be sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sync import messages as m


@dataclass(frozen=True, slots=True)
class Send:
    """Put a message on the stream."""

    message: m.EdgeMessage | m.HubMessage


@dataclass(frozen=True, slots=True)
class Close:
    """End the stream. `retry_after_ms` is the least time before the next one."""

    reason: str
    message: str = ""
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tell people by name until it is cleared."""

    name: str
    message: str


# -- at the edge -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Learn:
    """The hub has introduced itself: lineage, heads, its clock."""

    welcome: m.Welcome


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply decided commits and move the cursor, in one transaction; then tell `applied`."""

    changes: m.Changes


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything up to a bookmark is here: move the cursor, compare the digests."""

    bookmark: m.Bookmark


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The hub has these commits durably. Outcomes come with the changes."""

    result: m.PushResult


@dataclass(frozen=True, slots=True)
class MarkOffered:
    """These rows are about to be sent: from now on they are never coalesced."""

    push: m.Push


@dataclass(frozen=True, slots=True)
class LookUpIds:
    """Find the outbox's ids at these seqs; then tell `ids_found`."""

    space: str
    origin: bytes
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TakeNewOrigin:
    """Write under a new origin from now on. Per (space, origin), rows up to
    `keep` stay as they are and later ones move to it."""

    reason: str
    keep: Mapping[tuple[str, bytes], int]


@dataclass(frozen=True, slots=True)
class ResetReplica:
    """Set the replica of a space aside and begin it from zero."""

    space: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """The hub cannot take this commit: keep it for people and declare it void."""

    space: str
    origin: bytes
    seq: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Send a heartbeat with this nonce."""

    nonce: int


@dataclass(frozen=True, slots=True)
class ReportCursors:
    """Tell the hub how far the replica is."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The hub answered a heartbeat sent at `sent_ns`: it is alive, and these are its heads."""

    heartbeat: m.HubHeartbeat
    sent_ns: int


@dataclass(frozen=True, slots=True)
class Told:
    """The hub has said when a commit was decided, or that it is not yet."""

    answer: m.DecidedAt


# -- at the hub --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Greet:
    """End any older stream of this edge, look up where it stands, then tell `welcomed`."""

    hello: m.Hello


@dataclass(frozen=True, slots=True)
class Ingest:
    """Decide these commits, durably; then tell `decided`."""

    push: m.Push


@dataclass(frozen=True, slots=True)
class IngestVoid:
    """Decide these seqs as lost."""

    void_range: m.VoidRange


@dataclass(frozen=True, slots=True)
class Compare:
    """Answer with the commit ids at these seqs."""

    compare: m.CompareIds


@dataclass(frozen=True, slots=True)
class NoteCursors:
    """Keep how far the edge's replica is."""

    report: m.CursorReport


@dataclass(frozen=True, slots=True)
class AnswerHeartbeat:
    """Note the edge's numbers and answer with heads read after now."""

    heartbeat: m.EdgeHeartbeat


@dataclass(frozen=True, slots=True)
class AnswerDecided:
    """Answer when a commit was decided."""

    asked: m.AskDecided


EdgeAction = (
    Send | Close | Alarm | Learn | Apply | Mark | Acknowledged | MarkOffered | LookUpIds
    | TakeNewOrigin | ResetReplica | SetAside | Beat | ReportCursors | Heard | Told
)  # fmt: skip
HubAction = (
    Send | Close | Alarm | Greet | Ingest | IngestVoid | Compare | NoteCursors | AnswerHeartbeat
    | AnswerDecided
)  # fmt: skip
