"""The language of the scenarios, and the stage they are played on.

One command on a line, its answer below `----`:

    edge NAME [+3d|-1y]              an edge, with a clock that is wrong by so much
    NAME put|patch|delete|add|set-add|set-remove PATH [JSON] [-FIELD ...] [; the same again ...]
         [as KIND] [seen READ] [if PATH exists|absent|is READ] [id ID] [emptying SEQ]
                                     a commit; `as` is the kind of its author (robot), `seen` is
                                     what its author had read, `if` what must be true, `id` an id
                                     that the client chose to be able to retry, `emptying` the
                                     pending commit that this one overwrites wholly
    NAME reads PATH as READ          remembers what was shown, and says it
    hub put|patch|...                the same at the hub's own door
    policy COLLECTION JSON           a record of the reserved collection
    push NAME [COUNT]; pull NAME     one half of a sync each
    sync NAME ...                    push, then pull
    repeat NAME                      pushes its commits from the first again, as after a lost answer
    copy NAME as NAME                the same outbox and replica on another device
    hello NAME                       both sides compare ids, as on every new stream
    drop NAME COUNT                  yesterday's outbox: the newest commits are not in it
    show PATH                        the record at the hub and at every edge
    outcomes NAME; conflicts; digests

A path is collection/key. Only the pure core is at work: sessions, rules, stamps, and the hub's
Decider; time stands still at noon unless `wait SECONDS` moves it.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace

from holdfast.host.door import Refusal
from sync import actions as a
from sync import messages as m
from sync.batch import batch_of
from sync.clock import BootInstant
from sync.commit import Actor, ActorKind, Precondition, Version
from sync.context import Part
from sync.edge_session import EdgeSession
from sync.hub_session import HubSession
from sync.policy import InvalidPolicy
from sync.position import NOWHERE
from sync.reduce import (
    Add,
    Delete,
    Patch,
    Put,
    Request,
    RuleMismatch,
    SetAdd,
    SetRemove,
)
from sync.values import InvalidValue, canonical
from sync.working import Conflict
from tests.fleet import LINEAGE, ROBOT, SPACE, Edge, Hub, Replica, name_of

UNITS_MS = {"s": 1_000, "h": 3_600_000, "d": 86_400_000, "y": 31_536_000_000}
VERBS = ("put", "patch", "delete", "add", "set-add", "set-remove")
NOW = BootInstant(1)


@dataclass(frozen=True, slots=True)
class Read:
    """What somebody was shown: the context, and the record's version."""

    context: tuple[int, int]
    version: Version | None


@dataclass(slots=True)
class Asked:
    """A commit as a scenario asks for it."""

    requests: list[Request] = field(default_factory=list)
    conditions: list[Precondition] = field(default_factory=list)
    seen: Read | None = None
    commit_id: bytes = b""
    emptying: int = 0
    actor: Actor = ROBOT


