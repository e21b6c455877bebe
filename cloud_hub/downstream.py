"""What one stream is sent of the history, in which order.

A cursor for each space. Control spaces come before state and bulk, so that an
emergency stop overtakes a backlog. At the head of a space a bookmark closes the
run: with it the edge's cursor moves past what was outside its scope, and the
digests tell whether both sides mean the same.

Invariant: rows of a space go out in order, none twice, none left out except as
a whole by scope.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cloud_hub.change_log import LogRow
from cloud_hub.cursors import CursorKey
from cloud_hub.fanout import Fanout, Head
from sync import messages as m
from sync.position import Cursor, Position

BOOKMARK_NS = 1_000_000_000
"""Least time between two bookmarks of a space: digests once a second are plenty."""

IDLE_BOOKMARK_NS = 30_000_000_000
"""On an idle stream, to show that nothing was missed."""


@dataclass(slots=True)
class _Followed:
    space: str
    scope: m.Scope
    revision: int
    rows: deque[LogRow] = field(default_factory=deque)
    marked_revision: int = -1
    marked_ns: int = 0


class Downstream:
    """Picks the next message of a stream; `wake` is set when there may be one. `own` are the
    origins of its edge, which is told of their commits whatever its scope. `on_sent` is told when
    each batch that goes out was decided."""

    def __init__(
        self,
        fanout: Fanout,
        key: CursorKey,
        spaces: Sequence[m.SpaceHello],
        codec_name: str,
        wake: asyncio.Event,
        own: frozenset[bytes] = frozenset(),
        on_sent: Callable[[int], None] = lambda _decided_ms: None,
    ) -> None:
        self._fanout, self._key, self._wake = fanout, key, wake
        self._on_sent = on_sent
        self._codec, self._own = codec_name, own
        self._followed = [_Followed(s.space, s.scope, s.cursor.revision) for s in spaces]
        for followed in self._followed:
            fanout.listen(followed.space, wake)

    @property
    def behind(self) -> int:
        """Revisions still to be sent, in the space where they are most."""
        heads = ((self._fanout.head(f.space), f.revision) for f in self._followed)
        return max((head.revision - at for head, at in heads if head is not None), default=0)

    def close(self) -> None:
        for followed in self._followed:
            self._fanout.forget(followed.space, self._wake)

    async def next(self, now_ns: int) -> m.Changes | m.Bookmark | None:
        """The next message, or None while there is nothing."""
        ordered = sorted(self._followed, key=lambda f: self._fanout.rank(f.space))
        for followed in ordered:
            message = await self._next_of(followed, now_ns)
            if message is not None:
                return message
        return None

    async def _next_of(self, followed: _Followed, now_ns: int) -> m.Changes | m.Bookmark | None:
        while True:
            if not followed.rows:
                followed.rows.extend(
                    await self._fanout.rows_after(followed.space, followed.revision)
                )
            if not followed.rows:
                return self._bookmark(followed, now_ns)
            row = followed.rows.popleft()
            followed.revision = row.last_revision
            encoded = self._fanout.encoded(
                row, followed.space, followed.scope, self._codec, own=row.origin_id in self._own
            )
            if encoded is not None:
                self._on_sent(row.decided_ms)
                return self._changes(followed.space, encoded)

    def _changes(self, space: str, row: LogRow) -> m.Changes:
        position = Position(row.epoch, space, row.last_revision)
        return m.Changes(
            space=space,
            epoch=row.epoch,
            first_revision=row.first_revision,
            origin=row.origin_id,
            first_seq=row.first_seq,
            count=len(row),
            header=row.header,
            block=row.block,
            block_bytes=row.block_bytes,
            cursor_token=self._key.prove(position, row.token),
        )

    def _bookmark(self, followed: _Followed, now_ns: int) -> m.Bookmark | None:
        head = self._fanout.head(followed.space)
        if head is None or head.revision != followed.revision:
            return None
        since = now_ns - followed.marked_ns
        moved = followed.marked_revision != head.revision
        if since < (BOOKMARK_NS if moved else IDLE_BOOKMARK_NS):
            return None
        followed.marked_revision, followed.marked_ns = head.revision, now_ns
        return self._at(followed, head)

    def _at(self, followed: _Followed, head: Head) -> m.Bookmark:
        position = Position(head.epoch, followed.space, head.revision)
        proof = self._key.prove(position, head.token) if head.revision else b""
        digests = tuple(d for d in head.digests if followed.scope.covers(d.collection))
        return m.Bookmark(followed.space, Cursor(head.epoch, head.revision, proof), (), digests)
