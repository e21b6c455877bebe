"""The hub's side of one stream, without I/O.

It keeps the order of the conversation, the credit both ways and the time-outs.
What is decided is decided by ingest; what has been decided comes to the stream
from fan-out, as much at a time as the edge has granted.

Invariant: commits of one origin are handed to ingest in the order they came.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sync import actions as a
from sync import messages as m
from sync.clock import BootInstant
from sync.codec import MAX_BLOCK_BYTES
from sync.edge_session import SECOND_NS
from sync.transitions import HUB, State, advance
from sync.window import Receiver, Sender

GREETING_LIMIT_NS = 20 * SECOND_NS
SILENCE_LIMIT_NS = 60 * SECOND_NS
"""Twice what the edge waits: the edge ends a half-open link first and says why."""

AGE_LIMIT_NS = 30 * 60 * SECOND_NS
"""Streams move on now and then, so that load spreads after a hub has been added, and whose
certificate is not taken any more is out by then; well before the connection's own age would cut
them off without a word."""


def age_limit_ns(luck: float) -> int:
    """The age of one stream, `luck` uniform in [0, 1): a fleet that came at once after a restart
    does not come at once for ever."""
    return AGE_LIMIT_NS - int(luck * AGE_LIMIT_NS / 3)


MAX_SPACES = 1_000
"""Spaces of one edge: a hello stays within a message."""

MAX_COMPARED = 1_024


@dataclass(slots=True)
class HubSession:
    """One stream. `receive` what comes, `tick` once a second."""

    opened_ns: BootInstant
    state: State = State.GREETING
    hello: m.Hello | None = None
    age_limit_ns: int = AGE_LIMIT_NS
    credit: Sender = field(default_factory=Sender)
    _receiver: Receiver = field(default_factory=Receiver)
    _taken_commits: int = 0
    _taken_bytes: int = 0
    _heard_ns: int = 0

    @property
    def may_send_changes(self) -> bool:
        """Whether the edge has granted room for more."""
        return self.state is State.STREAMING and self.credit.room

    def receive(self, message: m.EdgeMessage, now: BootInstant) -> list[a.HubAction]:
        """A message from the edge. Raises ProtocolViolation."""
        self.state = advance(HUB, self.state, message)
        self._heard_ns = now
        match message:
            case m.Hello():
                return self._hello(message)
            case m.Push():
                return self._push(message)
            case m.VoidRange():
                return [a.IngestVoid(message)]
            case m.CompareIds():
                if len(message.seqs) > MAX_COMPARED:
                    return self._violation(f"more than {MAX_COMPARED} seqs to compare")
                return [a.Compare(message)]
            case m.Credit():
                self.credit.grant(message)
                return []
            case m.CursorReport():
                return [a.NoteCursors(message)]
            case m.EdgeHeartbeat():
                return [a.AnswerHeartbeat(message)]
            case m.AskDecided():
                return [a.AnswerDecided(message)]
            case m.Goodbye():
                return [a.Close(message.reason, message.message)]

    def welcomed(self, welcome: m.Welcome) -> list[a.HubAction]:
        """The answer to a Greet."""
        return [a.Send(welcome)]

    @property
    def granted(self) -> m.Credit:
        """What the edge may send; part of the welcome."""
        return self._receiver.granted

    def decided(self, push: m.Push, answer: m.PushResult | m.PushRefused) -> list[a.HubAction]:
        """The answer to an Ingest."""
        out: list[a.HubAction] = [a.Send(answer)]
        grant = self._receiver.done(push.count, len(push.block))
        if grant:
            out.append(a.Send(grant))
        return out

    def sent(self, changes: m.Changes) -> list[a.HubAction]:
        """Changes are about to go; only while `may_send_changes`."""
        assert self.may_send_changes
        self.credit.sent(changes.count, len(changes.block))
        return [a.Send(changes)]

    def tick(self, now: BootInstant) -> list[a.HubAction]:
        """Time passes."""
        if self.state is State.CLOSED:
            return []
        heard = max(self._heard_ns, self.opened_ns)
        limit = GREETING_LIMIT_NS if self.state is State.GREETING else SILENCE_LIMIT_NS
        if now - heard > limit:
            return self._goodbye("SILENT", "nothing heard")
        if now - self.opened_ns > self.age_limit_ns:
            return self._goodbye("STREAM_AGED", "connect again")
        return []

    def _hello(self, hello: m.Hello) -> list[a.HubAction]:
        if not set(hello.versions) & set(m.PROTOCOL_VERSIONS):
            spoken = ", ".join(map(str, m.PROTOCOL_VERSIONS))
            return self._goodbye("PROTOCOL_VERSION", f"this hub speaks versions {spoken}")
        names = [space.space for space in hello.spaces]
        if len(names) > MAX_SPACES or len(set(names)) != len(names):
            return self._violation(f"a hello names at most {MAX_SPACES} spaces, each once")
        self.hello = hello
        return [a.Greet(hello)]

    def _push(self, push: m.Push) -> list[a.HubAction]:
        room = (
            self._taken_commits < self._receiver.granted.commits
            and self._taken_bytes < self._receiver.granted.bytes
        )
        self._taken_commits += push.count
        self._taken_bytes += len(push.block)
        if not room:
            return self._violation("a push without credit")
        if push.block_bytes > MAX_BLOCK_BYTES or push.count < 1 or push.first_seq < 1:
            return self._violation("a push without commits, or larger than a block may be")
        return [a.Ingest(push)]

    def _violation(self, message: str) -> list[a.HubAction]:
        return self._goodbye("PROTOCOL_VIOLATION", message)

    def _goodbye(self, reason: str, message: str) -> list[a.HubAction]:
        self.state = State.CLOSED
        return [a.Send(m.Goodbye(reason, message)), a.Close(reason, message)]
