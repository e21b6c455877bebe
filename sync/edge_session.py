"""The edge's side of one stream, without I/O.

The session remembers only what this stream has said; what is durable (outbox,
replica) is looked up by the daemon when it is asked to. So a new stream begins
with nothing to restore, and a lost answer is repaired by the next hello.

Invariant, per (space, origin): decided <= sent. Nothing is sent before the
welcome, nor while ids are being compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync import actions as a
from sync import messages as m
from sync.clock import BootInstant
from sync.origin_search import OriginSearch
from sync.position import Position
from sync.transitions import EDGE, EDGE_STEPS, ProtocolViolation, State, advance
from sync.window import Receiver, Sender

SECOND_NS = 1_000_000_000
GREETING_LIMIT_NS = 20 * SECOND_NS
"""A hub that does not welcome within this is wedged or not a hub."""

HEARTBEAT_NS = 10 * SECOND_NS
FRESH_NS = 60 * SECOND_NS
"""After a read with a bound, for so long heartbeats come as often as the next one will need."""

SILENCE_LIMIT_NS = 30 * SECOND_NS
"""Three heartbeats without an answer: the link is half open."""

STALL_LIMIT_NS = 60 * SECOND_NS
"""Sent and not decided for this long, or no room to send, while the hub answers: it is wedged."""

MAX_BEATS = 1_000
"""Heartbeats remembered until they are answered; more than a reader may ask for at once."""

REPORT_NS = 1 * SECOND_NS

Origin = tuple[str, bytes]
"""A space and an origin in it."""


@dataclass(slots=True)
class EdgeSession:
    """One stream. Make it, send what `start` returns, then feed it."""

    hello: m.Hello
    state: State = State.GREETING
    credit: Sender = field(default_factory=Sender)
    heads: dict[str, Position] = field(default_factory=dict)
    codec: str = "identity"
    _receiver: Receiver = field(default_factory=Receiver)
    _sent: dict[Origin, int] = field(default_factory=dict)
    _decided: dict[Origin, int] = field(default_factory=dict)
    _searches: dict[Origin, OriginSearch] = field(default_factory=dict)
    _refused_spaces: set[str] = field(default_factory=set)
    held_spaces: set[str] = field(default_factory=set)
    """Spaces in which the hub decides nothing at present: nothing of them is pushed."""
    _heard_ns: int = 0
    _progress_ns: int = 0
    _beat_ns: int = 0
    _reported_ns: int = 0
    _unreported: bool = False
    _beats: dict[int, int] = field(default_factory=dict)
    _beat_every_ns: int = HEARTBEAT_NS
    _fresh_until_ns: int = 0

    # -- what the daemon asks ------------------------------------------------

    @property
    def may_push(self) -> bool:
        """Whether a push may be offered now."""
        return self.state is State.STREAMING and self.credit.room

    def sent_through(self, space: str, origin: bytes) -> int:
        """The newest seq that has been sent, or that the hub had already."""
        return self._sent.get((space, origin), 0)

    @property
    def undecided(self) -> int:
        """Commits sent and not decided."""
        return sum(sent - self._decided.get(key, 0) for key, sent in self._sent.items())

    # -- events --------------------------------------------------------------

    def start(self, now: BootInstant) -> list[a.EdgeAction]:
        """The stream is open."""
        self._heard_ns = self._progress_ns = self._beat_ns = self._reported_ns = now
        return [
            a.Send(self.hello),
            a.Send(self._receiver.granted),
        ]

    def receive(self, message: m.HubMessage, now: BootInstant) -> list[a.EdgeAction]:
        """A message from the hub. Raises ProtocolViolation."""
        self.state = advance(EDGE, self.state, message)
        self._heard_ns = now
        match message:
            case m.Welcome():
                return self._welcome(message)
            case m.PushResult():
                return self._result(message, now)
            case m.PushRefused():
                return self._refused(message)
            case m.Changes() if message.space in self._refused_spaces:
                return self._granted(message)
            case m.Bookmark() if message.space in self._refused_spaces:
                return []
            case m.Changes():
                return self._changes(message)
            case m.Bookmark() | m.DecidedAt():
                return [a.Mark(message) if isinstance(message, m.Bookmark) else a.Told(message)]
            case m.Credit():
                self.credit.grant(message)
                return []
            case m.ComparedIds():
                return [self._compare(message, now)]
            case m.HubHeartbeat():
                return self._heartbeat(message)
            case m.Goodbye():
                return [a.Close(message.reason, message.message, message.retry_after_ms)]

    def ids_found(
        self, lookup: a.LookUpIds, ids: Mapping[int, bytes], newest: int = 0
    ) -> list[a.EdgeAction]:
        """The outbox's ids for a LookUpIds; seqs that it has let go are absent. `newest` is its
        last seq by now, zero for that of the hello."""
        search = self._searches[lookup.space, lookup.origin]
        step = search.found(ids, newest)
        if step is not None:
            return [step]
        if not all(search.ended for search in self._searches.values()):
            return []
        return self._compared()

    def offer(self, push: m.Push, now: BootInstant) -> list[a.EdgeAction]:
        """Commits from the outbox, the next after `sent_through`; only while `may_push`."""
        key = (push.space, push.origin)
        assert self.may_push and push.first_seq == self._sent.get(key, 0) + 1, push
        if not self.undecided:
            self._progress_ns = now
        self._sent[key] = push.last_seq
        self.credit.sent(push.count, len(push.block))
        return [a.MarkOffered(push), a.Send(push)]

    def offer_void(self, gone: m.VoidRange, now: BootInstant) -> list[a.EdgeAction]:
        """Seqs that will never come, the next after `sent_through`."""
        key = (gone.space, gone.origin)
        assert self.state is State.STREAMING, self.state
        assert gone.first_seq == self._sent.get(key, 0) + 1, gone
        if not self.undecided:
            self._progress_ns = now
        self._sent[key] = gone.first_seq + gone.count - 1
        return [a.Send(gone)]

    def applied(self, changes: m.Changes) -> list[a.EdgeAction]:
        """Changes are durable in the replica."""
        self._unreported = True
        return self._granted(changes)

    def tick(self, now: BootInstant) -> list[a.EdgeAction]:
        """Time passes: heartbeats, reports, and the end of what has stalled."""
        if self.state is State.CLOSED:
            return []
        if self.state is State.GREETING:
            late = now - self._heard_ns > GREETING_LIMIT_NS
            return [self._close("SILENT", "no welcome")] if late else []
        if now - self._heard_ns > SILENCE_LIMIT_NS:
            return [self._close("SILENT", "nothing heard")]
        waits = self.undecided > 0 or self.state is State.COMPARING or not self.credit.room
        if waits and now - self._progress_ns > STALL_LIMIT_NS:
            message = f"{self.undecided} commits sent and not decided, and room for no more"
            if self.state is State.COMPARING:
                message = "the hub does not say which commits it knows"
            elif self.credit.room:
                message = f"{self.undecided} commits sent and not decided"
            return [a.Alarm("UPLINK_STALLED", message), self._close("STALLED", message)]
        if now >= self._fresh_until_ns:
            self._beat_every_ns = HEARTBEAT_NS
        beat = self.ask(now) if now - self._beat_ns >= self._beat_every_ns else []
        return [*beat, *self._report(now)]

    # -- how it answers ------------------------------------------------------

    def _close(self, reason: str, message: str) -> a.Close:
        self.state = State.CLOSED
        return a.Close(reason, message)

    def _granted(self, changes: m.Changes) -> list[a.EdgeAction]:
        """Changes are dealt with: the hub may send as many more."""
        grant = self._receiver.done(changes.count, len(changes.block))
        return [a.Send(grant)] if grant else []

    def _compare(self, answer: m.ComparedIds, now: BootInstant) -> a.EdgeAction:
        search = self._searches.get((answer.space, answer.origin))
        if search is None or not search.asked(answer):
            raise ProtocolViolation(self.state, answer)
        self._progress_ns = now
        return search.compared(answer)

    def _welcome(self, welcome: m.Welcome) -> list[a.EdgeAction]:
        if welcome.version not in self.hello.versions:
            return [self._close("PROTOCOL_VERSION", f"the hub speaks version {welcome.version}")]
        if self.hello.codecs and welcome.codec not in self.hello.codecs:
            return [self._close("CODEC_UNKNOWN", f"the hub packs with {welcome.codec[:20]!r}")]
        self.codec = welcome.codec
        self.credit.grant(welcome.credit)
        mine = {(s.space, o.origin): o for s in self.hello.spaces for o in s.origins}
        out: list[a.EdgeAction] = [a.Learn(welcome)]
        for space in welcome.spaces:
            self.heads[space.space] = Position(space.epoch, space.space, space.head)
            if space.refusal == "SPACE_STOPPED":
                # Which history goes on is not known yet: nothing is sent, and nothing thrown away.
                self._refused_spaces.add(space.space)
                self.held_spaces.add(space.space)
                out.append(a.Alarm(space.refusal, f"{space.space}: the hub decides nothing there"))
            elif space.refusal:
                self._refused_spaces.add(space.space)
                out.append(a.ResetReplica(space.space, space.refusal))
            for theirs in space.origins:
                key = (space.space, theirs.origin)
                if key in mine:
                    self._searches[key] = OriginSearch(space.space, mine[key], theirs)
        lookups = [search.begin() for search in self._searches.values()]
        out += [lookup for lookup in lookups if lookup is not None]
        if all(search.ended for search in self._searches.values()):
            out += self._compared()
        return out

    def _compared(self) -> list[a.EdgeAction]:
        """All ids are compared: go on, or write under a new origin from now on."""
        faults = {search.fault for search in self._searches.values() if self._matters(search)}
        keep = {key: search.shared for key, search in self._searches.items()}
        if faults:
            reason = "ORIGIN_COPIED" if "ORIGIN_COPIED" in faults else faults.pop()
            message = "another database has written under this origin"
            return [
                a.Alarm(reason, message), a.TakeNewOrigin(reason, keep),
                self._close(reason, message),
            ]  # fmt: skip
        self._sent = {key: search.decided for key, search in self._searches.items()}
        self._decided = dict(self._sent)
        self.state, _ = EDGE_STEPS[self.state]
        self._beat_ns = 0  # the next tick asks for heads: nothing is proven fresh before
        return []

    def _matters(self, search: OriginSearch) -> bool:
        """An origin of the past, under which nothing is written here any more, may well go on
        elsewhere: only what differs up to its newest commit here is to be renamed."""
        past = search.mine.origin != self.hello.origin
        return bool(search.fault) and not (past and search.fault == "OUTBOX_BEHIND")

    def _result(self, result: m.PushResult, now: BootInstant) -> list[a.EdgeAction]:
        key = (result.space, result.origin)
        if result.decided_seq > self._sent.get(key, 0):
            message = f"seq {result.decided_seq} was decided, and not sent on this stream"
            return [self._close("SUPERSEDED", message)]  # the next hello compares ids
        self._decided[key] = max(self._decided.get(key, 0), result.decided_seq)
        self._progress_ns = now
        return [a.Acknowledged(result)]

    def _refused(self, refused: m.PushRefused) -> list[a.EdgeAction]:
        """Nothing of the push was stored. The next hello finds out what is what."""
        out: list[a.EdgeAction] = []
        if refused.reason == "MALFORMED_BATCH" and refused.seq:
            out.append(
                a.SetAside(
                    refused.space, refused.origin, refused.seq, refused.reason, refused.message
                )
            )
        if refused.reason != "SUPERSEDED":  # that is nobody's fault until ids are compared
            out.append(a.Alarm(refused.reason, refused.message))
        out.append(self._close(refused.reason, refused.message))
        return out

    def _changes(self, changes: m.Changes) -> list[a.EdgeAction]:
        self._head_is_at_least(Position(changes.epoch, changes.space, changes.last_revision))
        return [a.Apply(changes)]

    def _head_is_at_least(self, there: Position) -> None:
        head = self.heads.get(there.space)
        if head is None or head.epoch != there.epoch or head.revision < there.revision:
            self.heads[there.space] = there

    def _heartbeat(self, heartbeat: m.HubHeartbeat) -> list[a.EdgeAction]:
        for head in heartbeat.heads:
            self._head_is_at_least(head)
        sent_ns = self._beats.pop(heartbeat.nonce, 0)
        for nonce in [nonce for nonce in self._beats if nonce < heartbeat.nonce]:
            del self._beats[nonce]
        return [a.Heard(heartbeat, sent_ns)] if sent_ns else []

    def ask(self, now: BootInstant) -> list[a.EdgeAction]:
        """A heartbeat at once: its answer has heads read after now."""
        self._beat_ns = now
        self._beats[now] = now
        if len(self._beats) > MAX_BEATS:
            del self._beats[min(self._beats)]
        return [a.Beat(now)]

    def ask_decided(self, asked: m.AskDecided) -> list[a.EdgeAction]:
        """Asks when a commit was decided; only while streaming."""
        assert self.state is State.STREAMING, self.state
        return [a.Send(asked)]

    def keep_fresh(self, within_ns: int, now: BootInstant) -> None:
        """Heartbeats come often enough for a bound of that age to hold between two of them, if the
        daemon ticks so often; at other times they come as always."""
        if now >= self._fresh_until_ns:
            self._beat_every_ns = HEARTBEAT_NS
        self._beat_every_ns = min(self._beat_every_ns, max(SECOND_NS // 2, within_ns // 3))
        self._fresh_until_ns = now + FRESH_NS

    def _report(self, now: BootInstant) -> list[a.EdgeAction]:
        if not self._unreported or now - self._reported_ns < REPORT_NS:
            return []
        self._reported_ns, self._unreported = now, False
        return [a.ReportCursors()]
