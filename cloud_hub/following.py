"""What other hub processes on the same database decide, told to the readers of this one.

A process learns of a newer head by a notification, or by looking at all heads now and then, which
is the truth: a notification may be lost. It then reads the log from where its own readers are, and
tells them in order. Nothing is told that was not read: a hint only says where to look.

What this process knew is checked against the log: the revision that it knew must still have the
token that it knew. If not, the database was put back behind its back, and that is a fork.

Invariant: readers are told rows in the order of their revisions, without a gap.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from cloud_hub import change_log, digests, forks, heads, policies
from cloud_hub.change_log import LogRow
from cloud_hub.fanout import Fanout, Head
from cloud_hub.forks import Sign
from cloud_hub.news import HeadMoved
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.succession import Succession
from cloud_hub.transaction import RANKS
from sync.messages import CollectionDigest

POLL_SECONDS = 0.25
"""How soon a reader at one process sees what was decided at another, if nothing is notified."""

LISTENING_POLL_SECONDS = 1.0
"""The same while notifications come: looking is for those that were lost."""

HEADS_PAGE = 1_000
PAGE_BYTES, PAGE_COMMITS = 4 << 20, 20_000
"""Of the log, read at once for readers at the head. Who is further behind reads by himself."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Tail:
    """A space as it is: its head, and the rows after what was known, if those are few. Or why it
    is stopped, or should be."""

    head: Head | None = None
    rows: Sequence[LogRow] = ()
    stopped: str = ""
    sign: Sign | None = None


OnEpoch = Callable[[str, Head], None]


class Follower:
    """Follows all spaces of one database. `on_epoch` is told of a space that goes on in another
    epoch than the one known here, before its readers are."""

    def __init__(
        self, driver: Driver, fanout: Fanout, succession: Succession, on_epoch: OnEpoch
    ) -> None:
        self._driver, self._fanout, self._on_epoch = driver, fanout, on_epoch
        self._succession = succession
        self._wanted: dict[str, None] = {}
        self._all = False
        self._wake = asyncio.Event()

    # -- hints ---------------------------------------------------------------

    def hear(self, moved: HeadMoved) -> None:
        """Another process says that a space has moved."""
        known = self._fanout.head(moved.space)
        if known is None or (moved.epoch, moved.revision) > (known.epoch, known.revision):
            self.look(moved.space)

    def look(self, space: str) -> None:
        """A space is not as this process thought."""
        self._wanted[space] = None
        self._wake.set()

    def look_everywhere(self) -> None:
        """Anything may have been missed."""
        self._all = True
        self._wake.set()

    # -- following -----------------------------------------------------------

    async def run(self, listening: Callable[[], bool] = lambda: False) -> None:
        """Until cancelled. `listening` says whether notifications come."""
        clock = asyncio.get_running_loop().time
        looked_s = clock()
        while True:
            poll_s = LISTENING_POLL_SECONDS if listening() else POLL_SECONDS
            left_s = looked_s + poll_s - clock()
            due = left_s <= 0
            if not due:
                try:
                    async with asyncio.timeout(left_s):
                        await self._wake.wait()
                except TimeoutError:
                    due = True  # said by the time-out: sums of times may never quite get there
            # However many hints come, everything is looked at in time: one may have been lost.
            everywhere = self._all or due
            self._wake.clear()
            self._all = False
            wanted, self._wanted = self._wanted, {}
            if everywhere:
                looked_s = clock()
            await self._patiently(self.everything() if everywhere else self._each(wanted))

    async def _patiently(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the database may be away for a while
            _log.warning("looking for other processes' commits failed", exc_info=error)

    async def everything(self) -> None:
        """Looks at all heads. Raises StorageError."""
        after = ""
        while True:
            page = await self._driver.read(lambda tx, a=after: heads.page(tx, a, HEADS_PAGE))  # type: ignore[misc]
            await self._each([head.space for head in page if self._is_news(head)])
            if len(page) < HEADS_PAGE:
                return
            after = page[-1].space

    def _is_news(self, head: heads.Head) -> bool:
        known = self._fanout.head(head.space)
        if head.stopped or head.space in self._succession.stopped:
            return True
        return known is None or (head.epoch, head.revision, head.token) != (
            known.epoch, known.revision, known.token
        )  # fmt: skip

    async def _each(self, spaces: Iterable[str]) -> None:
        for space in spaces:
            await self.catch_up(space)

    async def catch_up(self, space: str) -> None:
        """Tells readers what was decided in a space since they were told. Raises StorageError."""
        known = self._fanout.head(space)
        tail = await self._driver.read(lambda tx: _tail(tx, space, known))
        if tail.sign is not None:
            await self._succession.stop(tail.sign)
            tail = _Tail(stopped="fork")
        if tail.stopped:
            self._succession.noticed(space, tail.stopped)
            return
        self._succession.goes_on(space)
        if tail.head is None:
            return
        if known is not None and tail.head.epoch != known.epoch:
            self._on_epoch(space, tail.head)
        self._fanout.publish(space, tail.rows, tail.head)


async def _tail(tx: Transaction, space: str, known: Head | None) -> _Tail:
    """Everything of one moment."""
    head = await heads.read(tx, space)
    if head is None:
        return _Tail()
    if head.stopped:
        return _Tail(stopped=head.stopped)
    rows: list[LogRow] = []
    if known is not None:
        sign = await forks.contradiction(
            tx, head, "a hub process", known.epoch, known.revision, known.token
        )
        if sign is not None:
            return _Tail(sign=sign)
    if known is not None and known.epoch == head.epoch and known.revision < head.revision:
        rows = await change_log.after(tx, space, known.revision, PAGE_BYTES, PAGE_COMMITS)
        if rows and rows[-1].last_revision != head.revision:
            rows = []
    return _Tail(await published(tx, head), rows)


async def published(tx: Transaction, head: heads.Head) -> Head:
    """A head as readers are told of it, with the digests of that moment."""
    tallies = await digests.of_space(tx, head.space)
    in_force = await policies.load(tx, head.space)
    return Head(
        head.epoch,
        head.revision,
        head.token,
        tuple(CollectionDigest(n, t.digest, t.records) for n, t in sorted(tallies.items())),
        RANKS[in_force.space.priority],
    )
