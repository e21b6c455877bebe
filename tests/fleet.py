"""A hub and edges of nothing but decisions: no process, no file, no network.

The hub is the production Decider over dictionaries; an edge is a cursor, the hub's records up to
it, and its pending commits applied on top by the same function that replicas use. Commits travel
encoded, so the codec is on the way too. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cloud_hub.deciding import NOTHING_DECIDED, Decider
from cloud_hub.judging import Loaded
from cloud_hub.origins import Watermark, both_names
from cloud_hub.repeats import First
from cloud_hub.submissions import AuthorContext, Pushed, Receipt, Requested, Voided
from sync import messages as m
from sync.apply import apply
from sync.batch import Batch, Decided, batch_of
from sync.clock import HybridClock
from sync.codec import decode_block, decode_header, encode_block, encode_header
from sync.commit import NO_EXTRA, Actor, ActorKind, Commit, Extra, Outcome, Precondition
from sync.digest import EMPTY, combine, record_digest
from sync.policy import POLICIES, Policies
from sync.position import Epoch, Lineage, Position
from sync.reduce import Put, Request, reduce
from sync.values import InvalidValue
from sync.working import Conflict, Key, Working

SPACE = "default"
NOON_MS = 1_900_000_000_000
ROBOT = Actor("robot-1", ActorKind.ROBOT)
OPERATOR = Actor("operator", ActorKind.HUMAN)
LINEAGE = Lineage((Epoch(1, b"e" * 16, 0),))
HUB_ORIGIN = b"hub-" * 4


def name_of(letter: str) -> bytes:
    """An origin or id that can be read in a failure."""
    return letter.encode().ljust(16, b"-")


def state_digest(space: str, records: Mapping[Key, tuple[int, bytes | None]]) -> int:
    """The digest of the live records, each with its revision."""
    total = EMPTY
    for (collection, key), (revision, value) in records.items():
        if value is not None:
            total = combine(total, record_digest(space, collection, key, revision, value))
    return total


@dataclass
class Hub:
    """One space of a hub. `log` is what replicas receive, encoded as it would travel."""

    lineage: Lineage = LINEAGE
    now_ms: int = NOON_MS
    revision: int = 0
    records: dict[Key, Working] = field(default_factory=dict)
    policies: Policies = field(default_factory=Policies)
    marks: dict[int, Watermark] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)
    firsts: dict[bytes, First] = field(default_factory=dict)
    log: list[Decided] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    floors: list[int] = field(default_factory=lambda: [0])

    def number(self, origin: bytes) -> int:
        return self.numbers.setdefault(origin, len(self.numbers) + 1)

    def loaded(self) -> Loaded:
        return Loaded(
            space=SPACE,
            lineage=self.lineage,
            revision=self.revision,
            stamp_max=self.floors[-1],
            marks=self.marks,
            records=self.records,
            policies=self.policies,
            names=both_names({number: name for name, number in self.numbers.items()}),
            numbers=self.numbers,
            floors=dict(enumerate(self.floors)),
            firsts=self.firsts,
        )

    def decider(self, *origins: bytes) -> Decider:
        for origin in (HUB_ORIGIN, *origins):
            self.number(origin)
        return Decider(self.loaded(), HUB_ORIGIN, self.now_ms)

    def keep(self, decider: Decider) -> None:
        """What the transaction writes."""
        for entry in decider.entries:
            self.log.append(carried(entry.decided))
            self.conflicts += entry.conflicts
            for stamp in entry.decided.stamps:
                self.floors.append(max(self.floors[-1], stamp))
        self.revision = decider.revision
        self.policies = Policies()
        for (collection, key), record in self.records.items():
            if collection == POLICIES:
                self.policies = self.policies.with_record(key, record.live)

    def push(self, batch: Batch) -> m.PushResult | m.PushRefused:
        """One push, in a transaction of its own."""
        return self.push_all([batch])[0]

    def push_all(self, batches: Iterable[Batch]) -> list[m.PushResult | m.PushRefused]:
        """Pushes that share a transaction."""
        items = [pushed(batch) for batch in batches]
        for item in items:
            for extra in item.batch.extras.values():
                for origin, _ in extra.seen:
                    self.number(origin)
        decider = self.decider(*(item.batch.origin for item in items))
        answers = [decider.push(item) for item in items]
        self.keep(decider)
        return answers

    def void(self, gone: m.VoidRange) -> m.PushResult | m.PushRefused:
        decider = self.decider(gone.origin)
        answer = decider.void(Voided(gone))
        self.keep(decider)
        return answer

    def request(self, *requests: Request, commit_id: bytes = b"", **more: Any) -> Receipt:
        """A commit at the hub's own door. Raises Refusal."""
        commit_id = commit_id or b"at-hub" + self.revision.to_bytes(10, "big")
        item = Requested(SPACE, requests, OPERATOR, commit_id, **more)
        decider = self.decider()
        receipt = decider.request(item)
        self.keep(decider)
        return receipt

    def set_policy(self, collection: str, text: str) -> None:
        self.request(Put(POLICIES, collection, text.encode()), system=True)

    def context(self, base: int) -> AuthorContext:
        return AuthorContext(Position(self.lineage.present.ordinal, SPACE, base))

    def mark(self, origin: bytes) -> Watermark:
        return self.marks.get(self.number(origin), NOTHING_DECIDED)

    def live(self, key: str, collection: str = "robots") -> str | None:
        record = self.records.get((collection, key))
        return None if record is None or record.live is None else record.live.decode()

    def outcome(self, origin: bytes, seq: int) -> Outcome:
        for decided in self.log:
            batch = decided.batch
            if batch.origin == origin and batch.first_seq <= seq <= batch.last_seq:
                return decided.outcome(seq - batch.first_seq)
        raise LookupError((origin, seq))

    @property
    def state(self) -> dict[Key, tuple[int, bytes | None]]:
        return {key: (record.revision, record.live) for key, record in self.records.items()}

    @property
    def digest(self) -> int:
        return state_digest(SPACE, self.state)


