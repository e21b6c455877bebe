"""What a stream asks of the link that runs it, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_agent.database import EdgeFiles
from edge_agent.intake import Intake
from edge_agent.strong import StrongCommits
from sync import messages as m
from sync.consistency import Freshness


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a stream is over. `at_once`: by agreement, so the next may follow soon. `fault`: of what
    came or of this side's files; the next will likely end so too, whatever this one has done."""

    reason: str
    message: str = ""
    retry_after_ms: int = 0
    at_once: bool = False
    fault: bool = False


class Link(Protocol):
    """What a stream asks of the link that runs it, and tells it."""

    files: EdgeFiles
    intake: Intake
    freshness: Freshness
    strong: StrongCommits
    priority: Callable[[str], int]
    push_limit: int
    """Commits of a push; made smaller by who looks for the one that the hub cannot take."""

    @property
    def pending_commits(self) -> int:
        """Commits that the hub has not acknowledged."""
        ...

    async def learn(self, welcome: m.Welcome) -> None:
        """The hub has introduced itself."""
        ...

    def acknowledge(self, result: m.PushResult) -> None:
        """Commits are durable at the hub."""
        ...

    def asking(self, nonce: int) -> None:
        """The hub is asked for its heads, now: `nonce` is the boot clock's time."""
        ...

    def heard(self, heartbeat: m.HubHeartbeat) -> None:
        """The hub has answered a heartbeat."""
        ...

    def decided(self, answer: m.DecidedAt) -> None:
        """The hub has said when a commit was decided."""
        ...

    def told(self) -> None:
        """The hub has said something."""
        ...

    def counters(self) -> m.EdgeCounters | None:
        """What goes with a heartbeat."""
        ...
