"""The link to the hub: dials, runs one stream at a time, dials again.

A reconciler, not a chain of events: a stream begins from what is durable
(outbox, cursors), and every round looks at those and at what the hub said last.
So whatever is lost on the way (an answer, a frame, a wake-up) costs one more
round and nothing else.

Being offline is normal: the link retries with jitter for ever and says why it
is not up. Local reads and writes never wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import grpc

from edge_agent import reconcile
from edge_agent import standing as standings
from edge_agent.credentials import ALWAYS_NAMED, EdgeCredentials, NoCredentials
from edge_agent.database import EdgeFiles
from edge_agent.dialling import Dialling
from edge_agent.intake import Intake
from edge_agent.link import Ended
from edge_agent.standing import Standing
from edge_agent.stream import MAX_PUSH_COMMITS, Stream
from edge_agent.strong import StrongCommits
from edge_agent.vitals import Vitals
from holdfast.host.channels import client_options
from holdfast.host.errors import HostError
from holdfast.v1 import replication_service_pb2_grpc as rpc
from sync import framing
from sync import messages as m
from sync.consistency import Freshness, Instant
from sync.position import NOWHERE, Position

HEALTHY_SECONDS = 30.0
"""A stream that lived this long starts the delays over; so does one that got something done, or an
edge with a link that breaks often would be away for most of the time."""

ASK_AGAIN_NS = 200_000_000
"""A commit that the hub has not decided is asked for again not before: few wait for one, and not
for long."""

KEPT_ANSWERS = 1_000
"""Of sessions that came from other edges; an older one is asked for again."""

PAUSED = "paused"

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LinkState(StrEnum):
    """Where the link is."""

    CONNECTING = "connecting"
    GREETING = "greeting"
    STREAMING = "streaming"
    PAUSED = "paused"
    NEEDS_AUTH = "needs_auth"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the hub is, and how to open a channel to it; with TLS, by which credentials."""

    text: str
    connect: Callable[[], grpc.aio.Channel]
    credentials: EdgeCredentials | None = None

    @property
    def version(self) -> object:
        """Another object whenever a channel would be opened with other credentials."""
        return self.credentials.in_use if self.credentials is not None else None


def insecure(address: str) -> Address:
    """A hub on this machine, without TLS."""
    return Address(address, lambda: grpc.aio.insecure_channel(address, options=client_options()))


def secure(address: str, credentials: EdgeCredentials) -> Address:
    """A hub anywhere, by TLS."""
    return Address(address, lambda: credentials.channel(address), credentials)


