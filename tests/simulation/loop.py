"""An event loop whose time jumps to the next timer when nothing is ready.

No thread, no file descriptor, no clock of the machine: what happens depends on nothing but what was
scheduled before it.

Invariant: time never falls, and passes only while nothing is ready to run.
"""

from __future__ import annotations

import asyncio
from typing import Any

RESOLUTION_S = 1e-6
"""Timers nearer to each other than this run in one turn."""


class NothingToDo(Exception):
    """Everybody waits, and nothing is scheduled that could wake anybody."""


TURNS_PER_S = 500_000
"""More than any sound run takes within one of its seconds."""


class OutOfTurns(Exception):
    """More turns without time passing than in any sound run: something spins."""


class _Jump:
    """Stands where a selector would wait: waiting is adding to the time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise NothingToDo
        self._loop.passed(timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Begins at second zero."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._turns_left, self._second = TURNS_PER_S, 0
        self._clock_resolution = RESOLUTION_S
        self._selector = _Jump(self)

    def time(self) -> float:
        return self._now

    def passed(self, seconds: float) -> None:
        """One turn is over, and so much time passes before the next."""
        self._turns_left -= 1
        if self._turns_left < 0:
            raise OutOfTurns
        if seconds > 0:
            self._now += seconds
            if int(self._now) != self._second:
                self._turns_left, self._second = TURNS_PER_S, int(self._now)

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Nobody is in another thread."""
