"""Batches: the unit of everything that moves.

An object per change would cost half of all the time there is, so a batch is one
frozen object of columns, checked once as a whole. Commits of a batch have one
origin, one space, consecutive seqs and bases of one epoch; decided ones have
consecutive revisions too. `commit(i)` makes the view of a row.

Law (tests/laws): whatever is done to a batch equals doing it commit by commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, pairwise
from typing import TypeVar

from sync.commit import APPLIED, NO_EXTRA, Actor, Commit, Extra, Kind, Op, Outcome
from sync.position import ID_BYTES, MAX_NUMBER

T = TypeVar("T")

MAX_COMMITS = 5_000
"""Commits of a batch: one transaction of about 50 ms, so that an urgent space waits no longer."""

MAX_OPS = 10_000
"""Operations of a batch, for the same reason."""

MAX_PAYLOAD_BYTES = 2 << 20
"""Sum of the payloads, so that a compressed block and its header fit a 4 MiB message."""

_KINDS = frozenset(int(kind) for kind in Kind)


class MalformedBatch(ValueError):
    """A batch that cannot be what its sender means; `index` names the commit if one is to blame."""

    reason = "MALFORMED_BATCH"

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


@dataclass(frozen=True, slots=True)
class Batch:
    """Commits as their origin wrote them. All columns of commits have one
    length, all columns of operations another; `op_counts` ties them."""

    space: str
    origin: bytes
    first_seq: int
    base_epoch: int
    commit_ids: tuple[bytes, ...]
    bases: tuple[int, ...]
    seens: tuple[int, ...]
    claimed: tuple[int, ...]
    actors: tuple[Actor, ...]
    op_counts: tuple[int, ...]
    collections: tuple[str, ...]
    keys: tuple[str, ...]
    kinds: bytes
    payloads: tuple[bytes, ...]
    extras: Mapping[int, Extra] = field(default_factory=dict)
    plain: bool = field(default=False, compare=False)
    """Every payload is known to survive orjson unchanged, so it need not be tried again."""

    def __post_init__(self) -> None:
        commits, ops = len(self.commit_ids), len(self.keys)
        columns = (self.bases, self.seens, self.claimed, self.actors, self.op_counts)
        if not commits or any(len(column) != commits for column in columns):
            raise MalformedBatch("columns of commits differ in length, or there are none")
        if any(len(column) != ops for column in (self.collections, self.kinds, self.payloads)):
            raise MalformedBatch("columns of operations differ in length")
        if sum(self.op_counts) != ops or min(self.op_counts) < 0:
            raise MalformedBatch("op_counts do not add up to the operations")
        if commits > MAX_COMMITS or ops > MAX_OPS:
            raise MalformedBatch(f"more than {MAX_COMMITS} commits or {MAX_OPS} operations")
        if len(self.origin) != ID_BYTES or self.first_seq < 1:
            raise MalformedBatch("an origin has 16 bytes, and seqs begin at 1")
        numbers = (*map(max, columns[:3]), self.last_seq, self.base_epoch)
        if max(numbers) > MAX_NUMBER:
            raise MalformedBatch(f"a seq, base, epoch or stamp above {MAX_NUMBER}")
        if set(map(len, self.commit_ids)) != {ID_BYTES}:
            raise MalformedBatch("a commit id has 16 bytes")
        if not _KINDS.issuperset(self.kinds):
            raise MalformedBatch("a kind of operation that this version does not know")
        if min(self.bases) < 0 or min(self.seens) < 0 or min(self.claimed) < 0:
            raise MalformedBatch("bases, seqs and stamps are not negative")

    def __len__(self) -> int:
        return len(self.commit_ids)

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.commit_ids) - 1

    def extra(self, index: int) -> Extra:
        return self.extras.get(index, NO_EXTRA)

    def op_starts(self) -> list[int]:
        """Index of the first operation of each commit, and one past the last."""
        return list(accumulate(self.op_counts, initial=0))

    def commit(self, index: int) -> Commit:
        """The view of one row. Costs a pass over op_counts."""
        start = sum(self.op_counts[:index])
        return Commit(
            id=self.commit_ids[index],
            seq=self.first_seq + index,
            base=self.bases[index],
            seen=self.seens[index],
            claimed=self.claimed[index],
            actor=self.actors[index],
            ops=tuple(self.op(i) for i in range(start, start + self.op_counts[index])),
            extra=self.extra(index),
        )

    def op(self, index: int) -> Op:
        return Op(
            Kind(self.kinds[index]), self.collections[index], self.keys[index], self.payloads[index]
        )

    def slice(self, start: int, stop: int) -> Batch:
        """Commits `start` to `stop`, which must not be empty."""
        ops = slice(sum(self.op_counts[:start]), sum(self.op_counts[:stop]))
        return replace(
            self,
            first_seq=self.first_seq + start,
            commit_ids=self.commit_ids[start:stop],
            bases=self.bases[start:stop],
            seens=self.seens[start:stop],
            claimed=self.claimed[start:stop],
            actors=self.actors[start:stop],
            op_counts=self.op_counts[start:stop],
            collections=self.collections[ops],
            keys=self.keys[ops],
            kinds=self.kinds[ops],
            payloads=self.payloads[ops],
            extras={i - start: e for i, e in self.extras.items() if start <= i < stop},
        )

    def with_ops(self, kinds: bytes, payloads: tuple[bytes, ...]) -> Batch:
        """The same commits with what the hub made of their operations."""
        return replace(self, kinds=kinds, payloads=payloads, plain=False)

    def within(self, collections: frozenset[str]) -> Batch:
        """The same commits with only the operations on these collections."""
        keep = [name in collections for name in self.collections]
        if all(keep):
            return self
        starts = self.op_starts()
        chosen = [i for i, kept in enumerate(keep) if kept]
        return replace(
            self,
            op_counts=tuple(sum(keep[a:b]) for a, b in pairwise(starts)),
            collections=tuple(self.collections[i] for i in chosen),
            keys=tuple(self.keys[i] for i in chosen),
            kinds=bytes(self.kinds[i] for i in chosen),
            payloads=tuple(self.payloads[i] for i in chosen),
        )


def batch_of(
    space: str, origin: bytes, base_epoch: int, commits: Sequence[Commit] | Iterable[Commit]
) -> Batch:
    """A batch of single commits, whose seqs must be consecutive."""
    rows = list(commits)
    if not rows:
        raise MalformedBatch("a batch has commits")
    if any(row.seq != rows[0].seq + i for i, row in enumerate(rows)):
        raise MalformedBatch("seqs are not consecutive")
    ops = [op for row in rows for op in row.ops]
    return Batch(
        space=space,
        origin=origin,
        first_seq=rows[0].seq,
        base_epoch=base_epoch,
        commit_ids=tuple(row.id for row in rows),
        bases=tuple(row.base for row in rows),
        seens=tuple(row.seen for row in rows),
        claimed=tuple(row.claimed for row in rows),
        actors=tuple(row.actor for row in rows),
        op_counts=tuple(len(row.ops) for row in rows),
        collections=tuple(op.collection for op in ops),
        keys=tuple(op.key for op in ops),
        kinds=bytes(op.kind for op in ops),
        payloads=tuple(op.payload for op in ops),
        extras={i: row.extra for i, row in enumerate(rows) if row.extra != NO_EXTRA},
    )


@dataclass(frozen=True, slots=True)
class Decided:
    """A batch with its place in the history and what the hub decided.

    `batch` holds the operations as they took effect, so that a replica applies
    them without any rule. `stamps` has one entry per commit, `previous` one per
    operation: the revision of the record before it, zero if there was none.
    `outcomes` holds what is not simply `applied`.
    """

    batch: Batch
    epoch: int
    first_revision: int
    stamps: tuple[int, ...]
    previous: tuple[int, ...]
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.stamps) != len(self.batch) or len(self.previous) != len(self.batch.keys):
            raise MalformedBatch("the header does not fit the block")
        if self.first_revision < 1:
            raise MalformedBatch("revisions begin at 1")
        if self.outcomes and not 0 <= min(self.outcomes) <= max(self.outcomes) < len(self.batch):
            raise MalformedBatch("an outcome of a commit that is not in the batch")

    @property
    def last_revision(self) -> int:
        return self.first_revision + len(self.batch) - 1

    def outcome(self, index: int) -> Outcome:
        return self.outcomes.get(index, APPLIED)

    def record_names(self) -> set[tuple[str, str]]:
        """Collections and keys that took effect."""
        batch = self.batch
        rows = zip(batch.collections, batch.keys, batch.kinds, strict=True)
        return {(collection, key) for collection, key, kind in rows if kind}

    def within(self, collections: frozenset[str]) -> Decided:
        """The same decisions with only the operations on these collections."""
        names = self.batch.collections
        if all(name in collections for name in names):
            return self
        pairs = zip(names, self.previous, strict=True)
        kept = tuple(previous for name, previous in pairs if name in collections)
        return replace(self, batch=self.batch.within(collections), previous=kept)

    def slice(self, start: int, stop: int) -> Decided:
        """The decisions on commits `start` to `stop`, which must not be empty."""
        counts = self.batch.op_counts
        ops = slice(sum(counts[:start]), sum(counts[:stop]))
        return replace(
            self,
            batch=self.batch.slice(start, stop),
            first_revision=self.first_revision + start,
            stamps=self.stamps[start:stop],
            previous=self.previous[ops],
            outcomes={i - start: o for i, o in self.outcomes.items() if start <= i < stop},
        )


def pieces(decided: Decided, payload_bytes: int = MAX_PAYLOAD_BYTES) -> list[Decided]:
    """Consecutive parts, none with more payload than a batch may have, single commits apart.

    What merging made of operations can be larger than they came, and must still fit a message.
    """
    starts, sizes = decided.batch.op_starts(), [*map(len, decided.batch.payloads)]
    cuts, size = [0], 0
    for index in range(len(decided.batch)):
        more = sum(sizes[starts[index] : starts[index + 1]])
        if size + more > payload_bytes and index > cuts[-1]:
            cuts.append(index)
            size = 0
        size += more
    if len(cuts) == 1:
        return [decided]
    return [decided.slice(a, b) for a, b in pairwise((*cuts, len(decided.batch)))]


def joined(parts: Sequence[Decided]) -> Decided:
    """Consecutive decided batches of one origin, on bases of one epoch, as one."""
    if len(parts) == 1:
        return parts[0]
    assert all(_follows(part, before) for before, part in pairwise(parts)), "parts of one run"
    first = parts[0]
    batches = [part.batch for part in parts]
    starts = list(accumulate(map(len, batches), initial=0))
    return Decided(
        batch=replace(
            first.batch,
            commit_ids=_chain(b.commit_ids for b in batches),
            bases=_chain(b.bases for b in batches),
            seens=_chain(b.seens for b in batches),
            claimed=_chain(b.claimed for b in batches),
            actors=_chain(b.actors for b in batches),
            op_counts=_chain(b.op_counts for b in batches),
            collections=_chain(b.collections for b in batches),
            keys=_chain(b.keys for b in batches),
            kinds=b"".join(b.kinds for b in batches),
            payloads=_chain(b.payloads for b in batches),
            extras={
                start + i: extra
                for start, b in zip(starts, batches, strict=False)
                for i, extra in b.extras.items()
            },
        ),
        epoch=first.epoch,
        first_revision=first.first_revision,
        stamps=_chain(part.stamps for part in parts),
        previous=_chain(part.previous for part in parts),
        outcomes={
            start + i: outcome
            for start, part in zip(starts, parts, strict=False)
            for i, outcome in part.outcomes.items()
        },
    )


def _follows(part: Decided, before: Decided) -> bool:
    one, other = before.batch, part.batch
    same = (one.space, one.origin, one.base_epoch) == (other.space, other.origin, other.base_epoch)
    next_ = (before.epoch, before.last_revision + 1, one.last_seq + 1)
    return same and (part.epoch, part.first_revision, other.first_seq) == next_


def _chain(columns: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(columns))
