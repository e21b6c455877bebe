"""A hub's rules on a table: commits of a few origins decided one at a time, in as few words as
possible.

Origins are letters. A commit of a letter takes its next seq, the next revision, and a stamp of its
own (by default one greater than all before), so that a test states only what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sync.apply import removal
from sync.batch import batch_of
from sync.commit import APPLIED, NO_EXTRA, Actor, ActorKind, Commit, Extra, Kind, Op, Outcome
from sync.context import Part
from sync.policy import Policies
from sync.resolve import Conflict, Resolution, Resolver, Working

ROBOT = Actor("robot-1", ActorKind.ROBOT)
SPACE = "default"
SEEN_ALL = -1
"""As `base`: the author had seen everything decided so far."""


def origin(letter: str) -> bytes:
    return letter.encode() * 16


def commit_id(letter: str, seq: int) -> bytes:
    return letter.encode() + seq.to_bytes(15, "big")


def create(value: str, key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.CREATE, collection, key, value.encode())


def replace(value: str, key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.REPLACE, collection, key, value.encode())


def patch(value: str, key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.PATCH, collection, key, value.encode())


def remove(*names: str, key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.REMOVE, collection, key, removal(names))


def delete(key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.DELETE, collection, key)


def add(value: str, key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.ADD, collection, key, value.encode())


def set_add(value: str, key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.SET_ADD, collection, key, value.encode())


def set_remove(value: str, key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.SET_REMOVE, collection, key, value.encode())


def add_create(value: str, key: str = "r1", collection: str = "robots") -> Op:
    return Op(Kind.ADD_CREATE, collection, key, value.encode())


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one commit."""

    outcome: Outcome
    kinds: tuple[Kind, ...]
    payloads: tuple[bytes, ...]
    previous: tuple[int, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def kind(self) -> str:
        return self.outcome.kind.name.lower()


@dataclass(slots=True)
class Table:
    """The records of a hub and what was decided on them."""

    policies: Policies = field(default_factory=Policies)
    records: dict[tuple[str, str], Working] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    stamp: int = 0

    LETTERS = "ABCDEFGH"

    @property
    def resolver(self) -> Resolver:
        numbers = {origin(letter): i for i, letter in enumerate(self.LETTERS, start=1)}
        names = {number: name for name, number in numbers.items()}
        return Resolver(self.records, self.policies, names, numbers)

    def decide(
        self,
        letter: str,
        *ops: Op,
        base: int = SEEN_ALL,
        seen: int = 0,
        stamp: int | None = None,
        extra: Extra = NO_EXTRA,
        kind: ActorKind = ActorKind.ROBOT,
    ) -> Decision:
        """Decides the next commit of an origin."""
        seq = self.seqs[letter] = self.seqs.get(letter, 0) + 1
        base = self.revision if base == SEEN_ALL else base
        self.revision += 1
        stamp = self.stamp + 1 if stamp is None else stamp
        self.stamp = max(self.stamp, stamp)
        row = Commit(
            commit_id(letter, seq), seq, base, seen, stamp, Actor(letter, kind), ops, extra
        )
        batch = batch_of(SPACE, origin(letter), 1, [row])
        number = self.LETTERS.index(letter) + 1
        made = self.resolver.decide(batch, number, self.revision, (stamp,), (base,))
        return decision(made)

    def live(self, key: str = "r1", collection: str = "robots") -> str | None:
        record = self.records.get((collection, key))
        return None if record is None or record.live is None else record.live.decode()

    def record(self, key: str = "r1", collection: str = "robots") -> Working:
        return self.records[collection, key]

    def part(self, letter: str, revision: int, seq: int, stamp: int) -> Part:
        return Part(revision, self.LETTERS.index(letter) + 1, seq, stamp)


def decision(made: Resolution) -> Decision:
    """The decision of a batch of one commit."""
    return Decision(
        made.outcomes.get(0, APPLIED),
        tuple(map(Kind, made.kinds)),
        tuple(made.payloads),
        tuple(made.previous),
        tuple(made.conflicts),
    )
