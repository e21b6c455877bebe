"""Fan-out of commits to those who watch, in order, each commit whole and once.

A watch reads the tail up to the present and then lives on a queue of its own. The queue is bounded:
a watcher that does not keep up loses it and goes back to the tail, and only if the tail has lost
what it needs is it told COMPACTED. So one slow reader holds little memory and stalls nobody.

Pending commits of this edge lie outside that order: they are told when they are taken, and once
more when they are decided.

Invariant: a subscription has been sent exactly the wanted commits up to its `revision`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

from edge_agent import overlay, states, tail
from edge_agent import standing as standings
from edge_agent.database import EdgeFiles
from edge_agent.events import (
    Event,
    Interest,
    Progress,
    decided_events,
    drafted_event,
    pending_event,
)
from edge_agent.judging import Draft
from edge_agent.outbox_rows import DamagedRow, Limits
from edge_agent.overlay import Writer
from edge_agent.replica import Applied
from edge_agent.states import Name, Overlaid
from edge_agent.tail import Arrival, Kept
from holdfast.host.refusal import Refusal
from sync.batch import Batch
from sync.position import Lineage, Position, UnknownEpoch

MAX_WATCHES = 256
"""Of one edge: more than the agents of a device."""

QUEUED_EVENTS = 20_000
QUEUED_BYTES = 16 << 20
"""Of one watch: some of the largest batches. Beyond, it goes back to the tail."""

TAIL_BATCHES = 8
"""Read from the tail at once: each may be 2 MiB."""

PENDING_COMMITS = 5_000
"""Own pending commits told again to a watch that resumes. With more, it is to read the state."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a watch goes on: after a revision, and after an own pending commit."""

    epoch: int
    revision: int
    origin: bytes = b""
    seq: int = 0


@dataclass(slots=True, eq=False)
class _Subscription:
    interest: Interest
    revision: int = 0
    queue: deque[Event | Progress] = field(default_factory=deque)
    size_bytes: int = 0
    overflown: bool = False
    told_pending: dict[bytes, int] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, event: Event | Progress) -> None:
        if self.overflown:
            return
        if isinstance(event, Progress):
            if self.queue and isinstance(self.queue[-1], Progress):
                self.queue.pop()
        else:
            self.size_bytes += event.size_bytes
        self.queue.append(event)
        if len(self.queue) > QUEUED_EVENTS or self.size_bytes > QUEUED_BYTES:
            self.overflown = True
            self.queue.clear()
            self.size_bytes = 0
        self.ready.set()

    def restart(self) -> None:
        self.overflown = False
        self.queue.clear()
        self.size_bytes = 0

    def told(self, event: Event) -> bool:
        """Whether it has been sent already; notes that it is sent now. Once an outcome was sent,
        that its commit is pending is old: a watch that begins may find it decided already."""
        origin, seq = event.op_id.origin, event.op_id.seq
        known = self.told_pending.get(origin, 0)
        if event.pending:
            self.told_pending[origin] = max(seq, known)
            return seq <= known
        if event.position.revision <= self.revision:
            return True
        self.revision = event.position.revision
        if self.interest.include_pending:
            self.told_pending[origin] = max(seq, known)
        return False


