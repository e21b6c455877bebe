"""Tells every stream and watcher what has been decided.

The newest rows of each space's log are kept in memory, bounded by bytes; who is
further behind reads the log. Nothing is queued per reader: a reader has a
cursor and asks for what comes after it, so a slow one costs nothing and stalls
nobody. Published only after the transaction is durable.

Invariant: the rows kept for a space are consecutive and end at its head.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from cloud_hub.change_log import LogRow
from sync.messages import CollectionDigest, Scope

KEPT_BYTES = 32 << 20
"""Rows kept per space: some 500,000 small changes, which covers a reconnect of everybody."""

ROW_BYTES = 512
"""What a row takes beside its header and block: small ones are mostly that."""

PAGE_ROWS, PAGE_BYTES = 256, 4 << 20
"""Handed to a reader at once: he holds them while they are sent, perhaps slowly."""

KEPT_ENCODINGS = 64
"""Encodings for scopes: a page of rows for the few scopes that a fleet has."""

ReadRows = Callable[[str, int], Awaitable[Sequence[LogRow]]]
"""Reads a bounded number of rows of a space after a revision from the log."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest state of a space that has been published. `digests` are those of
    exactly this revision; `rank` is the space's place in the order of draining."""

    epoch: int
    revision: int
    token: bytes
    digests: tuple[CollectionDigest, ...]
    rank: int


@dataclass(slots=True)
class _Space:
    head: Head | None = None
    rows: deque[LogRow] = field(default_factory=deque)
    size: int = 0
    listeners: dict[asyncio.Event, None] = field(default_factory=dict)
    """In the order they came, so that the same events are told in the same order in every run."""


class Fanout:
    """What all readers of decided commits share."""

    def __init__(self, read_rows: ReadRows) -> None:
        self._read_rows = read_rows
        self._spaces: dict[str, _Space] = {}
        self._encodings: OrderedDict[tuple[str, int, Scope, str, bool], LogRow | None] = (
            OrderedDict()
        )
        self.on_news: Callable[[str], None] = lambda _space: None
        """Told of every space whose head is another."""
        self.closed = False
        """Nothing more will be published; who listens is to leave."""

    def close(self) -> None:
        """Sends all listeners away: the hub stops."""
        self.closed = True
        for state in self._spaces.values():
            for listener in state.listeners:
                listener.set()

    def publish(self, space: str, rows: Sequence[LogRow], head: Head) -> None:
        """Rows that are durable, in order, and the head after them.

        News that are older than what is known are ignored, and rows that are known; rows between
        what is known and these are left to the log.
        """
        state = self._state(space)
        known = state.head
        if known is not None:
            if (head.epoch, head.revision) < (known.epoch, known.revision):
                return
            if known.epoch == head.epoch:
                rows = [row for row in rows if row.first_revision > known.revision]
            first = rows[0].first_revision if rows else head.revision + 1
            if first != known.revision + 1 or known.epoch != head.epoch:
                state.rows.clear()
                state.size = 0
            if known.epoch != head.epoch:
                self._encodings.clear()  # a revision may stand for another commit now
        for row in rows:
            state.rows.append(row)
            state.size += row.size + ROW_BYTES
        while state.size > KEPT_BYTES and len(state.rows) > 1:
            state.size -= state.rows.popleft().size + ROW_BYTES
        state.head = head
        for listener in state.listeners:
            listener.set()
        self.on_news(space)

    def continues(self, space: str, revision: int, token: bytes) -> bool:
        """Whether what was decided on the head (revision, token) follows what is known here, so
        that nothing of another process lies between."""
        known = self.head(space)
        return known is None or (known.revision, known.token) == (revision, token)

    def head(self, space: str) -> Head | None:
        """The newest published state; None before the first."""
        state = self._spaces.get(space)
        return state.head if state else None

    def rank(self, space: str) -> int:
        """Spaces of a lower rank go first."""
        head = self.head(space)
        return head.rank if head else 0

    def listen(self, space: str, wake: asyncio.Event) -> None:
        """Sets `wake` at every publication in a space, until `forget`."""
        self._state(space).listeners[wake] = None

    def forget(self, space: str, wake: asyncio.Event) -> None:
        self._state(space).listeners.pop(wake, None)

    async def rows_after(self, space: str, revision: int) -> Sequence[LogRow]:
        """A bounded number of rows after `revision`, oldest first; empty at the head."""
        state = self._state(space)
        if state.head is not None and revision >= state.head.revision:
            return ()
        if state.rows and state.rows[0].first_revision <= revision + 1:
            return _page(state.rows, revision)
        return await self._read_rows(space, revision)

    def encoded(
        self, row: LogRow, space: str, scope: Scope, codec_name: str, *, own: bool = False
    ) -> LogRow | None:
        """The row as a stream of this scope and codec gets it; None if nothing of it is inside.

        As it is in the log where that will do, else encoded once per scope and codec. An edge is
        told what became of its `own` commits whatever its scope.
        """
        if scope.whole and row.codec == codec_name:
            return row
        key = (space, row.last_revision, scope, codec_name, own)
        if key in self._encodings:
            self._encodings.move_to_end(key)
            return self._encodings[key]
        encoded = _within(row, space, scope, codec_name, own=own)
        self._encodings[key] = encoded
        if len(self._encodings) > KEPT_ENCODINGS:
            self._encodings.popitem(last=False)
        return encoded

    def _state(self, space: str) -> _Space:
        return self._spaces.setdefault(space, _Space())


def _page(rows: deque[LogRow], revision: int) -> list[LogRow]:
    """The first rows after a revision, found without a look at all that are kept."""
    first = bisect_right(rows, revision, key=attrgetter("last_revision"))
    page: list[LogRow] = []
    size = 0
    for index in range(first, min(len(rows), first + PAGE_ROWS)):
        size += rows[index].size
        if page and size > PAGE_BYTES:
            break
        page.append(rows[index])
    return page


def _within(row: LogRow, space: str, scope: Scope, codec_name: str, *, own: bool) -> LogRow | None:
    decided = row.decided(space)
    names = set(decided.batch.collections)
    inside = frozenset(name for name in names if scope.covers(name))
    # Emptied and lost commits have no operations, and still are revisions of the whole.
    if not inside and not own and not scope.whole:
        return None
    if inside == names and row.codec == codec_name:
        return row
    return row.encoded_as(decided.within(inside), codec_name)