def pushed(batch: Batch) -> Pushed:
    """A batch as it comes from a stream."""
    block = encode_block(batch)
    arrived = decode_block(batch.space, batch.origin, batch.first_seq, block)
    push = m.Push(batch.space, batch.origin, batch.first_seq, len(batch), block, len(block))
    return Pushed(arrived, push, "identity", "edge")


def carried(decided: Decided) -> Decided:
    """A decided batch after a journey."""
    batch = decided.batch
    block = decode_block(batch.space, batch.origin, batch.first_seq, encode_block(batch))
    return decode_header(block, decided.epoch, decided.first_revision, encode_header(decided))


@dataclass
class Replica:
    """The hub's records at a cursor."""

    cursor: int = 0
    records: dict[Key, tuple[int, bytes | None]] = field(default_factory=dict)

    def adopt(self, decided: Decided) -> None:
        """Applies a decided batch, which must be the next."""
        assert decided.first_revision == self.cursor + 1, (decided.first_revision, self.cursor)
        batch, op = decided.batch, 0
        for index, count in enumerate(batch.op_counts):
            for i in range(op, op + count):
                kind, payload = batch.kinds[i], batch.payloads[i]
                if kind:
                    name = (batch.collections[i], batch.keys[i])
                    _, live = self.records.get(name, (0, None))
                    value = apply(kind, payload, live)
                    self.records[name] = (decided.first_revision + index, value)
            op += count
        self.cursor = decided.last_revision

    @property
    def digest(self) -> int:
        return state_digest(SPACE, self.records)


