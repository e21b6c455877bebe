"""One stream to the hub: the shell around EdgeSession.

Three loops. The receiver takes messages off the wire; the worker hands them to
the session and does what it says, in order; the pusher reads the outbox while
there is credit. Each loop looks at durable state when it is woken, and is woken
by a tick in any case, so no wake-up can be lost for good.

Invariant: all writes to the stream go through one queue, and what a session
asks to be persisted is durable before what it asks to be sent after it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc

from edge_agent import reconcile
from edge_agent import standing as standings
from edge_agent.intake import MAX_ARRIVALS, ReplicaReset
from edge_agent.link import Ended, Link
from edge_agent.outbox import TRIMMED, Outbox
from edge_agent.outbox_rows import DamagedRow, Limits
from edge_agent.standing import Standing
from holdfast.host import failpoints
from holdfast.host.errors import HostError
from sync import actions as a
from sync import codec
from sync import messages as m
from sync.batch import MAX_PAYLOAD_BYTES, Batch
from sync.clock import BootInstant
from sync.edge_session import EdgeSession
from sync.position import Position
from sync.transitions import ProtocolViolation, State

T = TypeVar("T")

TICK_SECONDS = 1.0
MAX_PUSH_COMMITS = 2_000
"""Commits of one push: large enough that its message costs little, small enough that an urgent
space waits for no more than this."""

PUSH_BYTES = MAX_PAYLOAD_BYTES // 2
"""Payloads of one push, for the same reason."""

RECEIVED_LIMIT = 256
"""Messages taken off the wire and not yet worked on; credit keeps their bytes bounded."""

BEFORE_SEND = failpoints.declare("edge.push.before")
AFTER_SEND = failpoints.declare("edge.push.after")

_log = logging.getLogger(__name__)


_BY_AGREEMENT = frozenset(
    {"STREAM_AGED", "SHUTTING_DOWN", "PAUSED", "ORIGIN_COPIED", "SPACE_STOPPED", "EPOCH_CHANGED"}
)


_REFUSED = {grpc.StatusCode.PERMISSION_DENIED: "NOT_ALLOWED"}
"""What a hub says before a stream begins, where it says no by a status."""


class Stream:
    """Runs one stream to its end."""

    def __init__(self, link: Link, hello: m.Hello, call: Any) -> None:
        self._up, self._call = link, call
        self._session = EdgeSession(hello)
        self._received: asyncio.Queue[m.HubMessage] = asyncio.Queue(RECEIVED_LIMIT)
        self._outgoing: deque[m.EdgeMessage] = deque()
        self._writable = asyncio.Event()
        self._push = asyncio.Event()
        self._ended: Ended | None = None
        self._over = asyncio.Event()

    # -- what the uplink asks ------------------------------------------------

    def nudge(self) -> None:
        """There may be something to push."""
        self._push.set()

    def leave(self, reason: str, message: str) -> None:
        """Ends the stream from this side."""
        self._end(Ended(reason, message, at_once=True))

    def ask_heads(self) -> int | None:
        """Sends a heartbeat now; its answer brings the heads of the hub. Its nonce, or None if
        nothing can be sent yet."""
        if self._session.state is not State.STREAMING:
            return None
        now = self._now()
        self._do_soon(self._session.ask(now))
        return now

    def ask_decided(self, asked: m.AskDecided) -> bool:
        """Asks when a commit was decided; False if nothing can be sent yet."""
        if self._session.state is not State.STREAMING:
            return False
        self._do_soon(self._session.ask_decided(asked))
        return True

    def keep_fresh(self, within_ns: int) -> None:
        """Somebody reads within a bound: heartbeats come as often as that needs."""
        self._session.keep_fresh(within_ns, self._now())

    async def run(self) -> Ended:
        """Until it ends, for whatever reason; never raises for what the hub or the link does."""
        tasks = [
            asyncio.create_task(loop(), name=f"uplink-{loop.__name__}")
            for loop in (self._receive, self._work, self._write, self._pump, self._tick)
        ]
        over = asyncio.create_task(self._over.wait())
        try:
            self._do_soon(self._session.start(self._now()))
            await asyncio.wait([over, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._session.state = State.CLOSED
            self._call.cancel()
            for task in [over, *tasks]:
                task.cancel()
            await asyncio.gather(over, *tasks, return_exceptions=True)
        return self._ended or self._failure(tasks)

    def _failure(self, tasks: list[asyncio.Task[None]]) -> Ended:
        for task in tasks:
            error = task.exception() if task.done() and not task.cancelled() else None
            if error is not None:
                _log.error("the stream failed", exc_info=error)
                return Ended(str(getattr(error, "reason", "INTERNAL")), str(error))
        return Ended("LINK_LOST", "the stream ended")

    # -- the loops -----------------------------------------------------------

    async def _receive(self) -> None:
        try:
            async for response in self._call:
                await self._received.put(codec.hub_message_from(response))
            # Behind all that has come: the hub's own goodbye, if there was one, says more.
            await self._received.put(m.Goodbye("LINK_LOST", "the hub ended the stream"))
        except grpc.aio.AioRpcError as error:
            reason = _REFUSED.get(error.code(), "HUB_UNREACHABLE")
            self._end(Ended(reason, error.details() or error.code().name))
        except codec.MalformedMessage as error:
            self._end(Ended(error.reason, str(error)))

    async def _work(self) -> None:
        held: m.HubMessage | None = None
        try:
            while True:
                message = held or await self._received.get()
                held = await _to_its_end(self._take(message))
                self._up.told()
                self._push.set()
        except ProtocolViolation as error:
            self._end(Ended(error.reason, str(error)))
        except ReplicaReset as error:
            copied = error.reason in _BY_AGREEMENT
            self._end(Ended(error.reason, str(error), at_once=copied, fault=not copied))
        except HostError as error:
            self._up.files.alarms.raise_(error.reason, error.message)
            self._end(Ended(error.reason, error.message, fault=True))

    async def _take(self, message: m.HubMessage) -> m.HubMessage | None:
        """Does what a message asks for; returns one that was taken off the wire meanwhile."""
        if isinstance(message, m.Changes):
            return await self._apply_run(message)
        await self._do(self._session.receive(message, self._now()))
        return None

    async def _apply_run(self, first: m.Changes) -> m.HubMessage | None:
        """Applies changes that wait, as far as they are of one space; returns the message after."""
        run: list[m.Changes] = []
        following: m.HubMessage | None = first
        while isinstance(following, m.Changes) and following.space == first.space:
            actions = self._session.receive(following, self._now())
            self._up.freshness.told(
                Position(following.epoch, following.space, following.last_revision)
            )
            run += [action.changes for action in actions if isinstance(action, a.Apply)]
            following = None
            if len(run) >= MAX_ARRIVALS or self._received.empty():
                break
            following = self._received.get_nowait()
        if run:
            await self._up.intake.apply(first.space, run, self._session.codec)
            for changes in run:
                await self._do(self._session.applied(changes))
        return following

    async def _write(self) -> None:
        try:
            while True:
                self._writable.clear()
                while self._outgoing:
                    await self._call.write(codec.edge_message_to(self._outgoing.popleft()))
                await self._writable.wait()
        except grpc.aio.AioRpcError as error:
            self._end(Ended("HUB_UNREACHABLE", error.details() or error.code().name))
        except asyncio.InvalidStateError:
            self._end(Ended("LINK_LOST", "the stream is over"))

    async def _pump(self) -> None:
        while True:
            self._push.clear()
            if not await self._push_next():
                await self._push.wait()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self._do(self._session.tick(self._now()))
            self._push.set()

    # -- pushing -------------------------------------------------------------

    async def _push_next(self) -> bool:
        """Offers the next commits of the most urgent space; False if there is nothing to do."""
        if not self._session.may_push or self._outgoing:
            return False
        outbox = self._up.files.outbox
        going = set(outbox.spaces) - self._session.held_spaces
        for space in sorted(going, key=self._rank):
            for ordinal in outbox.streams(space):
                origin = outbox.id_of(ordinal)
                sent = self._session.sent_through(space, origin)
                if sent < outbox.counter(space, ordinal).last_seq:
                    await self._offer(space, origin, sent)
                    return True
        return False

    def _rank(self, space: str) -> tuple[bool, bool, int, str]:
        """Control spaces come first; then those where somebody waits for the hub."""
        rank = self._up.priority(space)
        return bool(rank), not self._up.strong.is_urgent(space), rank, space

    async def _offer(self, space: str, origin: bytes, sent: int) -> None:
        limits = Limits(commits=self._up.push_limit, payload_bytes=PUSH_BYTES)
        outbox = self._up.files.outbox
        try:
            found = await self._up.files.in_outbox(
                lambda c: outbox.read(c, space, origin, sent, limits, offer=True)
            )
        except DamagedRow as damaged:
            await reconcile.void_damaged(self._up.files, damaged)
            return
        if found is None or not self._session.may_push:
            return
        if isinstance(found, Batch):
            found = self._up.strong.sending(found)
            block = codec.encode_block(found)
            packed = codec.pack(block, self._session.codec)
            push = m.Push(space, origin, found.first_seq, len(found), packed, len(block))
            BEFORE_SEND()
            await self._do(self._session.offer(push, self._now()))
            AFTER_SEND()
        else:
            if found.reason == TRIMMED:
                text = f"{space}: the hub has lost {found.count} commits that are not here any more"
                self._up.files.alarms.raise_(TRIMMED, text)
            await self._do(self._session.offer_void(found, self._now()))

    # -- what the session asks -----------------------------------------------

    def _do_soon(self, actions: list[a.EdgeAction]) -> None:
        """For actions that only send."""
        for action in actions:
            assert isinstance(action, a.Send | a.Beat), action
            self._send(action)

    def _send(self, action: a.Send | a.Beat) -> None:
        if isinstance(action, a.Beat):
            files = self._up.files
            self._up.asking(action.nonce)
            message: Any = m.EdgeHeartbeat(
                action.nonce, self._up.pending_commits, files.outbox.size_bytes,
                files.clock.wall_ms(), files.alarms.names, self._up.counters(),
            )  # fmt: skip
        else:
            message = action.message
        self._outgoing.append(message)
        self._writable.set()

    async def _do(self, actions: list[a.EdgeAction]) -> None:
        for action in actions:
            await self._do_one(action)

    async def _do_one(self, action: a.EdgeAction) -> None:
        match action:
            case a.Send() | a.Beat():
                self._send(action)
            case a.Close(reason=reason, message=message, retry_after_ms=retry):
                self._end(Ended(reason, message, retry, at_once=reason in _BY_AGREEMENT))
            case a.Alarm(name=name, message=message):
                self._up.files.alarms.raise_(name, message)
            case a.Acknowledged(result=result):
                self._up.acknowledge(result)
            case a.Heard(heartbeat=heartbeat):
                self._up.heard(heartbeat)
            case a.Told(answer=answer):
                self._up.decided(answer)
            case a.MarkOffered() | a.Apply():
                pass  # rows are marked where they are read; changes are applied in runs
            case _:
                await self._do_durable(action)

    async def _do_durable(self, action: a.EdgeAction) -> None:
        """What looks at files or writes them."""
        files = self._up.files
        match action:
            case a.Learn(welcome=welcome):
                await self._up.learn(welcome)
            case a.Mark(bookmark=bookmark):
                await self._up.intake.mark(bookmark)
            case a.LookUpIds(space=space, origin=origin, seqs=seqs):
                ids = await files.in_outbox(lambda c: files.outbox.ids_at(c, space, origin, seqs))
                newest = files.outbox.counter(space, files.outbox.ordinals[origin]).last_seq
                await self._do(self._session.ids_found(action, ids, newest))
            case a.TakeNewOrigin(reason=reason, keep=keep):
                await reconcile.take_new_origin(files, reason, keep)
            case a.ResetReplica(space=space, reason=reason):
                self._up.freshness.forget(space)
                await self._up.intake.reset(space, reason)
                self._end(Ended(reason, f"the replica of {space} begins from zero", at_once=True))
            case a.SetAside():
                await self._set_aside(action)
            case a.ReportCursors():
                await self._report()

    async def _set_aside(self, action: a.SetAside) -> None:
        """The hub cannot take a commit: it stays here for people, and is declared void."""
        outbox = self._up.files.outbox
        space, seq, ordinal = action.space, action.seq, outbox.ordinals[action.origin]
        await self._up.files.in_outbox(
            lambda c: outbox.declare_void(c, space, ordinal, seq, 1, action.reason)
        )
        message = f"{space} seq {seq}: {action.message}"
        self._up.files.alarms.raise_("COMMIT_SET_ASIDE", message)
        self._up.push_limit = MAX_PUSH_COMMITS

    async def _report(self) -> None:
        """How far the replica is, and the lowest base that pending commits still need."""
        files = self._up.files
        found = await files.reader.snapshot(_standings)
        lowest = await files.in_outbox(lambda c: [_lowest_base(c, files.outbox, s) for s in found])
        spaces = tuple(
            m.SpaceCursor(s.space, s.cursor.epoch, s.cursor.revision, base)
            for s, base in zip(found, lowest, strict=True)
        )
        self._outgoing.append(m.CursorReport(spaces))
        self._writable.set()

    def _end(self, ended: Ended) -> None:
        if self._ended is None:
            self._ended = ended
        self._over.set()

    def _now(self) -> BootInstant:
        return BootInstant(self._up.files.clock.boot_ns())


def _standings(connection: sqlite3.Connection) -> list[Standing]:
    return [standings.load(connection, space) for space in standings.spaces(connection)]


def _lowest_base(connection: sqlite3.Connection, outbox: Outbox, standing: Standing) -> int:
    bases = [standing.cursor.revision]
    for ordinal in outbox.streams(standing.space):
        own = standing.own.get(ordinal)
        base = outbox.lowest_base(
            connection, standing.space, ordinal, own.decided_seq if own else 0
        )
        if base is not None:
            bases.append(base)
    return min(bases)


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Finishes what it has begun even if the stream ends meanwhile. Else changes could be in the
    replica of which no watcher is told, or commits have new names that the view does not know."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