class Watchers:
    """The watches of this edge."""

    def __init__(self, files: EdgeFiles) -> None:
        self._files = files
        # In the order they came, so that they are told in the same order in every run.
        self._subscriptions: dict[str, dict[_Subscription, None]] = {}
        self._count = 0
        self._closed = False

    def close(self) -> None:
        """Ends all watches, which go on from their tokens when the edge is back."""
        self._closed = True
        for subscriptions in self._subscriptions.values():
            for one in subscriptions:
                one.ready.set()

    # -- what happens --------------------------------------------------------

    def commits_taken(self, origin: bytes, drafts: Sequence[Draft]) -> None:
        """Own commits are in the view."""
        for draft in drafts:
            wanting = [one for one in self._of(draft.space) if one.interest.include_pending]
            if wanting:
                self._tell(wanting, drafted_event(origin, draft))

    def changes_applied(self, applied: Applied, arrivals: Sequence[Arrival]) -> None:
        """Decided commits are in the replica."""
        subscriptions = self._of(applied.space)
        if not subscriptions:
            return
        for arrival, images in zip(arrivals, applied.images, strict=True):
            if images is None:
                for one in subscriptions:
                    one.overflown = True
                    one.ready.set()
                return
            for event in decided_events(arrival.decided, images):
                self._tell(subscriptions, event)
        self.progressed(Position(applied.cursor.epoch, applied.space, applied.cursor.revision))

    def progressed(self, position: Position) -> None:
        """Everything up to a position has been told."""
        for one in self._of(position.space):
            one.put(Progress(position))

    def _of(self, space: str) -> list[_Subscription]:
        return list(self._subscriptions.get(space, ()))

    def _tell(self, subscriptions: Sequence[_Subscription], event: Event) -> None:
        own = event.op_id.origin in self._files.outbox.ordinals
        for one in subscriptions:
            wanted = one.interest.of(event, own)
            if wanted is not None:
                one.put(wanted)

    # -- watching ------------------------------------------------------------

    async def watch(
        self, interest: Interest, resume: Resume | None = None
    ) -> AsyncGenerator[Event | Progress, None]:
        """The wanted commits after `resume`, or after now.

        Raises Refusal: TOO_MANY_WATCHES, EPOCH_CHANGED, COMPACTED.
        """
        if self._count >= MAX_WATCHES:
            raise Refusal("TOO_MANY_WATCHES")
        subscription = _Subscription(interest)
        self._subscriptions.setdefault(interest.space, {})[subscription] = None
        self._count += 1
        try:
            await self._begin(subscription, resume)
            pending_after = resume
            while True:
                async for event in self._from_tail(subscription):
                    yield event
                if interest.include_pending and pending_after is not None:
                    for event in await self._still_pending(subscription, pending_after):
                        yield event
                async for live in self._live(subscription):
                    yield live
                pending_after = Resume(0, 0)
                subscription.restart()
        finally:
            self._subscriptions[interest.space].pop(subscription, None)
            self._count -= 1

    async def _begin(self, subscription: _Subscription, resume: Resume | None) -> None:
        space = subscription.interest.space
        standing = await self._files.reader.snapshot(lambda c: standings.load(c, space))
        if resume is None:
            subscription.revision = standing.cursor.revision
            subscription.told_pending = {
                own.origin: own.overlay_seq for own in standing.own.values()
            }
            return
        subscription.revision = resume.revision
        lineage = self._files.outbox.lineage
        if resume.revision and lineage and resume.epoch != lineage[-1].ordinal:
            try:
                here = Lineage(lineage).effective(Position(resume.epoch, space, resume.revision))
            except UnknownEpoch as unknown:
                raise Refusal("EPOCH_UNKNOWN", str(unknown)) from unknown
            if here < resume.revision:
                raise Refusal("EPOCH_CHANGED", f"the history was taken back to revision {here}")

    async def _from_tail(self, subscription: _Subscription) -> AsyncIterator[Event]:
        """What has been decided since, up to the present."""
        interest = subscription.interest
        position = subscription.revision
        while True:
            batches = await self._files.reader.snapshot(
                lambda c, p=position: _page(c, interest.space, p)  # type: ignore[misc]
            )
            for kept in batches:
                if kept.images is None:
                    raise Refusal("COMPACTED", "a batch is too large to be told again")
                for event in decided_events(kept.decided, kept.images, subscription.revision):
                    own = event.op_id.origin in self._files.outbox.ordinals
                    wanted = interest.of(event, own)
                    if not subscription.told(event) and wanted is not None:
                        yield wanted
                position = max(position, kept.decided.last_revision)
            if len(batches) < TAIL_BATCHES:
                return

    async def _live(self, subscription: _Subscription) -> AsyncIterator[Event | Progress]:
        """What happens from now on, until the queue overflows."""
        while not subscription.overflown:
            while subscription.queue:
                event = subscription.queue.popleft()
                if isinstance(event, Progress):
                    if event.position.revision >= subscription.revision:
                        subscription.revision = event.position.revision
                        yield event
                    continue
                subscription.size_bytes -= event.size_bytes
                if not subscription.told(event):
                    yield event
            subscription.ready.clear()
            if self._closed:
                raise Refusal("SHUTTING_DOWN")
            if not subscription.queue and not subscription.overflown:
                await subscription.ready.wait()

    # -- pending commits of a watch that resumes -----------------------------

    async def _still_pending(self, subscription: _Subscription, resume: Resume) -> list[Event]:
        """Own undecided commits that the watch has not been told of."""
        space = subscription.interest.space
        if resume.origin:
            name, seq = self._files.outbox.present_name(space, resume.origin, resume.seq)
            told = subscription.told_pending
            told[name] = max(seq, told.get(name, 0))
        standing = await self._files.reader.snapshot(lambda c: standings.load(c, space))
        batches: list[Batch] = []
        for origin, newest in standing.seen:
            after = next(own.decided_seq for own in standing.own.values() if own.origin == origin)
            if newest - after > PENDING_COMMITS:
                raise Refusal("COMPACTED", "too many commits are pending to be told again")
            batches += await self._files.in_outbox(
                lambda c, o=origin, a=after, n=newest: _own(c, self._files, space, o, a, n)  # type: ignore[misc]
            )
        position = Position(standing.cursor.epoch, space, standing.cursor.revision)
        ordinals = self._files.outbox.ordinals
        events = await self._files.reader.snapshot(
            lambda c: _replayed(c, batches, ordinals, position)
        )
        found = (subscription.interest.of(e, own=True) for e in events)
        return [event for event in found if event is not None and not subscription.told(event)]