@dataclass
class Stage:
    """The hub, the edges, and what readers remember."""

    hub: Hub = field(default_factory=Hub)
    edges: dict[str, Edge] = field(default_factory=dict)
    reads: dict[str, Read] = field(default_factory=dict)

    def run(self, line: str) -> list[str]:
        """The answer to one command, in lines. Raises ValueError for what is none."""
        words = line.split()
        try:
            if len(words) > 1 and words[1] in VERBS:
                return self._commit(words[0], self._asked(words[1:]))
            if len(words) > 1 and words[1] == "reads":
                return self._read(self.edges[words[0]], words[2], words[4])
            answer: list[str] = getattr(self, f"_do_{words[0]}")(*words[1:])
            return answer
        except (Refusal, RuleMismatch, InvalidPolicy, InvalidValue) as error:
            return [f"refused: {error.reason}"]

    # -- writing -------------------------------------------------------------

    def _asked(self, words: list[str]) -> Asked:
        asked, rest = Asked(), deque(words)
        while rest:
            word = rest.popleft()
            if word in VERBS:
                asked.requests.append(_request(word, rest))
            elif word == "as":
                kind = rest.popleft()
                asked.actor = Actor(f"{kind}-1", ActorKind[kind.upper()])
            elif word == "seen":
                asked.seen = self.reads[rest.popleft()]
            elif word == "emptying":
                asked.emptying = int(rest.popleft())
            elif word == "id":
                asked.commit_id = name_of(rest.popleft())
            elif word == "if":
                asked.conditions.append(self._condition(rest))
            elif word != ";":
                raise ValueError(word)
        return asked

    def _condition(self, rest: deque[str]) -> Precondition:
        collection, key = rest.popleft().split("/", 1)
        what = rest.popleft()
        if what == "is":
            return Precondition(collection, key, version=self.reads[rest.popleft()].version)
        return Precondition(collection, key, exists=what == "exists")

    def _commit(self, where: str, asked: Asked) -> list[str]:
        if where == "hub":
            receipt = self.hub.request(
                *asked.requests, commit_id=asked.commit_id, retryable=bool(asked.commit_id),
                preconditions=tuple(asked.conditions),
                context=self.hub.context(asked.seen.context[0]) if asked.seen else None,
            )  # fmt: skip
            name = _name(receipt.op_id.origin)
            outcome = receipt.outcome.kind.name.lower()
            return [f"{name}.{receipt.op_id.seq} {outcome} at {receipt.position.revision}"]
        edge = self.edges[where]
        made = edge.write(
            *asked.requests, preconditions=asked.conditions, commit_id=asked.commit_id,
            context=asked.seen.context if asked.seen else None, emptying=asked.emptying,
            actor=asked.actor,
        )  # fmt: skip
        ops = " ".join(f"{op.kind.name} {op.payload.decode()}".strip() for op in made.ops)
        return [f"{_name(edge.origin)}.{made.seq} pending: {ops}"]

    def _read(self, edge: Edge, path: str, name: str) -> list[str]:
        collection, key = path.split("/", 1)
        value = edge.live((collection, key))
        base, seen = edge.context
        record = (collection, key)
        revision, _ = edge.replica.records.get(record, (0, None))
        writers = [
            c.seq for c in edge.pending if any((o.collection, o.key) == record for o in c.ops)
        ]
        version = Version(1, revision)
        if writers:
            version = Version(1, base, edge.origin, writers[-1], pending=True)
        self.reads[name] = Read((base, seen), version)
        return [_text(value)]

    def _do_policy(self, collection: str, *text: str) -> list[str]:
        self.hub.set_policy(collection, canonical(" ".join(text)).decode())
        return [f"at {self.hub.revision}"]

    # -- edges ---------------------------------------------------------------

    def _do_edge(self, name: str, off: str = "+0s") -> list[str]:
        sign = -1 if off[0] == "-" else 1
        self.edges[name] = Edge(name, self.hub, sign * int(off[1:-1]) * UNITS_MS[off[-1]])
        return []

    def _do_wait(self, seconds: str) -> list[str]:
        self.hub.now_ms += int(seconds) * 1_000
        return []

    def _do_push(self, name: str, count: str = "") -> list[str]:
        edge = self.edges[name]
        answer = edge.upload(int(count) if count else None)
        return [_said(answer)] if answer else ["nothing to push"]

    def _do_pull(self, name: str) -> list[str]:
        edge = self.edges[name]
        edge.download()
        return [self._standing(edge)]

    def _standing(self, edge: Edge) -> str:
        return f"{edge.name} at {edge.replica.cursor}, {len(edge.pending)} pending"

    def _do_sync(self, *names: str) -> list[str]:
        for name in names:
            self.edges[name].upload()
            self.edges[name].download()
        return [
            f"{n} at {self.edges[n].replica.cursor}, {len(self.edges[n].pending)} pending"
            for n in names
        ]

    def _do_repeat(self, name: str) -> list[str]:
        edge = self.edges[name]
        logged = [d.batch for d in self.hub.log if d.batch.origin == edge.origin]
        rows = [batch.commit(i) for batch in logged for i in range(len(batch))]
        return [_said(self.hub.push(batch_of(SPACE, edge.origin, 1, rows)))]

    def _do_copy(self, name: str, as_: str, copied: str) -> list[str]:
        edge = self.edges[name]
        self.edges[copied] = replace(
            edge, name=copied, writes_as=edge.writes_as or edge.name, pending=list(edge.pending),
            replica=Replica(edge.replica.cursor, dict(edge.replica.records)), ids=dict(edge.ids),
        )  # fmt: skip
        return []

    def _do_drop(self, name: str, count: str) -> list[str]:
        edge = self.edges[name]
        edge.last_seq -= int(count)
        edge.pending = [commit for commit in edge.pending if commit.seq <= edge.last_seq]
        edge.ids = {seq: found for seq, found in edge.ids.items() if seq <= edge.last_seq}
        return [f"{_name(edge.origin)} ends at {edge.last_seq}"]

    def _do_hello(self, name: str) -> list[str]:
        edge = self.edges[name]
        told = greet(edge, self.hub)
        for action in told:
            if isinstance(action, a.TakeNewOrigin):
                keep = action.keep[SPACE, edge.origin]
                edge.rename(f"{name}2", keep)
                return [
                    f"{action.reason}: {name} keeps seqs up to {keep} and writes as {name}2",
                    f"{len(edge.pending)} pending",
                ]
        return ["both mean the same commits"]

    # -- looking -------------------------------------------------------------

    def _do_show(self, path: str) -> list[str]:
        collection, key = path.split("/", 1)
        lines = [f"hub {self.hub.live(key, collection) or 'absent'}"]
        return lines + [f"{n} {_text(e.live((collection, key)))}" for n, e in self.edges.items()]

    def _do_outcomes(self, name: str) -> list[str]:
        lines, origin = [], self.edges[name].origin if name in self.edges else name_of(name)
        for decided in self.hub.log:
            for i in range(len(decided.batch) if decided.batch.origin == origin else 0):
                outcome = decided.outcome(i)
                by = f" by {_name(outcome.by_origin)}.{outcome.by_seq}" if outcome.by_origin else ""
                said = " ".join(filter(None, [outcome.kind.name.lower(), outcome.reason])) + by
                seq, revision = decided.batch.first_seq + i, decided.first_revision + i
                lines.append(f"{_name(origin)}.{seq} {said} at {revision}")
        return lines

    def _do_conflicts(self) -> list[str]:
        return [self._conflict(conflict) for conflict in self.hub.conflicts] or ["none"]

    def _conflict(self, row: Conflict) -> str:
        ours = f"{self._part(row.ours)} {_text(row.ours_value)}"
        theirs = f"{self._part(row.theirs)} {_text(row.theirs_value)}"
        kept, lost = (ours, theirs) if row.winner == "ours" else (theirs, ours)
        place = f"{row.collection}/{row.key}" + (f" {row.field}" if row.field else "")
        said = ": ".join(filter(None, [row.reason or row.algorithm, row.detail]))
        why = f"{row.kind}, {said}, {row.state}"
        if row.winner == "merged":
            return (
                f"{row.revision}: {place}: made {_text(row.result)} of {ours} and {theirs} ({why})"
            )
        return f"{row.revision}: {place}: kept {kept}; lost {lost} ({why})"

    def _part(self, part: Part | None) -> str:
        names = {number: name for name, number in self.hub.numbers.items()}
        return f"{_name(names[part.origin])}.{part.seq}" if part else "nobody"

    def _do_digests(self) -> list[str]:
        found = {self.hub.digest, *(edge.replica.digest for edge in self.edges.values())}
        return ["all equal" if len(found) == 1 else "they differ"]


