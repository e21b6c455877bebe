"""Commits that the hub makes by itself.

What a decision leads to (a conflict that waits for a person) is written as commits of the hub's own
origin, in the same transaction and right after it, with the id of the commit that caused it. So the
log explains everything, and no table changes that it does not tell of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sync.batch import MAX_COMMITS, MAX_PAYLOAD_BYTES, Batch, batch_of
from sync.clock import stamp_at
from sync.commit import Actor, ActorKind, Commit, Extra, Kind, Op

HUB = Actor("cloud-hub", ActorKind.SYSTEM)


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that the hub creates, and the id of the commit that it is a consequence of."""

    collection: str
    key: str
    value: bytes
    cause: bytes


@dataclass(frozen=True, slots=True)
class Present:
    """Where a space is while a group is decided."""

    space: str
    epoch: int
    revision: int
    hub_ms: int


def own_batches(
    drafts: Sequence[Draft], origin: bytes, seq: int, at: Present, new_id: Callable[[], bytes]
) -> Iterator[Batch]:
    """Commits of one record each, after `seq`, as batches that fit a message."""
    commits: list[Commit] = []
    size = 0
    for draft in drafts:
        size += len(draft.value)
        if commits and (size > MAX_PAYLOAD_BYTES or len(commits) == MAX_COMMITS):
            yield batch_of(at.space, origin, at.epoch, commits)
            commits, size = [], len(draft.value)
        seq += 1
        commits.append(_commit(draft, seq, at, new_id()))
    if commits:
        yield batch_of(at.space, origin, at.epoch, commits)


def _commit(draft: Draft, seq: int, at: Present, commit_id: bytes) -> Commit:
    return Commit(
        id=commit_id,
        seq=seq,
        base=at.revision,
        seen=seq - 1,
        claimed=stamp_at(at.hub_ms),
        actor=HUB,
        ops=(Op(Kind.CREATE, draft.collection, draft.key, draft.value),),
        extra=Extra(causation_id=draft.cause),
    )
