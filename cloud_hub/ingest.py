"""The only writer of records and of the log.

Submissions wait per space; one worker per space takes all that wait, up to a
limit and without a timer, and has them decided in one transaction. Alone, a
commit goes at once; under load the groups grow with the backlog.

Order: the transaction is durable, then its submitters are answered, then
readers are told. A failure of the database answers all of the group with it;
nothing of the group is stored then, and edges send again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from cloud_hub.fanout import Fanout, Head
from cloud_hub.forks import Sign
from cloud_hub.meter import Meter
from cloud_hub.storage.driver import StorageError, StorageUnavailable
from cloud_hub.submissions import Answer, Submission, Waiting
from cloud_hub.transaction import Bases, Contradicted, DecidedGroup, Transactor
from holdfast.host import failpoints
from holdfast.host.door import Refusal
from sync import messages as m

GROUP_COMMITS = 5_000
"""Commits of one transaction: about 50 ms, which bounds how long a later one waits."""

QUEUE_COMMITS = 200_000
"""Commits that may wait per space. Streams are held by their credit long before; this
holds back clients of the hub's own door."""

BEFORE_COMMIT = failpoints.declare("hub.commit.before")
AFTER_COMMIT = failpoints.declare("hub.commit.after")
AFTER_ANSWER = failpoints.declare("hub.answer.after")
AFTER_FANOUT = failpoints.declare("hub.fanout.after")

_log = logging.getLogger(__name__)


OnDecided = Callable[[str, int, Bases], None]
"""Told, before readers are, of a group: its space, its first revision, its records before it."""


OnGap = Callable[[str], None]
"""Told that a group was decided on a head that this process has not told its readers of."""

OnPublished = Callable[[str, Head], None]
"""Told, after all others, that a space has a newer head."""


OnContradiction = Callable[[Sign], Awaitable[None]]
"""Stops a space whose history is not the one that was told before."""


async def _never(_sign: Sign) -> None:
    return


def _nobody(_space: str, _revision: int, _before: Bases) -> None:
    return


@dataclass(slots=True)
class _Queue:
    """What waits in one space, and who works on it. `weight` counts commits."""

    waiting: deque[Waiting] = field(default_factory=deque)
    deciding: list[Waiting] = field(default_factory=list)
    weight: int = 0
    worker: asyncio.Task[None] | None = None

    def put(self, waiting: Waiting) -> None:
        self.waiting.append(waiting)
        self.weight += waiting.submission.weight

    def take(self) -> list[Waiting]:
        """All that waits, up to the size of a group; one in any case."""
        group: list[Waiting] = []
        weight = 0
        while self.waiting:
            weight += self.waiting[0].submission.weight
            if group and weight > GROUP_COMMITS:
                break
            group.append(self.waiting.popleft())
        self.weight -= sum(taken.submission.weight for taken in group)
        self.deciding = group
        return group

    @property
    def since_s(self) -> float | None:
        """When the oldest that is not decided came."""
        oldest = self.deciding or self.waiting
        return oldest[0].since_s if oldest else None


