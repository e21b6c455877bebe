"""Both ends of one stream in memory, driven against each other as the daemons drive them.

The outbox is a list of commit ids per space, the hub the number of them that it has decided and its
own list of ids. Time is a number that the test moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from sync import actions as a
from sync import messages as m
from sync.clock import BootInstant
from sync.edge_session import SECOND_NS, EdgeSession
from sync.hub_session import HubSession
from sync.position import NOWHERE, Epoch, Position

ORIGIN, EPOCH = b"o" * 16, b"e" * 16
LINEAGE = (Epoch(1, EPOCH, 0),)
START = 1_000 * SECOND_NS


def commit_id(seq: int, writer: str = "w") -> bytes:
    return writer.encode() + seq.to_bytes(15, "big")


def ids(count: int, shared: int | None = None, writer: str = "x") -> list[bytes]:
    """Ids of seqs 1 to `count`, those above `shared` by another writer."""
    shared = count if shared is None else shared
    return [commit_id(s, "w" if s <= shared else writer) for s in range(1, count + 1)]


def hello(outboxes: dict[str, list[bytes]], versions: tuple[int, ...] = (1,)) -> m.Hello:
    spaces = tuple(
        m.SpaceHello(space, m.Scope(), NOWHERE, (state(mine, len(mine)),))
        for space, mine in outboxes.items()
    )
    return m.Hello("edge-1", ORIGIN, spaces, versions, codecs=("zstd", "identity"))


def state(known: list[bytes], at: int) -> m.OriginState:
    return m.OriginState(ORIGIN, at, known[at - 1] if at else b"")


@dataclass
class Pair:
    """An edge, a hub, and the stream between them."""

    outboxes: dict[str, list[bytes]]
    decided: dict[str, list[bytes]] = field(default_factory=dict)
    now: int = START
    refusals: dict[str, str] = field(default_factory=dict)
    to_edge: deque[m.HubMessage] = field(default_factory=deque)
    to_hub: deque[m.EdgeMessage] = field(default_factory=deque)
    edge_log: list[a.EdgeAction] = field(default_factory=list)
    hub_log: list[a.HubAction] = field(default_factory=list)
    questions: int = 0
    lose_results: bool = False

    def __post_init__(self) -> None:
        self.edge = EdgeSession(hello(self.outboxes))
        self.hub = HubSession(BootInstant(self.now))

    @property
    def instant(self) -> BootInstant:
        return BootInstant(self.now)

    def start(self) -> Pair:
        self.perform_edge(self.edge.start(self.instant))
        return self.run()

    def run(self) -> Pair:
        """Delivers what is under way until nothing is."""
        while self.to_hub or self.to_edge:
            if self.to_hub:
                message = self.to_hub.popleft()
                self.perform_hub(self.hub.receive(message, self.instant))
            if self.to_edge:
                answer = self.to_edge.popleft()
                self.perform_edge(self.edge.receive(answer, self.instant))
        return self

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * SECOND_NS)

    def push(self, space: str, count: int, size: int = 10) -> None:
        """Offers the next rows of an outbox."""
        first = self.edge.sent_through(space, ORIGIN) + 1
        block = b"b" * size
        self.perform_edge(
            self.edge.offer(m.Push(space, ORIGIN, first, count, block, size), self.instant)
        )

    # -- the daemons' part ---------------------------------------------------

    def perform_edge(self, actions: Iterable[a.EdgeAction]) -> None:
        for action in actions:
            self.edge_log.append(action)
            match action:
                case a.Send(message=message):
                    self.to_hub.append(message)  # type: ignore[arg-type]
                case a.LookUpIds(space=space, seqs=seqs):
                    mine = self.outboxes[space]
                    found = {seq: mine[seq - 1] for seq in seqs if seq <= len(mine)}
                    self.perform_edge(self.edge.ids_found(action, found))
                case a.Apply(changes=changes):
                    self.perform_edge(self.edge.applied(changes))
                case _:
                    pass

    def perform_hub(self, actions: Iterable[a.HubAction]) -> None:
        for action in actions:
            self.hub_log.append(action)
            match action:
                case a.Send(message=message):
                    self.to_edge.append(message)  # type: ignore[arg-type]
                case a.Greet(hello=hello):
                    self.perform_hub(self.hub.welcomed(self.welcome(hello)))
                case a.Compare(compare=compare):
                    self.questions += 1
                    known = self.decided.get(compare.space, [])
                    answer = tuple(
                        (s, known[s - 1] if s <= len(known) else b"") for s in compare.seqs
                    )
                    self.to_edge.append(m.ComparedIds(compare.space, compare.origin, answer))
                case a.Ingest(push=push):
                    self.ingest(push)
                case a.IngestVoid(void_range=gone):
                    known = self.decided.setdefault(gone.space, [])
                    known += [bytes(16)] * (gone.first_seq + gone.count - 1 - len(known))
                    self.to_edge.append(self.result(gone.space))
                case a.AnswerHeartbeat(heartbeat=beat):
                    self.to_edge.append(m.HubHeartbeat(beat.nonce, 0))
                case _:
                    pass

    def ingest(self, push: m.Push) -> None:
        known = self.decided.setdefault(push.space, [])
        if push.first_seq > len(known) + 1:
            refused = m.PushRefused(push.space, ORIGIN, "SEQ_GAP", "a gap", len(known))
            self.perform_hub(self.hub.decided(push, refused))
            return
        known += self.outboxes[push.space][len(known) : push.last_seq]
        if not self.lose_results:
            self.perform_hub(self.hub.decided(push, self.result(push.space)))

    def result(self, space: str) -> m.PushResult:
        known = self.decided[space]
        return m.PushResult(space, ORIGIN, len(known), known[-1], Position(1, space, len(known)))

    def welcome(self, greeting: m.Hello) -> m.Welcome:
        spaces = []
        for space in greeting.spaces:
            known = self.decided.get(space.space, [])
            at = min(len(known), space.origins[0].seq)
            theirs = m.OriginState(ORIGIN, len(known), known[at - 1] if at else b"")
            refusal = self.refusals.get(space.space, "")
            spaces.append(m.SpaceWelcome(space.space, 1, len(known), (theirs,), refusal))
        return m.Welcome("hub-1", 1, LINEAGE, tuple(spaces), "zstd", 4 << 20, 0, self.hub.granted)

    def changes(self, space: str, first: int, count: int, size: int = 10) -> m.Changes:
        return m.Changes(space, 1, first, b"p" * 16, first, count, b"h", b"c" * size, size, b"t")

    # -- what a test asks ----------------------------------------------------

    def edge_did(self, kind: type) -> list[a.EdgeAction]:
        return [action for action in self.edge_log if isinstance(action, kind)]

    def hub_did(self, kind: type) -> list[a.HubAction]:
        return [action for action in self.hub_log if isinstance(action, kind)]