def greet(edge: Edge, hub: Hub) -> list[a.EdgeAction]:
    """Both sessions say hello and compare ids; what the edge's told its daemon to do."""
    decided = {
        d.batch.first_seq + i: commit_id
        for d in hub.log
        if d.batch.origin == edge.origin
        for i, commit_id in enumerate(d.batch.commit_ids)
    }
    newest, theirs = edge.last_seq, max(decided, default=0)
    at = min(newest, theirs)
    mine = m.OriginState(edge.origin, newest, edge.ids.get(newest, b""))
    session = EdgeSession(
        m.Hello(edge.name, edge.origin, (m.SpaceHello(SPACE, m.Scope(), NOWHERE, (mine,)),))
    )
    server = HubSession(NOW)
    state = m.OriginState(edge.origin, theirs, decided.get(at, b""))
    spaces = (m.SpaceWelcome(SPACE, 1, hub.revision, (state,)),)
    welcome = m.Welcome("hub", 1, LINEAGE.epochs, spaces, "identity", 1 << 22, 0, server.granted)
    told: list[a.EdgeAction] = []
    todo: deque[a.EdgeAction | a.HubAction] = deque(session.start(NOW))
    while todo:
        action = todo.popleft()
        match action:
            case a.Send(message=m.Hello() | m.Credit() | m.CompareIds() as message):
                todo.extend(server.receive(message, NOW))
            case a.Greet():
                todo.extend(session.receive(welcome, NOW))
            case a.Compare(compare=compare):
                ids = tuple((seq, decided.get(seq, b"")) for seq in compare.seqs)
                todo.extend(session.receive(m.ComparedIds(SPACE, edge.origin, ids), NOW))
            case a.LookUpIds(seqs=seqs):
                ours = {seq: edge.ids[seq] for seq in seqs if seq in edge.ids}
                todo.extend(session.ids_found(action, ours))
            case _:
                told.append(action)  # type: ignore[arg-type]
    return told


def _request(verb: str, rest: deque[str]) -> Request:
    collection, key = rest.popleft().split("/", 1)
    if verb == "delete":
        return Delete(collection, key)
    value = canonical(rest.popleft()) if rest and rest[0][0] == "{" else b"{}"
    removes = []
    while rest and re.fullmatch(r"-\w+", rest[0]):
        removes.append(rest.popleft()[1:])
    if verb == "patch":
        return Patch(collection, key, value, tuple(removes))
    if verb == "put":
        return Put(collection, key, value)
    if verb == "add":
        return Add(collection, key, value)
    return (SetAdd if verb == "set-add" else SetRemove)(collection, key, value)


def _said(answer: m.PushResult | m.PushRefused) -> str:
    if isinstance(answer, m.PushRefused):
        return f"refused: {answer.reason}; decided up to {answer.decided_seq}"
    return f"decided up to {answer.decided_seq}"


def _name(origin: bytes) -> str:
    return origin.rstrip(b"-").split(b"-")[0].decode()


def _text(value: bytes | None) -> str:
    return "absent" if value is None else value.decode()
