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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import grpc

from edge_agent import reconcile
from edge_agent import standing as standings
from edge_agent.database import EdgeFiles
from edge_agent.dialling import Dialling
from edge_agent.intake import Intake
from edge_agent.standing import Standing
from edge_agent.stream import MAX_PUSH_COMMITS, Ended, Stream
from holdfast.host.channels import client_options
from holdfast.host.errors import HostError
from holdfast.v1 import replication_service_pb2_grpc as rpc
from sync import framing
from sync import messages as m
from sync.position import NOWHERE, Position

HEALTHY_SECONDS = 30.0
"""A stream that lived this long starts the delays over; so does one that got something done, or an
edge with a link that breaks often would be away for most of the time."""

PAUSED = "paused"

_log = logging.getLogger(__name__)


class LinkState(StrEnum):
    """Where the link is."""

    CONNECTING = "connecting"
    GREETING = "greeting"
    STREAMING = "streaming"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the hub is, and how to open a channel to it."""

    text: str
    connect: Callable[[], grpc.aio.Channel]


def insecure(address: str) -> Address:
    """A hub on this machine, without TLS."""
    return Address(address, lambda: grpc.aio.insecure_channel(address, options=client_options()))


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
    ) -> None:
        self.files, self.intake, self.scopes = files, intake, dict(scopes)
        self.software, self.priority = software, priority
        self._addresses = (address, *others)
        self._dialling = Dialling(len(self._addresses), luck)
        self.state = LinkState.CONNECTING
        self.reason = ""
        self.heads: dict[str, Position] = {}
        self.acknowledged: dict[tuple[str, bytes], int] = {}
        self.clock_offset_ms: int | None = None
        self.answered_nonce = 0
        self.push_limit = MAX_PUSH_COMMITS
        self._stream: Stream | None = None
        self._paused = asyncio.Event()
        self._resumed = asyncio.Event()
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

    def begin_again(self, reason: str) -> None:
        """The files are no longer what the stream began from."""
        if self._stream is not None:
            self._stream.leave(reason, "the replica is another")

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

    def ask_heads(self) -> int | None:
        """Asks the hub for its heads; they are here when `answered_nonce` has reached what this
        returns. None if there is no stream to ask on."""
        return self._stream.ask_heads() if self._stream is not None else None

    # -- what the stream tells it ---------------------------------------------

    async def learn(self, welcome: m.Welcome) -> None:
        """The hub has introduced itself."""
        self.state, self.reason = LinkState.STREAMING, ""
        self.clock_offset_ms = welcome.wall_ms - self.files.clock.boot_ns() // 1_000_000
        await self.files.in_outbox(lambda c: self.files.outbox.learn_lineage(c, welcome.lineage))
        for space in welcome.spaces:
            await reconcile.follow_scope(self.files, space.space, self._scope(space.space))
            self.heads[space.space] = Position(space.epoch, space.space, space.head)
        self.told()

    def acknowledge(self, result: m.PushResult) -> None:
        """Commits are durable at the hub; what became of them comes with the changes."""
        self.files.alarms.clear("UPLINK_STALLED")
        key = (result.space, result.origin)
        self.acknowledged[key] = max(result.decided_seq, self.acknowledged.get(key, 0))

    def heard(self, heartbeat: m.HubHeartbeat) -> None:
        """The hub has answered a heartbeat."""
        self.clock_offset_ms = heartbeat.wall_ms - self.files.clock.boot_ns() // 1_000_000
        self.heads.update((head.space, head) for head in heartbeat.heads)
        self.answered_nonce = max(heartbeat.nonce, self.answered_nonce)
        self.told()

    @property
    def pending_commits(self) -> int:
        """Commits of this edge that the hub has not acknowledged, in all spaces."""
        outbox = self.files.outbox
        return sum(
            max(0, counter.last_seq - self.acknowledged.get((space, outbox.id_of(ordinal)), 0))
            for (space, ordinal), counter in outbox.counters.items()
        )

    # -- running -------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        if await self.files.setting(PAUSED):
            self._paused.set()
        while True:
            if self._paused.is_set():
                self.state = LinkState.PAUSED
                await self._resumed.wait()
                self._dialling.begin_again()
            self.state = LinkState.CONNECTING
            began, before = asyncio.get_running_loop().time(), self._work_done
            ended = await self._once()
            lived = asyncio.get_running_loop().time() - began
            healthy = lived > HEALTHY_SECONDS or self._work_done > before
            well = ended.at_once or (healthy and not ended.fault)
            self.reason = f"{ended.reason}: {ended.message}" if ended.message else ended.reason
            self._note(ended)
            delay = self._dialling.ended(
                ended.reason, ended.retry_after_ms, well=well, own_fault=ended.fault
            )
            if not self._paused.is_set():
                await self._rest(delay)

    @property
    def _work_done(self) -> int:
        """Grows whenever the hub has decided something of ours, or something of it came here."""
        return self.intake.applied + sum(self.acknowledged.values())

    async def _rest(self, delay: int) -> None:
        self.state = LinkState.CONNECTING
        try:
            await asyncio.wait_for(self._paused.wait(), delay / 1_000)
        except TimeoutError:
            return

    def _note(self, ended: Ended) -> None:
        """A push that cannot be taken as a whole is halved until the one to blame is found."""
        if ended.reason == "MALFORMED_BATCH":
            self.push_limit = max(1, self.push_limit // 8)
        _log.info("the link to %s is down: %s", self.address.text, self.reason)

    async def _once(self) -> Ended:
        """One stream, from dialling to its end."""
        try:
            hello = await self._hello()
        except HostError as error:  # a damaged replica is begun anew meanwhile
            self.files.alarms.raise_(error.reason, error.message)
            return Ended(error.reason, error.message, fault=True)
        channel = self.address.connect()
        try:
            call = rpc.ReplicationServiceStub(channel).Replicate()
            self._stream = Stream(self, hello, call)
            return await self._stream.run()
        finally:
            self._stream = None
            await channel.close()

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