def _page(connection: sqlite3.Connection, space: str, revision: int) -> list[Kept]:
    standing = standings.load(connection, space)
    if revision < min(standing.tail_from, standing.cursor.revision):
        raise Refusal("COMPACTED", f"revision {revision} is no longer kept here")
    return tail.after(connection, space, revision, TAIL_BATCHES)


def _own(
    connection: sqlite3.Connection, files: EdgeFiles, space: str, origin: bytes, after: int,
    newest: int,
) -> list[Batch]:  # fmt: skip
    found: list[Batch] = []
    limits = Limits(PENDING_COMMITS, QUEUED_BYTES)
    while after < newest:
        try:
            batch = files.outbox.read(connection, space, origin, after, limits)
        except DamagedRow:
            break
        if batch is None:
            break
        if isinstance(batch, Batch):
            found.append(batch)
            after = batch.last_seq
        else:
            after = batch.first_seq + batch.count - 1
    return found


def _replayed(
    connection: sqlite3.Connection, batches: Sequence[Batch], ordinals: dict[bytes, int],
    position: Position,
) -> list[Event]:  # fmt: skip
    """Pending commits with their records after each, from the hub's records on."""
    names: set[Name] = set()
    for batch in batches:
        names.update(zip(batch.collections, batch.keys, strict=True))
    hub = states.hub_records(connection, position.space, names)
    over: dict[Name, Overlaid] = {}
    events: list[Event] = []
    for batch in batches:
        starts = batch.op_starts()
        for index, actor in enumerate(batch.actors):
            if batch.extra(index).strong:
                continue
            seq, claimed = batch.first_seq + index, batch.claimed[index]
            by = Writer(ordinals[batch.origin], seq, claimed, actor.id, int(actor.kind))
            ops = range(starts[index], starts[index + 1])
            images = tuple(
                overlay.step(
                    over, hub, (batch.collections[op], batch.keys[op]), batch.kinds[op],
                    batch.payloads[op], by,
                )
                for op in ops
            )  # fmt: skip
            events.append(pending_event(batch.origin, batch.commit(index), position, images))
    return events
