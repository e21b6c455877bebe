"""The hub's end of the streams: the shell around HubSession.

Two pumps for each stream. The reader hands every message to the session and
does what it says; the writer sends control messages first, then decided commits
as far as the edge has granted credit. Neither decides anything.

Invariant: only the writer writes to the stream, and answers to pushes of one
stream go out in the order the pushes came.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import grpc

from cloud_hub.access import identity_of
from cloud_hub.downstream import Downstream
from cloud_hub.fanout import Fanout
from cloud_hub.greeting import Greeter
from cloud_hub.ingest import Ingest
from cloud_hub.ownership import Ownership, Vouched, named_by
from cloud_hub.streams import Streams
from cloud_hub.submissions import Line, Pushed, Voided
from holdfast.host.clock import Clock
from holdfast.host.refusal import Refusal
from sync import actions as a
from sync import codec
from sync import messages as m
from sync.batch import MalformedBatch
from sync.clock import BootInstant
from sync.hub_session import HubSession, age_limit_ns
from sync.transitions import ProtocolViolation

Context = grpc.aio.ServicerContext[Any, Any]

TICK_SECONDS = 1.0

_log = logging.getLogger(__name__)


class ReplicationService:
    """Serves holdfast.v1.ReplicationService."""

    def __init__(
        self, ingest: Ingest, fanout: Fanout, greeter: Greeter, streams: Streams, clock: Clock,
        ownership: Ownership, luck: Callable[[], float],
    ) -> None:  # fmt: skip
        self.ingest, self.fanout, self.greeter = ingest, fanout, greeter
        self.streams, self.clock, self.ownership, self.luck = streams, clock, ownership, luck
        self._leaving: set[asyncio.Task[None]] = set()

    async def leave(self, leaving: Coroutine[Any, Any, None]) -> None:
        """Sees to it that a stream leaves, also when its call is cancelled meanwhile."""
        task = asyncio.create_task(leaving, name="replicate-leave")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        await asyncio.shield(task)

    async def Replicate(self, requests: AsyncIterator[Any], context: Context) -> None:
        """Runs one stream to its end."""
        await Stream(self, context).run(requests)


class Stream:
    """One stream of one edge."""

    def __init__(self, service: ReplicationService, context: Context) -> None:
        self._service, self._context = service, context
        self._session = HubSession(self._now(), age_limit_ns=age_limit_ns(service.luck()))
        self._vouched = Vouched(identity_of(context))
        self._control: deque[m.HubMessage] = deque()
        self._wake = asyncio.Event()
        self._closed: a.Close | None = None
        self._undecided: set[asyncio.Future[Any]] = set()
        self._downstream: Downstream | None = None
        self._answers: deque[tuple[m.Push, asyncio.Future[Any]]] = deque()
        self._line = Line()

    # -- for the registry of streams -----------------------------------------

    @property
    def edge(self) -> str:
        """The edge's name; empty before its hello."""
        return self._session.hello.edge if self._session.hello else ""

    def close(self, reason: str, message: str, retry_after_ms: int = 0) -> None:
        """Says goodbye and ends the stream."""
        if self._closed is None:
            self._control.append(m.Goodbye(reason, message, retry_after_ms))
            self._end(a.Close(reason, message))

    @property
    def behind(self) -> int:
        """Revisions still to be sent."""
        return self._downstream.behind if self._downstream is not None else 0

    async def drained(self) -> None:
        """Waits until nothing of this stream waits to be decided."""
        if self._undecided:
            await asyncio.wait(self._undecided)

    # -- the two pumps -------------------------------------------------------

    async def run(self, requests: AsyncIterator[Any]) -> None:
        reader = asyncio.create_task(self._read(requests), name="replicate-read")
        ticker = asyncio.create_task(self._tick(), name="replicate-tick")
        try:
            await self._write()
        finally:
            reader.cancel()
            ticker.cancel()
            await self._service.leave(self._leave(reader, ticker))

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        try:
            async for request in requests:
                if self._over():
                    return  # a newer stream may have been welcomed: nothing more is taken here
                message = await self._vouch(codec.edge_message_from(request))
                await self._perform(self._session.receive(message, self._now()))
                if self._over():
                    return
            self._end(a.Close("GONE", "the edge has left"))
        except (ProtocolViolation, codec.MalformedMessage) as error:
            self.close("PROTOCOL_VIOLATION", str(error))
        except Refusal as refusal:
            _log.warning("stream of %s: %s", self._vouched.who or self.edge, refusal.message)
            self.close(refusal.reason, refusal.message, refusal.retry_ms or 1_000)
        except Exception as error:  # noqa: BLE001 - whatever it is ends this stream, and only it
            reason = getattr(error, "reason", "INTERNAL")
            _log.warning("stream of %s failed", self.edge, exc_info=error)
            self.close(str(reason), "the hub could not go on with this stream", 1_000)

    async def _vouch(self, message: m.EdgeMessage) -> m.EdgeMessage:
        """The message, if its sender may name what it names: before anything of it is known to
        others. An edge's name is that of its certificate. Raises Refusal."""
        self._vouched.check(message)
        who = self._vouched.who
        if who is None or not isinstance(message, m.Hello):
            return message
        own = named_by(message)
        await self._service.ownership.claim(who, own)
        self._vouched.admit(own)
        return replace(message, edge=who.name)

    def _over(self) -> bool:
        return self._closed is not None

    async def _write(self) -> None:
        while True:
            self._wake.clear()
            if self._control:
                message = self._control.popleft()
                await self._context.write(codec.hub_message_to(message))
            elif self._closed is not None:
                return
            else:
                data = await self._next_data()
                if data is None:
                    await self._wake.wait()
                else:
                    await self._context.write(codec.hub_message_to(data))

    async def _next_data(self) -> m.HubMessage | None:
        if self._downstream is None or not self._session.may_send_changes:
            return None
        message = await self._downstream.next(self._service.clock.boot_ns())
        if isinstance(message, m.Changes):
            self._session.sent(message)
        return message

    async def _tick(self) -> None:
        while self._closed is None:
            await asyncio.sleep(TICK_SECONDS)
            await self._perform(self._session.tick(self._now()))
            self._wake.set()

    # -- what the session asks -----------------------------------------------

    async def _perform(self, actions: list[a.HubAction]) -> None:
        for action in actions:
            match action:
                case a.Send(message=message):
                    self._control.append(message)  # type: ignore[arg-type]
                case a.Close():
                    self._end(action)
                case a.Greet(hello=hello):
                    await self._greet(hello)
                case a.Ingest(push=push):
                    self._ingest(push)
                case a.IngestVoid(void_range=gone):
                    answer = await self._service.ingest.submit(Voided(gone, self._line))
                    assert isinstance(answer, m.PushResult | m.PushRefused)
                    self._control.append(answer)
                case a.Compare(compare=compare):
                    self._control.append(await self._service.greeter.compare(compare))
                case a.NoteCursors(report=report):
                    self._service.streams.note_cursors(self.edge, report)
                case a.AnswerHeartbeat(heartbeat=beat):
                    self._service.streams.note_heartbeat(self.edge, beat)
                    self._control.append(await self._service.greeter.heartbeat(beat, self._spaces))
                case a.AnswerDecided(asked=asked):
                    self._control.append(await self._service.greeter.decided(asked))
                case a.Alarm(name=name, message=text):
                    _log.error("%s: %s (edge %s)", name, text, self.edge)
        self._wake.set()

    @property
    def _spaces(self) -> list[str]:
        return [s.space for s in self._session.hello.spaces] if self._session.hello else []

    async def _greet(self, hello: m.Hello) -> None:
        await self._service.streams.enter(self, hello)
        welcome = await self._service.greeter.greet(hello, self._session.granted)
        refused = {s.space for s in welcome.spaces if s.refusal}
        followed = [s for s in hello.spaces if s.space not in refused]
        own = frozenset({hello.origin, *(o.origin for s in hello.spaces for o in s.origins)})
        self._downstream = Downstream(
            self._service.fanout, self._service.greeter.key, followed, welcome.codec, self._wake,
            own, self._sent_of,
        )  # fmt: skip
        await self._perform(self._session.welcomed(welcome))

    def _sent_of(self, decided_ms: int) -> None:
        age_ms = self._service.clock.wall_ms() - decided_ms
        self._service.streams.meter.changes_sent(age_ms)

    def _ingest(self, push: m.Push) -> None:
        hello = self._session.hello
        assert hello is not None
        try:
            batch = codec.decode_block(
                push.space, push.origin, push.first_seq,
                codec.unpack(push.block, self._service.greeter.codec_of(hello), push.block_bytes),
            )  # fmt: skip
            if len(batch) != push.count:
                raise MalformedBatch("another number of commits than announced")
        except MalformedBatch as error:
            self._service.streams.meter.frame_rejected(
                str(getattr(error.__cause__, "reason", error.reason))
            )
            seq = push.first_seq if push.count == 1 else 0
            refused = m.PushRefused(push.space, push.origin, error.reason, str(error), 0, seq)
            self._control.extend(
                action.message  # type: ignore[misc]
                for action in self._session.decided(push, refused)
                if isinstance(action, a.Send)
            )
            return
        codec_name = self._service.greeter.codec_of(hello)
        pushed = Pushed(batch, push, codec_name, hello.edge, self._line)
        future = self._service.ingest.enqueue(pushed)
        self._undecided.add(future)
        self._answers.append((push, future))
        future.add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[Any]) -> None:
        self._undecided.discard(future)
        while self._answers and self._answers[0][1].done():
            push, done = self._answers.popleft()
            error = done.exception() if not done.cancelled() else asyncio.CancelledError()
            if error is not None:
                reason = str(getattr(error, "reason", "INTERNAL"))
                self.close(reason, "the hub could not store a push", 1_000)
                return
            for action in self._session.decided(push, done.result()):
                assert isinstance(action, a.Send)
                self._control.append(action.message)  # type: ignore[arg-type]
        self._wake.set()

    def _end(self, close: a.Close) -> None:
        if self._closed is None:
            self._closed = close
            _log.info("stream of %s ends: %s %s", self.edge, close.reason, close.message)
        self._wake.set()

    async def _leave(self, *pumps: asyncio.Task[None]) -> None:
        await asyncio.gather(*pumps, return_exceptions=True)
        if self._closed is None:
            self._closed = a.Close("GONE", "the connection was lost")
        if self._downstream is not None:
            self._downstream.close()
        self._service.streams.meter.stream_ended(self._closed.reason)
        await self.drained()
        await self._service.streams.leave(self)

    def _now(self) -> BootInstant:
        return BootInstant(self._service.clock.boot_ns())
