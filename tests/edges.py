"""An edge without daemon or network, and a hub that is a dictionary: for tests of what an edge
stores."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent import reconcile, replica
from edge_agent.alarms import Alarms
from edge_agent.database import EdgeFiles, Opener, open_files
from edge_agent.local_store import LocalStore
from edge_agent.outbox_rows import Limits
from edge_agent.reads import Reads
from edge_agent.replica import Applied, Marked
from edge_agent.requests import Context, Receipt, Write
from edge_agent.tail import Arrival
from edge_agent.watchers import Watchers
from holdfast.host.sqlite import InlineDatabase
from sync import codec
from sync import digest as digests
from sync.batch import Batch, Decided, batch_of
from sync.body import outline
from sync.clock import decide_stamp
from sync.commit import (
    Actor,
    ActorKind,
    Commit,
    Extra,
    Outcome,
    OutcomeKind,
    Precondition,
)
from sync.messages import Bookmark, Changes, CollectionDigest, OriginState, Scope, VoidRange
from sync.policy import POLICIES, Policies
from sync.position import Cursor
from sync.reduce import Put, Request
from sync.resolve import Resolver
from sync.texts import Texts
from sync.working import Conflict, Key, Working

SPACE = "site"
ROBOT = Actor("robot-1", ActorKind.ROBOT)
MEMORY_CODEC = "identity"


class TestClock:
    """Clocks that a test turns."""

    __test__ = False

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self.wall = wall_ms

    def boot_ns(self) -> int:
        return self.wall * 1_000_000

    def wall_ms(self) -> int:
        self.wall += 1
        return self.wall


def ids(seed: int) -> Callable[[], bytes]:
    """16 bytes that never come twice, the same for the same seed."""
    numbers = itertools.count(1)
    return lambda: seed.to_bytes(4, "big") + next(numbers).to_bytes(12, "big")


@dataclass
class DictHub:
    """Decides as the hub does, for one space, and remembers everything."""

    records: dict[Key, Working] = field(default_factory=dict)
    policies: Policies = field(default_factory=Policies)
    log: list[Decided] = field(default_factory=list)
    names: dict[int, bytes] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)
    marks: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    history: dict[int, dict[Key, bytes]] = field(default_factory=lambda: {0: {}})
    wall_ms: int = 1_700_000_000_000
    texts: Texts = field(default_factory=Texts)
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def head(self) -> int:
        return self.log[-1].last_revision if self.log else 0

    def push(self, batch: Batch | VoidRange) -> None:
        """Takes a push; what it has already is dropped."""
        if isinstance(batch, VoidRange):
            self._lose(batch)
            return
        done, done_id = self.marks.get(batch.origin, (0, b""))
        assert batch.first_seq <= done + 1, "a gap in seqs"
        if batch.first_seq <= done:
            if done <= batch.last_seq:
                assert batch.commit_ids[done - batch.first_seq] == done_id, "another id at a seq"
            if batch.last_seq <= done:
                return
            batch = batch.slice(done + 1 - batch.first_seq, len(batch))
        self._decide(batch)

    def _decide(self, batch: Batch) -> None:
        number = self.numbers.setdefault(batch.origin, len(self.numbers) + 1)
        self.names[number] = batch.origin
        first = self.head + 1
        self.wall_ms += 1
        floor = max((r.stamp for r in self.records.values()), default=0)
        stamps = []
        for claimed in batch.claimed:
            floor = decide_stamp(claimed, self.wall_ms, floor)
            stamps.append(floor)
        resolver = Resolver(self.records, self.policies, self.names, self.numbers)
        resolver.texts = self.texts
        made = resolver.decide(batch, number, first, tuple(stamps), batch.bases)
        self.conflicts += made.conflicts
        self._log(
            Decided(
                batch.with_ops(bytes(made.kinds), tuple(made.payloads)), 1, first, tuple(stamps),
                tuple(made.previous), made.outcomes,
            )
        )  # fmt: skip
        self._policies(batch)

    def _policies(self, batch: Batch) -> None:
        for collection, key in zip(batch.collections, batch.keys, strict=True):
            if collection == POLICIES:
                record = self.records[collection, key]
                self.policies = self.policies.with_record(key, record.live)

    def _lose(self, gone: VoidRange) -> None:
        self.numbers.setdefault(gone.origin, len(self.numbers) + 1)
        self.names[self.numbers[gone.origin]] = gone.origin
        commits = [
            Commit(bytes(16), gone.first_seq + i, 0, 0, 0, ROBOT, ()) for i in range(gone.count)
        ]
        lost = Outcome(OutcomeKind.LOST, gone.reason)
        batch = batch_of(gone.space, gone.origin, 1, commits)
        outcomes = dict.fromkeys(range(gone.count), lost)
        self._log(Decided(batch, 1, self.head + 1, (0,) * gone.count, (), outcomes))

    def _log(self, decided: Decided) -> None:
        self.log.append(decided)
        batch = decided.batch
        self.marks[batch.origin] = (batch.last_seq, batch.commit_ids[-1])
        self.history[decided.last_revision] = self.state()

    def ids_of(self, origin: bytes) -> dict[int, bytes]:
        """The commit ids that were decided under an origin."""
        return {
            one.batch.first_seq + index: id_
            for one in self.log
            if one.batch.origin == origin
            for index, id_ in enumerate(one.batch.commit_ids)
            if one.outcome(index).kind is not OutcomeKind.LOST
        }

    def state(self) -> dict[Key, bytes]:
        """The live records."""
        return {key: r.value for key, r in self.records.items() if not r.deleted}

    def write(
        self, request: Request, *, origin: bytes = b"h" * 16, base: int | None = None
    ) -> None:
        """A commit by somebody else."""
        from sync.reduce import reduce

        record = self.records.get((request.collection, request.key))
        live = record.live if record else None
        ops = reduce(request, live, self.policies.of(request.collection))
        seq = self.marks.get(origin, (0, b""))[0] + 1
        at = self.head if base is None else base
        stamp = self.wall_ms << 16
        name = b"elsewhere" + self.head.to_bytes(7, "big")
        commit = Commit(name, seq, at, seq - 1, stamp, Actor("other", ActorKind.HUMAN), ops)
        self.push(batch_of(SPACE, origin, 1, [commit]))

    def set_policy(self, collection: str, text: bytes) -> None:
        self.write(Put(POLICIES, collection, text))

    def after(self, revision: int, limit: int = 1_000) -> list[Arrival]:
        """What an edge at a revision is sent."""
        return [arrival(one) for one in self.log if one.first_revision > revision][:limit]

    def bookmark(self) -> Bookmark:
        sums: dict[str, tuple[int, int]] = {}
        for (collection, key), record in self.records.items():
            if not record.deleted:
                one = digests.record_digest(
                    SPACE, collection, key, record.revision, outline(record.value)
                )
                digest, count = sums.get(collection, (0, 0))
                sums[collection] = (digests.combine(digest, one), count + 1)
        return Bookmark(
            SPACE,
            Cursor(1, self.head, b"t"),
            tuple(OriginState(o, seq, id_) for o, (seq, id_) in self.marks.items()),
            tuple(CollectionDigest(c, d, n) for c, (d, n) in sums.items()),
        )


def arrival(decided: Decided) -> Arrival:
    """A decided batch as it arrives."""
    batch = decided.batch
    block, header = codec.encode_block(batch), codec.encode_header(decided)
    changes = Changes(
        batch.space, decided.epoch, decided.first_revision, batch.origin, batch.first_seq,
        len(batch), header, block, len(block), b"token",
    )  # fmt: skip
    return Arrival(decided, changes, MEMORY_CODEC)


class Edge:
    """One edge's store."""

    def __init__(self, files: EdgeFiles, scopes: dict[str, Scope] | None = None) -> None:
        self.files = files
        self.watchers = Watchers(files)
        self.pending: list[frozenset[str]] = []
        self.store = LocalStore(
            files,
            scopes=scopes,
            on_pending=self.pending.append,
            on_commits=self.watchers.commits_taken,
        )
        self.reads = Reads(files, scopes)

    @property
    def origin(self) -> bytes:
        return self.files.outbox.origin.id

    async def commit(
        self, *requests: Request, context: Context | None = None,
        preconditions: Iterable[Precondition] = (), commit_id: bytes | None = None,
        actor: Actor = ROBOT,
    ) -> Receipt:  # fmt: skip
        return await self.store.commit(
            Write(
                SPACE, requests, actor, tuple(preconditions), commit_id=commit_id, context=context
            )
        )

    async def put(self, key: str, value: bytes, collection: str = "things") -> Receipt:
        return await self.commit(Put(collection, key, value))

    async def value(self, key: str, collection: str = "things") -> bytes | None:
        read = await self.reads.batch_get(SPACE, [(collection, key)])
        return read.records[0].value if read.records else None

    async def undecided(
        self, commits: int = 1_000, *, offer: bool = False
    ) -> list[Batch | VoidRange]:
        """What is to be pushed; with `offer` it counts as offered."""
        standing = await self.reads.standing(SPACE)
        found: list[Batch | VoidRange] = []
        for ordinal in self.files.outbox.streams(SPACE):
            own = standing.own.get(ordinal)
            after, origin = own.decided_seq if own else 0, self.files.outbox.id_of(ordinal)
            while True:
                one = await self.files.in_outbox(
                    lambda c, o=origin, a=after: self.files.outbox.read(  # type: ignore[misc]
                        c, SPACE, o, a, Limits(commits, 1 << 20), offer=offer
                    )
                )
                if one is None:
                    break
                found.append(one)
                after = one.last_seq if isinstance(one, Batch) else one.first_seq + one.count - 1
        return found

    async def push(self, hub: DictHub, commits: int = 1_000) -> None:
        await self.compare(hub)
        for batch in await self.undecided(commits, offer=True):
            hub.push(batch)

    async def pull(self, hub: DictHub, limit: int = 1_000) -> Applied | None:
        cursor = (await self.reads.standing(SPACE)).cursor
        return await self.adopt(hub.after(cursor.revision, limit))

    async def adopt(self, arrivals: Sequence[Arrival]) -> Applied | None:
        if not arrivals:
            return None
        ordinals = self.files.outbox.ordinals
        applied = await self.files.replica.run(
            lambda c: replica.apply(c, SPACE, arrivals, ordinals)
        )
        self.watchers.changes_applied(applied, arrivals)
        await reconcile.part_from_copies(self.files, arrivals)
        return applied

    async def compare(self, hub: DictHub) -> None:
        """As the hello does: compares ids with the hub's before anything is sent."""
        outbox, keep = self.files.outbox, {}
        for ordinal in outbox.streams(SPACE):
            origin, last = outbox.id_of(ordinal), outbox.counter(SPACE, ordinal).last_seq
            theirs = hub.ids_of(origin)
            ours = await self.files.in_outbox(
                lambda c, o=origin, t=theirs: outbox.ids_at(c, SPACE, o, list(t))  # type: ignore[misc]
            )
            differing = [
                seq for seq in theirs if seq <= last and ours.get(seq, theirs[seq]) != theirs[seq]
            ]
            ahead = origin == self.origin and max(theirs, default=0) > last
            if differing or ahead:
                keep[SPACE, origin] = min(differing, default=last + 1) - 1
        if keep:
            await reconcile.take_new_origin(self.files, "ORIGIN_COPIED", keep)

    async def mark(self, hub: DictHub) -> Marked:
        ordinals, bookmark = self.files.outbox.ordinals, hub.bookmark()
        return await self.files.replica.run(lambda c: replica.mark(c, bookmark, ordinals))

    async def sync(self, hub: DictHub) -> Marked:
        await self.push(hub)
        await self.pull(hub)
        return await self.mark(hub)

    async def state(self) -> dict[Key, bytes]:
        """The whole view."""

        def work(c: object) -> dict[Key, bytes]:
            import sqlite3

            assert isinstance(c, sqlite3.Connection)
            out: dict[Key, bytes] = {}
            for collection, key, deleted, value in c.execute(
                "SELECT collection, key, deleted, value FROM records"
            ):
                if not deleted:
                    out[collection, key] = value
            for collection, key, deleted, value in c.execute(
                "SELECT collection, key, deleted, value FROM overlay"
            ):
                if deleted:
                    out.pop((collection, key), None)
                else:
                    out[collection, key] = value
            return out

        return await self.files.reader.snapshot(work)

    async def close(self) -> None:
        await self.store.close()
        await self.files.close()


async def open_edge(
    path: Path, seed: int = 1, opener: Opener = InlineDatabase.open,
    clock: TestClock | None = None, scopes: dict[str, Scope] | None = None,
) -> Edge:  # fmt: skip
    """Opens an edge as the daemon does, files made to agree."""
    path.mkdir(exist_ok=True)  # noqa: ASYNC240 - a test waits for its own disk
    files = await open_files(path, "edge-1", clock or TestClock(), ids(seed), Alarms(), opener)
    await reconcile.reconcile(files)
    return Edge(files, scopes)


@contextlib.asynccontextmanager
async def edge_at(
    path: Path, seed: int = 1, opener: Opener = InlineDatabase.open,
    clock: TestClock | None = None, scopes: dict[str, Scope] | None = None,
) -> AsyncIterator[Edge]:  # fmt: skip
    edge = await open_edge(path, seed, opener, clock, scopes)
    try:
        yield edge
    finally:
        await edge.close()


__all__ = ["ROBOT", "SPACE", "DictHub", "Edge", "Extra", "TestClock", "edge_at", "ids", "open_edge"]