@dataclass
class Edge:
    """One edge. `clock_ms` is how far its clock is off; `writes_as` names its present origin, by
    default as the edge; `ids` are its own commits' by seq."""

    name: str
    hub: Hub
    clock_ms: int = 0
    replica: Replica = field(default_factory=Replica)
    pending: list[Commit] = field(default_factory=list)
    last_seq: int = 0
    clock: HybridClock = field(default_factory=HybridClock)
    writes_as: str = ""
    ids: dict[int, bytes] = field(default_factory=dict)

    @property
    def origin(self) -> bytes:
        return name_of(self.writes_as or self.name)

    def live(self, name: Key) -> bytes | None:
        """What an agent at this edge reads."""
        _, value = self.replica.records.get(name, (0, None))
        for commit in self.pending:
            value = viewed(commit, name, value)
        return value

    @property
    def context(self) -> tuple[int, int]:
        """What a read at this moment shows: the cursor, and the newest own pending seq."""
        return self.replica.cursor, self.pending[-1].seq if self.pending else 0

    def write(
        self,
        *requests: Request,
        context: tuple[int, int] | None = None,
        preconditions: Sequence[Precondition] = (),
        commit_id: bytes = b"",
        extra: Extra | None = None,
        emptying: int = 0,
        actor: Actor = ROBOT,
    ) -> Commit:
        """Accepts a commit of an agent; `context` is of an earlier read, `emptying` the seq of a
        pending commit that this one overwrites wholly."""
        if emptying:
            self._coalesce(emptying, by=self.last_seq + 1)
        views: dict[Key, bytes | None] = {}
        ops = []
        policies = self.policies
        for request in requests:
            name = (request.collection, request.key)
            live = views[name] if name in views else self.live(name)
            for op in reduce(request, live, policies.of(request.collection)):
                live = apply(op.kind, op.payload, live)
                ops.append(op)
            views[name] = live
        base, seen = context or self.context
        self.last_seq += 1
        if extra is None and (preconditions or commit_id):
            extra = Extra(preconditions=tuple(preconditions), retryable=bool(commit_id))
        made = Commit(
            commit_id or self.fresh_id(), self.last_seq, base, seen,
            self.clock.stamp(self.hub.now_ms + self.clock_ms), actor, tuple(ops), extra or NO_EXTRA,
        )  # fmt: skip
        self.pending.append(made)
        self.ids[made.seq] = made.id
        return made

    def fresh_id(self) -> bytes:
        return name_of(f"{self.name}.{self.last_seq}")

    def _coalesce(self, seq: int, by: int) -> None:
        self.pending = [
            replace(c, ops=(), extra=replace(c.extra, coalesced_by=by)) if c.seq == seq else c
            for c in self.pending
        ]

    def rename(self, origin: str, keep: int) -> None:
        """Goes on under a new origin: commits above `keep` are its first, under their old ids."""
        moved = [commit for commit in self.pending if commit.seq > keep]
        self.writes_as, self.last_seq = origin, len(moved)
        self.pending = [
            replace(commit, seq=seq, seen=max(0, commit.seen - keep))
            for seq, commit in enumerate(moved, start=1)
        ]
        self.ids = {commit.seq: commit.id for commit in self.pending}

    @property
    def policies(self) -> Policies:
        found = Policies()
        for (collection, key), (_, value) in self.replica.records.items():
            if collection == POLICIES:
                found = found.with_record(key, value)
        return found

    def batch(self, count: int | None = None) -> Batch:
        """The oldest pending commits, all by default."""
        return batch_of(SPACE, self.origin, 1, self.pending[:count])

    def upload(self, count: int | None = None) -> m.PushResult | m.PushRefused | None:
        """Pushes; what is decided stays pending until the log says so."""
        return self.hub.push(self.batch(count)) if self.pending else None

    def download(self) -> None:
        """Adopts what the hub has decided, its own commits too."""
        for decided in self.hub.log:
            if decided.first_revision <= self.replica.cursor:
                continue
            self.replica.adopt(decided)
            if decided.batch.origin == self.origin:
                last = decided.batch.last_seq
                self.pending = [commit for commit in self.pending if commit.seq > last]

    def sync(self) -> m.PushResult | m.PushRefused | None:
        answer = self.upload()
        self.download()
        return answer


def viewed(commit: Commit, name: Key, value: bytes | None) -> bytes | None:
    """A record's value with a pending commit on top."""
    for op in commit.ops:
        if (op.collection, op.key) == name:
            try:
                value = apply(op.kind, op.payload, value)
            except InvalidValue:
                continue  # the hub will say what becomes of it
    return value
