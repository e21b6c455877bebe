"""A process: tasks that live and die together.

A crash is an exception that no handler of production code catches, thrown where the process is, or
the end of all its tasks between two steps. What handlers and `finally` blocks do afterwards reaches
nobody: the files that the next process opens were copied at the instant of the crash, and the
network listens to the living only.

Invariant: after `die` nothing of the process has an effect outside of it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Crashed(BaseException):
    """The process is gone, here and now."""


class Process:
    """One incarnation of a daemon."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self.loop, self.name = loop, name
        self.alive = True
        self.tasks: set[asyncio.Task[Any]] = set()
        self.context = contextvars.copy_context()
        self.context.run(CURRENT.set, self)
        self.at_death: list[Callable[[], None]] = []
        self.died = loop.create_future()

    def spawn(self, work: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        """A task of this process."""
        return self.loop.create_task(work, name=name or self.name, context=self.context.copy())

    def launch(self, work: Coroutine[Any, Any, object], name: str = "") -> None:
        """A task that nobody waits for."""
        _ = self.spawn(work, name)

    def later(self, delay_s: float, callback: Callable[..., object], *args: object) -> None:
        """Calls back within this process, if it is still there."""

        def call() -> None:
            if self.alive:
                callback(*args)

        self.loop.call_later(delay_s, call, context=self.context)

    def die(self) -> None:
        """Ends it. What it holds is closed once the stack that is running has unwound."""
        if not self.alive:
            return
        self.alive = False
        for task in list(self.tasks):
            task.cancel()
        for callback in self.at_death:
            callback()
        if not self.died.done():
            self.died.set_result(None)


CURRENT: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
"""Whose code is running."""


KEPT: set[asyncio.Task[Any]] = set()


def make_task(
    loop: asyncio.AbstractEventLoop,
    work: Any,
    context: contextvars.Context | None = None,
    **_: Any,
) -> asyncio.Task[Any]:
    """A task factory that gives each task to its process."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    KEPT.add(task)  # the loop itself holds tasks weakly
    task.add_done_callback(KEPT.discard)
    process = (context or contextvars.copy_context()).get(CURRENT)
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
        if not process.alive:
            task.cancel()
    return task