class Uplink:
    """The link of one edge. `others` are further processes of the hub at `address`."""

    def __init__(
        self,
        files: EdgeFiles,
        intake: Intake,
        scopes: Mapping[str, m.Scope],
        address: Address,
        software: str,
        luck: Callable[[], float],
        priority: Callable[[str], int] = lambda _space: 0,
        others: Sequence[Address] = (),
        vitals: Vitals | None = None,
        counters: Callable[[], m.EdgeCounters | None] = lambda: None,
    ) -> None:
        self.files, self.intake, self.scopes = files, intake, dict(scopes)
        self.vitals = vitals or Vitals(files, self.scopes)
        self.software, self.priority, self.counters = software, priority, counters
        self._addresses = (address, *others)
        self._dialling = Dialling(len(self._addresses), luck)
        self.strong = StrongCommits(files.clock)
        self.state = LinkState.CONNECTING
        self.reason = ""
        self.heads: dict[str, Position] = {}
        self.freshness = Freshness()
        self.dials = 0
        """Streams begun since start."""
        self.clock_offset_ms: int | None = None
        self.answered_nonce = 0
        self.push_limit = MAX_PUSH_COMMITS
        self._asked_ns = 0
        self._answers: OrderedDict[m.AskDecided, m.DecidedAt] = OrderedDict()
        self._questions: OrderedDict[m.AskDecided, int] = OrderedDict()
        self._away_since_ns: int | None = files.clock.boot_ns()
        self._stream: Stream | None = None
        self._paused = asyncio.Event()
        self._resumed = asyncio.Event()
        self._awaken = asyncio.Event()
        self._progress = asyncio.Event()

    @property
    def address(self) -> Address:
        """The process of the hub that it is with, or dials next."""
        return self._addresses[self._dialling.index]

    # -- what others tell it -------------------------------------------------

    def pending(self) -> None:
        """There are new commits in the outbox."""
        if self._stream is not None:
            self._stream.nudge()

    async def pause(self) -> None:
        """Leaves the hub until `resume`; survives a restart."""
        await self.files.set_setting(PAUSED, "1")
        self._resumed.clear()
        self._paused.set()
        if self._stream is not None:
            self._stream.leave("PAUSED", "paused by a person")

    def begin_again(self, reason: str, message: str = "the replica is another") -> None:
        """The files are no longer what the stream began from; dials anew at once."""
        if self._stream is not None:
            self._stream.leave(reason, message)
        self._awaken.set()

    async def resume(self) -> None:
        """Goes back to the hub."""
        await self.files.set_setting(PAUSED, "")
        self._paused.clear()
        self._resumed.set()

    # -- what others wait for ------------------------------------------------

    def told(self) -> None:
        """Notes that the hub has said something; wakes who waits for it."""
        self._progress.set()
        self._progress = asyncio.Event()

    @property
    def progress(self) -> asyncio.Event:
        """Set at the next word of the hub. Take it before looking."""
        return self._progress

    @property
    def now(self) -> Instant:
        """This moment, on both clocks."""
        wall_ms = self.files.clock.wall_ms()
        return Instant(self.files.clock.boot_ns(), wall_ms)

    @property
    def away_ms(self) -> int:
        """For how long there has been no stream to the hub; zero while there is one."""
        since_ns = self._away_since_ns
        return 0 if since_ns is None else (self.files.clock.boot_ns() - since_ns) // 1_000_000

    def ask_heads(self, since_ns: int) -> None:
        """Sees to it that the hub is asked for its heads not before `since_ns`: they are here when
        `answered_nonce` has reached that. Call it again at every word of the hub until then.

        While a question is on its way the next one waits for its answer, and is then asked for all
        who have come meanwhile.
        """
        on_its_way = self._asked_ns > self.answered_nonce
        if self._stream is not None and self._asked_ns < since_ns and not on_its_way:
            self._asked_ns = self._stream.ask_heads() or 0

    def decided_at(self, asked: m.AskDecided) -> m.DecidedAt | None:
        """When the hub decided a commit; None if it has not said so, or has not decided it. Then it
        is asked, if there is a link; look again at its next word."""
        found, now_ns = self._answers.get(asked), self.files.clock.boot_ns()
        if found is not None:
            return found
        due = now_ns - self._questions.get(asked, 0) >= ASK_AGAIN_NS
        if due and self._stream is not None and self._stream.ask_decided(asked):
            _keep(self._questions, asked, now_ns)
        return None

    def decided(self, answer: m.DecidedAt) -> None:
        """The hub has said when a commit was decided, or that it is not."""
        if answer.position.revision:
            _keep(self._answers, answer.asked, answer)
        self.told()

    def keep_fresh(self, within_ms: int) -> None:
        """Somebody reads with this bound: it is to be provable without asking each time."""
        if self._stream is not None:
            self._stream.keep_fresh(within_ms * 1_000_000)

    # -- what the stream tells it ---------------------------------------------

    async def learn(self, welcome: m.Welcome) -> None:
        """The hub has introduced itself."""
        self.files.alarms.clear("NEEDS_AUTH")
        self.state, self.reason = LinkState.STREAMING, ""
        self._away_since_ns = None
        self.clock_offset_ms = welcome.wall_ms - self.files.clock.boot_ns() // 1_000_000
        await self.files.in_outbox(lambda c: self.files.outbox.learn_lineage(c, welcome.lineage))
        if all(space.refusal != "SPACE_STOPPED" for space in welcome.spaces):
            self.files.alarms.clear("SPACE_STOPPED")
        for space in welcome.spaces:
            await reconcile.follow_scope(self.files, space.space, self._scope(space.space))
            head = Position(space.epoch, space.space, space.head)
            self.heads[space.space] = head
            self.freshness.told(head)
        self.vitals.heard(self.heads)
        self.told()

    def acknowledge(self, result: m.PushResult) -> None:
        """Commits are durable at the hub; what became of them comes with the changes."""
        self.files.alarms.clear("UPLINK_STALLED")
        self.vitals.decided(result.space, result.origin, result.decided_seq)
        self.strong.tell(result.space, result.verdicts)

    def asking(self, nonce: int) -> None:
        """The hub is asked for its heads, now: `nonce` is the boot clock's time."""
        self.freshness.asked(Instant(nonce, self.files.clock.wall_ms()))

    def heard(self, heartbeat: m.HubHeartbeat) -> None:
        """The hub has answered a heartbeat."""
        self.freshness.heard(heartbeat.nonce, heartbeat.heads, self.now)
        self.clock_offset_ms = heartbeat.wall_ms - self.files.clock.boot_ns() // 1_000_000
        self.heads.update((head.space, head) for head in heartbeat.heads)
        self.vitals.heard(self.heads)
        self.answered_nonce = max(heartbeat.nonce, self.answered_nonce)
        self.told()

    @property
    def acknowledged(self) -> Mapping[tuple[str, bytes], int]:
        """Per space and origin of this edge, up to which seq the hub has everything durably."""
        return self.vitals.acknowledged

    @property
    def pending_commits(self) -> int:
        """Commits of this edge that the hub has not acknowledged, in all spaces."""
        return self.vitals.pending

    # -- running -------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        if await self.files.setting(PAUSED):
            self._paused.set()
        await self._recall()
        while True:
            if self._paused.is_set():
                self.state = LinkState.PAUSED
                await self._resumed.wait()
                self._dialling.begin_again()
            if self.state is not LinkState.NEEDS_AUTH:
                self.state = LinkState.CONNECTING
            began, before = asyncio.get_running_loop().time(), self._work_done
            ended = await self._once()
            lived = asyncio.get_running_loop().time() - began
            healthy = lived > HEALTHY_SECONDS or self._work_done > before
            well = ended.at_once or (healthy and not ended.fault)
            self.reason = f"{ended.reason}: {ended.message}" if ended.message else ended.reason
            self._note(ended)
            self._judge(ended)
            delay = self._dialling.ended(
                ended.reason, ended.retry_after_ms, well=well, own_fault=ended.fault
            )
            if not self._paused.is_set():
                await self._rest(delay)

    async def _recall(self) -> None:
        """Learns from the replica what of the outbox was decided before this process began."""
        try:
            found = await self.files.replica.snapshot(_standings)
        except HostError:
            return  # a damaged replica is begun anew meanwhile, and knows nothing
        for space, standing in found.items():
            for own in standing.own.values():
                self.vitals.decided(space, own.origin, own.decided_seq)
            here = Position(standing.cursor.epoch, space, standing.cursor.revision)
            self.vitals.applied(here, self.heads)
        self.vitals.took(self.files.outbox.spaces)

    @property
    def _work_done(self) -> int:
        """Grows whenever the hub has decided something of ours, or something of it came here."""
        return self.intake.applied + sum(self.vitals.acknowledged.values())

    async def _rest(self, delay: int) -> None:
        self._awaken.clear()
        awaken = asyncio.create_task(self._awaken.wait())
        paused = asyncio.create_task(self._paused.wait())
        try:
            either = asyncio.FIRST_COMPLETED
            await asyncio.wait([awaken, paused], timeout=delay / 1_000, return_when=either)
        finally:
            awaken.cancel()
            paused.cancel()

    def _judge(self, ended: Ended) -> None:
        """What the link waits for: a hub, or credentials that the hub accepts."""
        if ended.reason in ALWAYS_NAMED:
            self.state = LinkState.NEEDS_AUTH
            self.files.alarms.raise_("NEEDS_AUTH", self.reason)
        elif ended.reason != "HUB_UNREACHABLE" or self.state is not LinkState.NEEDS_AUTH:
            self.state = LinkState.CONNECTING  # a hub that is away has not changed its mind
            self.files.alarms.clear("NEEDS_AUTH")

    def _note(self, ended: Ended) -> None:
        """A push that cannot be taken as a whole is halved until the one to blame is found."""
        if ended.reason == "MALFORMED_BATCH":
            self.push_limit = max(1, self.push_limit // 8)
        _log.info("the link to %s is down: %s", self.address.text, self.reason)

    async def _once(self) -> Ended:
        """One stream, from dialling to its end."""
        try:
            hello = await self._hello()
            if self._paused.is_set():  # meanwhile; there was no stream yet to be left
                return Ended("PAUSED", "paused by a person", at_once=True)
        except HostError as error:  # a damaged replica is begun anew meanwhile
            self.files.alarms.raise_(error.reason, error.message)
            return Ended(error.reason, error.message, fault=True)
        try:
            channel = self.address.connect()
        except NoCredentials as none:
            return Ended(none.finding.reason, none.finding.message, fault=True)
        try:
            call = rpc.ReplicationServiceStub(channel).Replicate()
            self._stream, self._asked_ns = Stream(self, hello, call), 0
            self.dials += 1
            self._questions.clear()
            self._answers.clear()  # they are of the history that the hub had
            ended = await self._stream.run()
        finally:
            self._stream = None
            if self._away_since_ns is None:
                self._away_since_ns = self.files.clock.boot_ns()
            self.told()
            await channel.close()
        return await self._explained(ended)

    async def _explained(self, ended: Ended) -> Ended:
        """Over TLS a hub that cannot be reached may have refused to be."""
        credentials = self.address.credentials
        if credentials is None or ended.reason != "HUB_UNREACHABLE":
            return ended
        found = await credentials.why(self.address.text)
        if found is None:
            return ended
        return Ended(found.reason, f"{found.message}; {found.remedy}", fault=True)

    def _scope(self, space: str) -> m.Scope:
        """What is replicated of a space; of one that is only written to, nothing."""
        return self.scopes.get(space, m.Scope(whole=False))

    async def _hello(self) -> m.Hello:
        """Where this edge stands, from what is durable."""
        files = self.files
        found = await files.replica.snapshot(_standings)
        outbox = files.outbox
        spaces = []
        for space in sorted({*self.scopes, *outbox.spaces}):
            scope = self._scope(space)
            standing = found.get(space) or Standing(space)
            same = standing.scope == standings.scope_name(scope)
            states = tuple(
                m.OriginState(outbox.id_of(ordinal), counter.last_seq, counter.last_id)
                for ordinal in outbox.streams(space)
                if (counter := outbox.counter(space, ordinal)).last_seq
            )
            cursor = standing.cursor if same else NOWHERE
            spaces.append(m.SpaceHello(space, scope, cursor, states))
        earlier = outbox.origins[-2] if len(outbox.origins) > 1 else None
        return m.Hello(
            edge=outbox.edge,
            origin=outbox.origin.id,
            spaces=tuple(spaces),
            predecessor=earlier.id if earlier else b"",
            predecessor_reason=outbox.origin.reason,
            codecs=framing.available_codecs(),
            lineage=outbox.lineage,
            software=self.software,
        )


def _standings(connection: object) -> dict[str, Standing]:
    return {space: standings.load(connection, space) for space in standings.spaces(connection)}  # type: ignore[arg-type]


def _keep(kept: OrderedDict[m.AskDecided, T], asked: m.AskDecided, value: T) -> None:
    kept[asked] = value
    if len(kept) > KEPT_ANSWERS:
        kept.popitem(last=False)
