"""Files of simulated machines: real SQLite files, whose calls take time and whose disk fails.

A call waits in the queue of its file, as it would for the file's thread, so other coroutines run
between asking and getting, and who is cancelled meanwhile does not take the call back.

What a crash leaves is a copy of the files at that instant. Loss of power also takes what was not
synced: of a file opened NORMAL, the write-ahead log may end anywhere after the last checkpoint. A
log that has been copied back wholly is left alone: its file has all of it.

Invariant: the calls of a file run one at a time, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from holdfast.host.sqlite_errors import DatabaseClosed, DiskFull
from holdfast.host.sqlite_file import Checkpoint, OpenFile, Pragmas, Work, transact
from tests.simulation.processes import Process

T = TypeVar("T")

WAL_HEADER = 32
SALT = slice(16, 24)
NO_LIMIT = 1 << 30


@dataclass
class Disk:
    """One machine's disk. `full` refuses growth; `broken` refuses every write."""

    luck: random.Random
    slowness_s: float = 0.0
    full: bool = False
    broken: bool = False
    files: list[SimulatedFile] = field(default_factory=list)

    def fill(self) -> None:
        self.full = True
        self._limit()

    def free(self) -> None:
        self.full = self.broken = False
        self._limit()

    def _limit(self) -> None:
        for file in self.files:
            file.limit()

    def latency_s(self) -> float:
        """Mostly nothing to speak of, now and then a slow fsync."""
        if self.luck.random() < 0.02:
            return self.luck.uniform(0.0, 20 * self.slowness_s)
        return self.luck.uniform(0.0, self.slowness_s)


class SimulatedFile:
    """As `Database`, in the virtual loop."""

    def __init__(self, process: Process, disk: Disk, file: OpenFile, pragmas: Pragmas) -> None:
        self._process, self._disk, self._file = process, disk, file
        self.path, self.pragmas = Path(file.path), pragmas
        self._jobs: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._closed = False
        self._synced = self._log_place()
        process.at_death.append(self._abandon)
        disk.files.append(self)

    @classmethod
    async def open(
        cls,
        process: Process,
        disk: Disk,
        path: Path | str,
        pragmas: Pragmas | None = None,
        *,
        read_only: bool = False,
    ) -> SimulatedFile:
        used = pragmas or Pragmas()
        file = cls(process, disk, OpenFile(path, used, read_only), used)
        if not read_only:
            file.limit()
        return file

    @property
    def changes_since_checkpoint(self) -> int:
        return self._file.changes_since_checkpoint

    async def run(self, work: Work[T]) -> T:
        return await self._queued(partial(self._file.run, work))

    async def transaction(self, work: Work[T]) -> T:
        return await self._queued(partial(self._transaction, work))

    async def snapshot(self, work: Work[T]) -> T:
        return await self._queued(lambda: self._file.run(lambda c: transact(c, work, "BEGIN")))

    async def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        def call() -> Checkpoint:
            done = self._file.checkpoint(truncate)
            self._synced = self._log_place()
            return done

        return await self._queued(call)

    async def close(self) -> None:
        if self._closed:
            return
        if self._process.alive:
            await self._queued(lambda: None)
        self._abandon()

    def _transaction(self, work: Work[T]) -> T:
        if self._disk.broken:
            raise DiskFull(f"{self.path}: no space")
        return self._file.run(lambda c: transact(c, work))

    # -- the queue -----------------------------------------------------------

    async def _queued(self, call: Callable[[], T]) -> T:
        if self._closed:
            raise DatabaseClosed(f"{self.path} is closed")
        answer: asyncio.Future[T] = self._process.loop.create_future()
        self._jobs.append((call, answer))
        if len(self._jobs) == 1:
            self._process.later(self._disk.latency_s(), self._work)
        return await answer

    def _work(self) -> None:
        call, answer = self._jobs[0]
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for whoever awaits
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(value)
        self._jobs.popleft()
        if self._jobs:
            self._process.later(self._disk.latency_s(), self._work)

    def _abandon(self) -> None:
        """Closes the file once nothing of it is on the stack."""
        if not self._closed:
            self._closed = True
            self._disk.files.remove(self)
            self._process.loop.call_soon(self._close_quietly)

    def _close_quietly(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._file.close()

    # -- faults --------------------------------------------------------------

    def limit(self) -> None:
        """Lets the file grow, or not."""
        with contextlib.suppress(sqlite3.Error):
            connection = self._file.connection
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            limit = pages if self._disk.full else NO_LIMIT
            connection.execute(f"PRAGMA max_page_count = {limit}")

    def _log(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def _log_place(self) -> tuple[bytes, int]:
        """Which write-ahead log this is, and how long."""
        try:
            with self._log().open("rb") as file:
                header = file.read(WAL_HEADER)
                return header[SALT], file.seek(0, 2)
        except OSError:
            return b"", 0

    def log_after_power_loss(self, luck: random.Random) -> int | None:
        """How long the write-ahead log may be after loss of power; None if all of it is safe."""
        if self.pragmas.synchronous == "FULL":
            return None
        salt, size = self._log_place()
        first = self._synced[1] if salt == self._synced[0] else 0
        return luck.randint(first, size) if size > first else None


def image(source: Path, target: Path, disk: Disk, power_loss: random.Random | None) -> None:
    """What is found on the disk after a crash."""
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if not path.name.endswith("-shm"):
            shutil.copyfile(path, target / path.name)
    if power_loss is None:
        return
    for file in disk.files:
        size = file.log_after_power_loss(power_loss)
        log = target / (file.path.name + "-wal")
        if size is not None and file.path.parent == source and log.exists():
            with log.open("rb+") as opened:
                opened.truncate(size)
