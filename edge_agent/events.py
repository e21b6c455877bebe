"""Commits as watchers see them, each whole: decided ones, and own ones that are pending.

Built from batches only where somebody watches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from edge_agent.judging import Draft
from edge_agent.requests import Change, Record
from edge_agent.states import Name, Overlaid
from edge_agent.tail import Images
from sync.batch import Decided
from sync.commit import Actor, Commit, Extra, Kind, OpId, Outcome, OutcomeKind, Version
from sync.filters import Filter
from sync.position import Position

PENDING = Outcome(OutcomeKind.PENDING)


@dataclass(frozen=True, slots=True)
class Event:
    """One commit. `names` are all records that it was about, `changes` those that it changed.
    `position` is where it was decided, or what a pending one is based on."""

    op_id: OpId
    position: Position
    outcome: Outcome
    actor: Actor
    extra: Extra
    names: tuple[Name, ...]
    changes: tuple[Change, ...]

    @property
    def pending(self) -> bool:
        return self.outcome.kind is OutcomeKind.PENDING

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, roughly."""
        return 512 + sum(len(change.record.value) for change in self.changes)


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything up to a position has been told."""

    position: Position


@dataclass(frozen=True, slots=True)
class Interest:
    """What a watch wants of a space; empty texts mean everything."""

    space: str
    collection: str = ""
    prefix: str = ""
    filter: Filter | None = None
    include_pending: bool = False

    def covers(self, name: Name) -> bool:
        return (not self.collection or name[0] == self.collection) and name[1].startswith(
            self.prefix
        )

    def of(self, event: Event, own: bool) -> Event | None:
        """The part of an event that is wanted. Whoever is told of pending commits is told of their
        outcome, also where they came to nothing."""
        if event.pending and not self.include_pending:
            return None
        kept = tuple(change for change in event.changes if self._wants(change.record))
        follows = own and self.include_pending and any(map(self.covers, event.names))
        follows = follows and not event.extra.strong  # that one was not told of before
        if not kept and not follows:
            return None
        return event if len(kept) == len(event.changes) else replace(event, changes=kept)

    def _wants(self, record: Record) -> bool:
        if not self.covers((record.collection, record.key)):
            return False
        return self.filter is None or self.filter.matches(record.key, record.value)


def decided_events(decided: Decided, images: Images, after: int = 0) -> Iterator[Event]:
    """The commits of a decided batch with revisions above `after`."""
    batch, starts = decided.batch, decided.batch.op_starts()
    for index in range(max(0, after + 1 - decided.first_revision), len(batch)):
        revision, seq = decided.first_revision + index, batch.first_seq + index
        changes: dict[Name, Change] = {}
        for op in range(starts[index], starts[index + 1]):
            image, name = images[op], (batch.collections[op], batch.keys[op])
            if image is None:
                continue
            version = Version(decided.epoch, revision, batch.origin, seq)
            record = Record(
                *name, image, version, batch.actors[index], batch.kinds[op] == Kind.DELETE,
                decided.stamps[index],
            )  # fmt: skip
            before = changes[name].previous if name in changes else decided.previous[op]
            changes[name] = Change(record, before)
        ops = slice(starts[index], starts[index + 1])
        yield Event(
            OpId(batch.origin, seq, batch.commit_ids[index]),
            Position(decided.epoch, batch.space, revision),
            decided.outcome(index), batch.actors[index], batch.extra(index),
            tuple(zip(batch.collections[ops], batch.keys[ops], strict=True)),
            tuple(changes.values()),
        )  # fmt: skip


def drafted_event(origin: bytes, draft: Draft) -> Event:
    """A commit that was just taken."""
    position = Position(draft.basis.epoch, draft.space, draft.basis.base)
    return pending_event(origin, draft.commit, position, draft.images)


def pending_event(
    origin: bytes, commit: Commit, position: Position, images: tuple[Overlaid, ...]
) -> Event:
    """An own commit that is not decided, with its records after each of its operations."""
    version = Version(position.epoch, position.revision, origin, commit.seq, pending=True)
    latest: Mapping[Name, Overlaid] = {
        (op.collection, op.key): image for op, image in zip(commit.ops, images, strict=True)
    }
    changes = tuple(
        Change(
            Record(*name, image.value, version, commit.actor, bool(image.deleted), commit.claimed)
        )
        for name, image in latest.items()
        if image.value is not None
    )
    names = tuple((op.collection, op.key) for op in commit.ops)
    op_id = OpId(origin, commit.seq, commit.id)
    return Event(op_id, position, PENDING, commit.actor, commit.extra, names, changes)
