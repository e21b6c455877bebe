"""How this edge is doing, in one line and in a few numbers.

It is told what happens and keeps nothing that could not be asked of the outbox, the replica or the
link: so it can be wrong for a moment, and never for long. The line is for `systemctl status`; the
numbers go to the hub with every heartbeat.

Invariant: nothing here awaits, reads a file or looks at a wall clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge_agent.backlog import Backlog
from edge_agent.database import EdgeFiles
from sync.clock import BootInstant
from sync.messages import Scope
from sync.position import Position


class Vitals:
    """What is known at a glance. `scopes` are the spaces that the replica is to follow."""

    def __init__(self, files: EdgeFiles, scopes: Mapping[str, Scope]) -> None:
        self._files, self._scopes = files, scopes
        self.backlog = Backlog()
        self.acknowledged: dict[tuple[str, bytes], int] = {}
        """Per space and origin of this edge, up to which seq the hub has everything durably."""
        self._cursors: dict[str, tuple[int, int]] = {}
        self._level_ns: int | None = None

    # -- what it is told -----------------------------------------------------

    def took(self, spaces: Iterable[str]) -> None:
        """The outbox has grown in these spaces."""
        now, outbox = BootInstant(self._files.clock.boot_ns()), self._files.outbox
        for space in spaces:
            for ordinal in outbox.streams(space):
                stream, seq = (
                    (space, outbox.id_of(ordinal)),
                    outbox.counter(space, ordinal).last_seq,
                )
                if seq > self.acknowledged.get(stream, 0):
                    self.backlog.took(stream, seq, now)

    def decided(self, space: str, origin: bytes, seq: int) -> None:
        """The hub has everything up to a seq durably."""
        stream = (space, origin)
        known = max(seq, self.acknowledged.get(stream, 0))
        self.acknowledged[stream] = known
        self.backlog.decided(stream, known)

    def applied(self, position: Position, heads: Mapping[str, Position]) -> None:
        """The replica contains everything up to a position."""
        self._cursors[position.space] = (position.epoch, position.revision)
        self.heard(heads)

    def heard(self, heads: Mapping[str, Position]) -> None:
        """The hub has said where it is."""
        if heads and all(self._reached(heads.get(space)) for space in self._scopes):
            self._level_ns = self._files.clock.boot_ns()

    def _reached(self, head: Position | None) -> bool:
        if head is None:
            return False
        return not head.revision or self._cursors.get(head.space, (0, 0)) >= (
            head.epoch,
            head.revision,
        )

    # -- what it says --------------------------------------------------------

    @property
    def pending(self) -> int:
        """Commits of this edge that the hub has not acknowledged, in all spaces."""
        return sum(self._undecided().values())

    @property
    def oldest_pending_ms(self) -> int:
        """How long the oldest of them has waited, as far as this process knows."""
        # What has moved to another origin is not waited for under its old name.
        self.backlog.keep(self._undecided())
        return self.backlog.oldest_ms(BootInstant(self._files.clock.boot_ns()))

    def _undecided(self) -> dict[tuple[str, bytes], int]:
        outbox = self._files.outbox
        found = {
            (stream := (space, outbox.id_of(ordinal))): counter.last_seq
            - self.acknowledged.get(stream, 0)
            for (space, ordinal), counter in outbox.counters.items()
        }
        return {stream: count for stream, count in found.items() if count > 0}

    @property
    def lag_ms(self) -> int | None:
        """How long ago the replica had all that the hub was known to have; None if never yet."""
        if self._level_ns is None:
            return None
        return max(0, self._files.clock.boot_ns() - self._level_ns) // 1_000_000

    def line(self, link: str, connected: bool) -> str:
        """`synced, 0 pending, lag 0.4 s`, or what stands in the way."""
        pending, lag = self.pending, self.lag_ms
        parts = [
            "synced" if connected and not pending and lag is not None else link,
            f"{pending} pending",
            "lag unknown" if lag is None else f"lag {lag / 1_000:.1f} s",
        ]
        if pending:
            parts.append(f"oldest {self.oldest_pending_ms / 1_000:.1f} s")
        if alarms := self._files.alarms.names:
            parts.append("alarms " + " ".join(alarms))
        return ", ".join(parts)
