"""What comes from the hub, into the replica.

Changes that wait are applied together, in one transaction with the cursor.
Watchers are told after it, and of bookmarks too: those say that nothing was missed.
A batch that does not fit is never guessed about: the replica of the space is set
aside and begins again from the hub's history, with a reason and a count, and the
outbox is not touched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from edge_agent import reconcile, replica
from edge_agent import standing as standings
from edge_agent.database import EdgeFiles
from edge_agent.replica import Applied, Diverged, Marked, OutOfOrder
from edge_agent.tail import Arrival
from holdfast.host import failpoints
from holdfast.host.errors import HostError
from holdfast.host.sqlite import Corrupt
from sync import codec
from sync import messages as m
from sync.batch import MalformedBatch
from sync.position import Position

MAX_ARRIVALS = 64
"""Batches applied in one transaction: a local write waits for at most that much."""

BEFORE_APPLY = failpoints.declare("edge.apply.before")
AFTER_APPLY = failpoints.declare("edge.apply.after")

_ANOTHER_HISTORY = frozenset({"FORK_DETECTED", "CURSOR_INVALID"})

OnApplied = Callable[[Applied, Sequence[Arrival]], None]
OnMarked = Callable[[Position], None]

_log = logging.getLogger(__name__)


class ReplicaReset(Exception):
    """The replica of a space begins from zero, or this edge has a new origin: the stream must be
    opened anew."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unreadable(HostError):
    """The hub sent what this version cannot read; the replica stays as it is."""

    reason = "PROTOCOL_VIOLATION"
    default_remedy = "compare the versions of hub and edge, and read the log of the hub"


class Intake:
    """Applies what the hub sends. `scopes` says what is replicated of each space."""

    def __init__(
        self,
        files: EdgeFiles,
        scopes: Mapping[str, m.Scope],
        on_applied: OnApplied,
        on_marked: OnMarked,
    ) -> None:
        self._files, self._scopes = files, scopes
        self._on_applied, self._on_marked = on_applied, on_marked
        self.applied = 0
        self.verified: dict[str, bool] = {}

    async def apply(self, space: str, changes: Sequence[m.Changes], codec_name: str) -> Applied:
        """Applies consecutive changes of one space. Raises ReplicaReset, HostError."""
        arrivals, unreadable = _arrivals(changes, codec_name)
        if unreadable is not None and not arrivals:
            raise unreadable
        # Before they are applied: else our own commits of the same seqs would pass for decided.
        if await reconcile.part_from_copies(self._files, arrivals):
            raise ReplicaReset("ORIGIN_COPIED", "another database writes under this origin")
        try:
            BEFORE_APPLY()
            ordinals, whole = self._files.outbox.ordinals, self._whole(space)
            applied = await self._files.replica.run(
                lambda c: replica.apply(c, space, arrivals, ordinals, whole=whole)
            )
            AFTER_APPLY()
        except (OutOfOrder, Diverged) as error:
            raise await self._reset(space, error) from error
        except Corrupt as error:
            raise await self._replace(error) from error
        self.applied += sum(each.changes.count for each in arrivals)
        self._on_applied(applied, arrivals)
        if unreadable is not None:
            raise unreadable
        return applied

    async def mark(self, bookmark: m.Bookmark) -> Marked:
        """Moves the cursor to a bookmark and compares digests. Raises ReplicaReset, HostError."""
        space = bookmark.space
        ordinals, whole = self._files.outbox.ordinals, self._whole(space)
        try:
            marked = await self._files.replica.run(
                lambda c: replica.mark(c, bookmark, ordinals, whole=whole)
            )
        except OutOfOrder as error:
            raise await self._reset(space, error) from error
        except Corrupt as error:
            raise await self._replace(error) from error
        if marked.equal is not None:
            self._compared(space, marked)
        self._on_marked(Position(marked.cursor.epoch, space, marked.cursor.revision))
        return marked

    def _compared(self, space: str, marked: Marked) -> None:
        self.verified[space] = bool(marked.equal)
        if not marked.equal:
            names = ", ".join(marked.different)
            message = f"{space} at {marked.cursor.revision} differs from the hub in: {names}"
            self._files.alarms.raise_("DIGEST_MISMATCH", message)
        elif all(self.verified.values()):
            self._files.alarms.clear("DIGEST_MISMATCH")

    async def reset(self, space: str, reason: str) -> None:
        """Begins the replica of a space from zero. One of another history is kept aside whole,
        since it may be the last to hold what the hub has lost."""
        self.verified.pop(space, None)
        standing = await self._files.replica.run(lambda c: standings.load(c, space))
        if reason in _ANOTHER_HISTORY and standing.cursor.revision:
            await reconcile.replace_replica(self._files, reason)
        else:
            await reconcile.reset_replica(self._files, space, reason)

    async def _reset(self, space: str, error: OutOfOrder | Diverged) -> ReplicaReset:
        standing = await self._files.replica.run(lambda c: standings.load(c, space))
        if isinstance(error, OutOfOrder) and not standing.cursor.revision:
            # It began from zero beside the stream, for a reason that is counted already; what was
            # on the way follows the replica as it was.
            return ReplicaReset("REPLICA_INCOMPLETE", f"{space} begins from zero: {error}")
        _log.error("the replica of %s begins from zero: %s", space, error)
        await self.reset(space, error.reason)
        return ReplicaReset(error.reason, str(error))

    async def _replace(self, error: Corrupt) -> ReplicaReset:
        _log.error("the replica is damaged and begins from zero: %s", error)
        await reconcile.replace_replica(self._files, "REPLICA_DAMAGED")
        return ReplicaReset("REPLICA_DAMAGED", str(error))

    def _whole(self, space: str) -> bool:
        return self._scopes.get(space, m.Scope()).whole


def _arrivals(
    changes: Sequence[m.Changes], codec_name: str
) -> tuple[list[Arrival], Unreadable | None]:
    """As many as can be read, and why not the one after them."""
    arrivals: list[Arrival] = []
    for each in changes:
        try:
            arrivals.append(_arrival(each, codec_name))
        except MalformedBatch as error:
            return arrivals, Unreadable(f"{each.space} revision {each.first_revision}: {error}")
    return arrivals, None


def _arrival(changes: m.Changes, codec_name: str) -> Arrival:
    block = codec.unpack(changes.block, codec_name, changes.block_bytes)
    batch = codec.decode_block(changes.space, changes.origin, changes.first_seq, block)
    if len(batch) != changes.count:
        raise MalformedBatch("another number of commits than announced")
    decided = codec.decode_header(batch, changes.epoch, changes.first_revision, changes.header)
    return Arrival(decided, changes, codec_name)
