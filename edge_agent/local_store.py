"""The one way by which commits come to this edge.

Commits that wait at the same moment are taken together: judged one after the other on one snapshot,
stored by one transaction (one fsync for all), put on top of the view by another, and then answered.
There is no timer; while one group is being stored, the next one gathers.

Invariant: a commit is answered only after it is durable in the outbox, and before the next group is
judged it is in the view; a refused one has left no trace.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edge_agent import overlay, reconcile, space_view, strong_drafts
from edge_agent.ages import Ages
from edge_agent.database import EdgeFiles
from edge_agent.judging import Draft, Judge
from edge_agent.outbox import ChosenId, Emptying
from edge_agent.overlay import Prepared
from edge_agent.requests import Context, Receipt, Write
from edge_agent.space_view import SpaceView
from holdfast.host.failpoints import declare
from holdfast.host.refusal import Refusal
from holdfast.host.sqlite import Corrupt, DatabaseError
from holdfast.host.sqlite_errors import typed
from sync.batch import MAX_OPS, MAX_PAYLOAD_BYTES, Batch, batch_of
from sync.clock import HybridClock
from sync.commit import OpId
from sync.levels import Level
from sync.messages import Scope
from sync.policy import Policies
from sync.position import Position

GROUP_COMMITS = 256
"""Commits stored by one transaction: some milliseconds of work, and enough share the fsync."""

GROUP_OPS = MAX_OPS // 8
"""Requests of a group. A put may become an operation for each way of merging, and a batch has a
limit."""

QUEUED_COMMITS = 4_096
"""Commits that wait; beyond, a caller is told to come again rather than kept waiting in memory."""

before_outbox = declare("edge.commit.before_outbox")
outbox_written = declare("edge.commit.outbox_written")
view_written = declare("edge.commit.view_written")

_log = logging.getLogger(__name__)


class ViewUnreadable(Exception):
    """A file could not be read while commits were judged; as a rule the replica."""

    reason = "DATABASE_CORRUPT"


@dataclass(slots=True)
class _Waiting:
    write: Write
    answer: asyncio.Future[Receipt]
    size_bytes: int


@dataclass(slots=True)
class _Taken:
    """What became of a group in the outbox's thread."""

    answers: list[Receipt | Refusal] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    views: dict[str, SpaceView] = field(default_factory=dict)
    chosen: list[ChosenId] = field(default_factory=list)

    @property
    def emptied(self) -> list[Emptying]:
        return [one for view in self.views.values() for one in view.emptied]


Listener = Callable[[bytes, Sequence[Draft]], None]
"""Told of the commits that were taken, in order, with their origin, once they are in the view."""


def _nobody(_origin: bytes, _drafts: Sequence[Draft]) -> None:
    return