class Ingest:
    """Groups what is submitted and has it decided."""

    def __init__(
        self, transactor: Transactor, fanout: Fanout, on_decided: OnDecided = _nobody,
        on_gap: OnGap | None = None, meter: Meter | None = None,
    ) -> None:  # fmt: skip
        self._transactor, self._fanout, self._on_decided = transactor, fanout, on_decided
        self._on_gap, self._meter = on_gap, meter or Meter()
        self._queues: dict[str, _Queue] = {}
        self._closing = False
        self.commits = 0
        self.on_published: OnPublished = lambda _space, _head: None
        self.on_contradiction: OnContradiction = _never

    async def submit(self, submission: Submission) -> Answer:
        """Has it decided. Raises Refusal, StorageError; a request is then not stored."""
        return await self.enqueue(submission)

    def enqueue(self, submission: Submission) -> asyncio.Future[Answer]:
        """Takes a place in the order of its space; the future has the answer."""
        waiting = Waiting(submission)
        space = waiting.space
        if self._closing:
            waiting.answer.set_exception(Refusal("SHUTTING_DOWN"))
            return waiting.answer
        queue = self._queues.get(space)
        if queue is None:
            queue = self._queues[space] = _Queue()
            queue.worker = asyncio.create_task(self._work(space, queue), name=f"ingest-{space}")
        if queue.weight > QUEUE_COMMITS:
            waiting.answer.set_exception(Refusal("TOO_BUSY"))
        else:
            queue.put(waiting)
        return waiting.answer

    @property
    def waiting_commits(self) -> int:
        """Commits that wait to be decided, in all spaces."""
        return sum(queue.weight for queue in self._queues.values())

    @property
    def longest_queue(self) -> int:
        """Commits that wait in the space with the most."""
        return max((queue.weight for queue in self._queues.values()), default=0)

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest submission that is not decided has waited, in any space."""
        since = [s for queue in self._queues.values() if (s := queue.since_s) is not None]
        return asyncio.get_running_loop().time() - min(since) if since else 0.0

    async def close(self) -> None:
        """Takes nothing new and waits for what has been taken."""
        self._closing = True
        workers = [queue.worker for queue in self._queues.values() if queue.worker]
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, space: str, queue: _Queue) -> None:
        """Until nothing waits."""
        try:
            while group := queue.take():
                await self._decide(space, group)
        finally:
            del self._queues[space]

    async def _decide(self, space: str, group: Sequence[Waiting]) -> None:
        began_s = perf_counter()
        try:
            BEFORE_COMMIT()
            decided = await self._transactor.decide(space, [w.submission for w in group])
            AFTER_COMMIT()
        except Exception as error:  # noqa: BLE001 - every submitter is told, whatever it is
            _log.error("a group of %d on %s failed", len(group), space, exc_info=error)
            reason = str(getattr(error, "reason", "INTERNAL"))
            self._meter.group_failed(reason, perf_counter() - began_s)
            told = error
            if getattr(error, "reason", "") == "SPACE_STOPPED":
                told = await self._stopped(space, error)
            if isinstance(error, StorageUnavailable) and error.outcome_unknown:
                told = Refusal("OUTCOME_UNKNOWN", "the database was lost while it committed")
            for waiting in group:
                if not waiting.answer.done():
                    waiting.answer.set_exception(told)
            return
        self._meter.group_decided(decided.commits, perf_counter() - began_s)
        self._answer(group, decided)
        AFTER_ANSWER()
        if decided.rows:
            self._on_decided(space, decided.rows[0].first_revision, decided.before)
        self._publish(space, decided)
        AFTER_FANOUT()
        self.commits += decided.commits

    async def _stopped(self, space: str, error: Exception) -> Exception:
        """What the submitters are told of a space in which nothing may be decided."""
        if isinstance(error, Contradicted):
            try:
                await self.on_contradiction(error.sign)
            except StorageError as failed:
                return failed
            error = Refusal("SPACE_STOPPED", str(error))
        if self._on_gap is not None:
            self._on_gap(space)
        return error

    def _publish(self, space: str, decided: DecidedGroup) -> None:
        if self._on_gap is not None and not self._fanout.continues(space, *decided.follows):
            self._on_gap(space)  # another process has decided in between: the log is read first
        else:
            self._fanout.publish(space, decided.rows, decided.head)
        if decided.rows:
            self.on_published(space, decided.head)

    def _answer(self, group: Sequence[Waiting], decided: DecidedGroup) -> None:
        for waiting, answer in zip(group, decided.answers, strict=True):
            if isinstance(answer, m.PushRefused):
                self._meter.refused(answer.reason)
            if waiting.answer.done():
                continue
            if isinstance(answer, Refusal):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
