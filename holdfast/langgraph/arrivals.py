"""Writes that are earlier than their checkpoint.

LangGraph stores a checkpoint in the background and lets tasks of the next step begin; what one of
them has written may come before its checkpoint has. Such writes wait for the put, so that nothing
is ever stored after a checkpoint that is not there, also if the process ends in between.

Invariant: whoever waits is told once, by the first put of its checkpoint that ends.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import Future

from holdfast.client.checkpoint_records import CheckpointName


class Arrivals:
    """Puts of one saver, in any thread or event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[CheckpointName, list[Future[bool]]] = defaultdict(list)

    def expect(self, name: CheckpointName) -> Future[bool]:
        """Done when a put of this checkpoint has ended: whether it is stored. Look again after
        asking for this, and before waiting: it may have ended in between."""
        future: Future[bool] = Future()
        with self._lock:
            self._waiting[name].append(future)
        return future

    def ended(self, name: CheckpointName, *, stored: bool) -> None:
        """A put has ended."""
        with self._lock:
            waiting = self._waiting.pop(name, [])
        for future in waiting:
            if not future.done():
                future.set_result(stored)

    def forget(self, name: CheckpointName, future: Future[bool]) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            left = [one for one in self._waiting.pop(name, []) if one is not future]
            if left:
                self._waiting[name] = left