class LocalStore:
    """Takes commits. `scopes` are what this edge replicates, by space; others are refused."""

    def __init__(
        self,
        files: EdgeFiles,
        *,
        scopes: Mapping[str, Scope] | None = None,
        unix_ms: Callable[[], int] | None = None,
        on_pending: Callable[[frozenset[str]], None] = lambda _spaces: None,
        on_commits: Listener = _nobody,
    ) -> None:
        self._files = files
        self._scopes = scopes
        self._unix_ms = unix_ms or files.clock.wall_ms
        self._on_pending = on_pending
        self._on_commits = on_commits
        self._clock = HybridClock(files.outbox.last_stamp())
        self._policies: dict[str, tuple[tuple[int, int, int], Policies]] = {}
        self._queue: deque[_Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._view_is_behind = False
        self._ages = Ages()
        self.commits = 0
        """Taken since start."""
        self.outbox_transactions = 0
        self.outbox_us = 0
        """So many transactions in which commits were taken, and how long they took altogether."""

    async def commit(self, write: Write) -> Receipt:
        """Stores one commit: durable when this returns, not stored at all when it raises Refusal.

        Cancelling the caller does not take back a commit that was handed over.
        """
        if self._closed:
            raise Refusal("SHUTTING_DOWN")
        if len(self._queue) >= QUEUED_COMMITS:
            raise Refusal("TOO_MANY_REQUESTS")
        if self._scopes is not None and write.space not in self._scopes:
            raise Refusal("OUT_OF_SCOPE", f"the space {write.space} is not kept here")
        waiting = _Waiting(write, asyncio.get_running_loop().create_future(), write.size_bytes)
        if waiting.size_bytes > MAX_PAYLOAD_BYTES // 2:
            raise Refusal("COMMIT_TOO_LARGE")
        self._queue.append(waiting)
        if self._writer is None:
            self._writer = asyncio.create_task(self._drain())
        return await waiting.answer

    def keeps(self, write: Write) -> bool:
        """Whether all that a write is about is replicated here."""
        scope = self._scope(write.space)
        return scope is None or all(scope.covers(one.collection) for one in write.requests)

    async def close(self) -> None:
        """Takes what is queued, and no more."""
        self._closed = True
        if self._writer is not None:
            await self._writer

    async def catch_up(self) -> None:
        """Makes the view contain all that is durable, if that failed before."""
        if self._view_is_behind:
            async with self._files.writing:
                await self._catch_up()

    async def _catch_up(self) -> None:
        if self._view_is_behind:
            await reconcile.reconcile(self._files)
            self._view_is_behind = False

    # -- groups --------------------------------------------------------------

    async def _drain(self) -> None:
        try:
            while self._queue:
                async with self._files.writing:
                    await self._take_group(self._next_group())
        finally:
            self._writer = None

    def _next_group(self) -> list[_Waiting]:
        group = [self._queue.popleft()]
        ops, size = len(group[0].write.requests), group[0].size_bytes
        while self._queue and len(group) < GROUP_COMMITS:
            ops += len(self._queue[0].write.requests)
            size += self._queue[0].size_bytes
            if ops > GROUP_OPS or size > MAX_PAYLOAD_BYTES:
                break
            group.append(self._queue.popleft())
        return group

    async def _take_group(self, group: Sequence[_Waiting]) -> None:
        try:
            taken = await self._stored(group)
        except BaseException as error:
            for waiting in group:
                _fail(waiting, error)
            if not isinstance(error, Exception):
                raise
            return
        for waiting, answer in zip(group, taken.answers, strict=True):
            if isinstance(answer, Refusal):
                _fail(waiting, answer)
            elif not waiting.answer.done():
                waiting.answer.set_result(answer)

    async def _stored(self, group: Sequence[_Waiting]) -> _Taken:
        await self._catch_up()
        began_ns = self._files.clock.boot_ns()
        try:
            taken = await self._files.in_outbox(lambda c: self._take(c, group))
        except ViewUnreadable as unreadable:
            if await self._files.in_outbox(self._view_is_sound):
                raise  # then it is the outbox, which cannot be begun anew
            await self._replace_replica(unreadable)
            taken = await self._files.in_outbox(lambda c: self._take(c, group))
        if taken.batches:
            self.outbox_transactions += 1
            self.outbox_us += (self._files.clock.boot_ns() - began_ns) // 1_000
            self._view_is_behind = True
            # It is durable: the hub may have it while the view is still being written.
            self._on_pending(frozenset(taken.views))
            await self._show(taken)
            self.commits += len(taken.drafts)
            shown = [draft for draft in taken.drafts if not draft.commit.extra.strong]
            self._on_commits(self._files.outbox.origin.id, shown)
        return taken

    async def _show(self, taken: _Taken) -> None:
        """Puts what is durable on top of the view. If that fails it is durable all the same: the
        answer says that it is not visible yet, and the next group begins with making it so."""
        try:
            await self._files.replica.transaction(lambda c: _extend(c, self._files, taken))
            self._view_is_behind = False
        except Corrupt as error:
            await self._replace_replica(error)
            self._view_is_behind = False
        except DatabaseError as error:
            _log.warning("the view of %d commits waits: %s", len(taken.drafts), error)
            taken.answers = [_unseen(answer) for answer in taken.answers]

    async def _replace_replica(self, error: Exception) -> None:
        _log.error("the replica is damaged and begun anew: %s", error)
        await self._files.replace_replica("REPLICA_DAMAGED")
        await reconcile.reconcile(self._files)

    # -- in the outbox's thread ----------------------------------------------

    def _view_is_sound(self, _: sqlite3.Connection) -> bool:
        try:
            return bool(self._files.view().execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        except sqlite3.Error:
            return False

    def _take(self, connection: sqlite3.Connection, group: Sequence[_Waiting]) -> _Taken:
        taken = _Taken()
        view_connection = self._files.view()
        by_space: dict[str, list[Write]] = {}
        for waiting in group:
            by_space.setdefault(waiting.write.space, []).append(waiting.write)
        with _snapshot(view_connection, self._files):
            for space, writes in by_space.items():
                taken.views[space] = self._load(view_connection, space, writes)
            room = self._files.outbox.limit_bytes - self._files.outbox.size_bytes
            for waiting in group:
                room -= waiting.size_bytes
                judge = Judge(
                    view_connection, connection, self._files.outbox,
                    taken.views[waiting.write.space], self._scope(waiting.write.space),
                    self._ages, self._files.clock.boot_ns(),
                )  # fmt: skip
                try:
                    answer: Receipt | Refusal = self._taken(judge, waiting.write, room, taken)
                except Refusal as refusal:
                    answer = refusal
                taken.answers.append(answer)
        taken.batches = _batches(self._files.outbox.origin.id, taken.drafts)
        if taken.batches:
            before_outbox()
            self._files.outbox.append(connection, taken.batches, taken.emptied, taken.chosen)
            outbox_written()
            for batch in taken.batches:
                stream = (batch.space, self._files.outbox.origin.ordinal)
                now_ns = self._files.clock.boot_ns()
                self._ages.took(stream, batch.first_seq, batch.last_seq, now_ns)
        return taken

    def _load(
        self, connection: sqlite3.Connection, space: str, writes: Sequence[Write]
    ) -> SpaceView:
        kept = self._policies.get(space)
        view = space_view.load_view(connection, self._files.outbox, space, writes)
        standing = view.standing
        key = (self._files.generation, standing.cursor.epoch, standing.policies_revision)
        if kept is None or kept[0] != key:
            kept = (key, space_view.load_policies(connection, space))
            self._policies[space] = kept
        view.policies = kept[1]
        return view

    def _scope(self, space: str) -> Scope | None:
        return None if self._scopes is None else self._scopes[space]

    def _taken(self, judge: Judge, write: Write, room: int, taken: _Taken) -> Receipt:
        fingerprint = b""
        if write.commit_id is not None:
            fingerprint = write.fingerprint()
            repeated = self._repeated(judge, write, fingerprint, taken)
            if repeated is not None:
                return repeated
        if room < 0:
            raise Refusal("OUTBOX_FULL")
        commit_id = write.commit_id or self._files.new_id()
        level, claimed = judge.level(write), self._clock.stamp(self._unix_ms())
        make = strong_drafts.draft if level is Level.STRONG else Judge.judge
        draft = make(judge, write, commit_id, claimed)
        if write.commit_id is not None:
            chosen = ChosenId(write.space, commit_id, draft.commit.seq, fingerprint)
            taken.chosen.append(chosen)
        taken.drafts.append(draft)
        return replace(self._receipt(judge, write, draft), level=level)

    def _repeated(
        self, judge: Judge, write: Write, fingerprint: bytes, taken: _Taken
    ) -> Receipt | None:
        """The answer to a retry, None if the commit id is new."""
        assert write.commit_id is not None
        outbox = self._files.outbox
        found = outbox.find_id(judge.outbox_connection, write.space, write.commit_id)
        for one in taken.chosen:
            if (one.space, one.commit_id) == (write.space, write.commit_id):
                found = (outbox.origin.ordinal, one.seq, one.fingerprint)
        if found is None:
            return None
        ordinal, seq, first = found
        if first != fingerprint:
            raise Refusal("COMMIT_ID_REUSED", f"commit id {write.commit_id.hex()}")
        op_id = OpId(outbox.id_of(ordinal), seq, write.commit_id)
        cursor = judge.view.standing.cursor
        seen = ((op_id.origin, seq),)
        return Receipt(
            op_id, Position(cursor.epoch, write.space, cursor.revision),
            write.context or Context(cursor.epoch, cursor.revision, seen), repeated=True,
        )  # fmt: skip

    def _receipt(self, judge: Judge, write: Write, draft: Draft) -> Receipt:
        origin, seq = self._files.outbox.origin.id, draft.commit.seq
        cursor, basis = judge.view.standing.cursor, draft.basis
        context = Context(basis.epoch, basis.base, ((origin, seq), *basis.others))
        if write.context is not None and basis.seen < seq - 1:
            # Between what it had seen and its own commit there are others: it has not seen those.
            context = write.context
        op_id = OpId(origin, seq, draft.commit.id)
        return Receipt(op_id, Position(cursor.epoch, write.space, cursor.revision), context)


class _snapshot:  # noqa: N801 - reads as what it is where it is used
    """A reading transaction on the view, whose failures are told from the outbox's."""

    def __init__(self, connection: sqlite3.Connection, files: EdgeFiles) -> None:
        self._connection, self._path = connection, files.replica_path

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if error is not None and isinstance(typed(error, self._path), Corrupt):
            raise ViewUnreadable(str(error)) from error


def _extend(connection: sqlite3.Connection, files: EdgeFiles, taken: _Taken) -> None:
    """Puts a group on top of the view, within one transaction."""
    ordinal = files.outbox.origin.ordinal
    pieces: dict[str, list[Batch]] = {}
    for batch in taken.batches:
        pieces.setdefault(batch.space, []).append(batch)
    for space, batches in pieces.items():
        view = taken.views[space]
        prepared = Prepared(view.standing.cursor, view.standing.seen, view.touched)
        emptied = [one.seq for one in view.emptied]
        for batch in batches:
            alone = prepared if len(batches) == 1 else None
            overlay.extend(connection, ordinal, batch, emptied, alone)
    view_written()


def _batches(origin: bytes, drafts: Sequence[Draft]) -> list[Batch]:
    """The drafts as batches: per space in order, bases of one epoch each."""
    runs: dict[str, list[tuple[int, list[Draft]]]] = {}
    for draft in drafts:
        mine = runs.setdefault(draft.space, [])
        if not mine or mine[-1][0] != draft.basis.epoch:
            mine.append((draft.basis.epoch, []))
        mine[-1][1].append(draft)
    return [
        batch_of(space, origin, epoch, [draft.commit for draft in run])
        for space, mine in runs.items()
        for epoch, run in mine
    ]


def _fail(waiting: _Waiting, error: BaseException) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _unseen(answer: Receipt | Refusal) -> Receipt | Refusal:
    if isinstance(answer, Refusal) or answer.repeated:
        return answer
    return replace(answer, applied_locally=False)
