"""A daemon's life as a process: it starts, says that it is ready, serves, and drains when it is
told to end.

The first SIGTERM or SIGINT drains; another one later ends the process at once, because whoever
sends it has lost patience, and everything acknowledged is durable already. The watchdog of the
service manager is answered only after the daemon's own database has, and whatever the network does:
being offline is normal. SIGHUP reads the settings anew; one that comes earlier than the daemon is
ready waits for that, and several become one.

Invariants: a daemon that has started is drained, unless a second signal came. Whatever becomes of a
reload, the manager is told that it is over, and what cannot be used leaves the old settings in
force.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from holdfast.host import loops
from holdfast.host.errors import HostError
from holdfast.host.failpoints import arm_from_environment
from holdfast.host.notify import Notifier

STATUS_SECONDS = 2.0
"""How old the line in `systemctl status` may be."""

PROBE_SECONDS = 10.0
"""A database that answers later than this is not at work; the watchdog then hears nothing."""

AT_ONCE = 130
"""Exit code after the second signal."""

ONE_WISH_SECONDS = 0.5
"""Signals so close together are one: `timeout`, and whoever signals a process and then its group,
sends two. No person presses Ctrl-C again as fast."""

_log = logging.getLogger(__name__)


class Daemon(Protocol):
    """What is served."""

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then drains."""


D = TypeVar("D", bound=Daemon)


@dataclass(frozen=True, slots=True)
class Pulse(Generic[D]):
    """How a daemon shows that it is alive: `describe` is one line of status, `probe` returns when
    those who write its database have answered. `reload` reads the settings anew, and raises
    HostError for what cannot be used."""

    announce: Callable[[D], None]
    describe: Callable[[D], str]
    probe: Callable[[D], Awaitable[object]]
    reload: Callable[[D], Awaitable[None]] | None = None


def serve(
    opening: AbstractAsyncContextManager[D], pulse: Pulse[D], env: Mapping[str, str] = os.environ
) -> None:
    """Runs a daemon in this process until it is told to end.

    Raises HostError for what keeps it from starting (an address in use, a damaged file).
    """
    for name in arm_from_environment(env):
        _log.warning("failpoint %s is armed", name)
    loops.run(_serve(opening, pulse, Notifier.from_environment(env)))


async def _serve(
    opening: AbstractAsyncContextManager[D], pulse: Pulse[D], notifier: Notifier
) -> None:
    stop = asyncio.Event()

    def end(signal_name: str) -> None:
        _log.info("stopping: %s; once more ends at once", signal_name)
        notifier.stopping("draining")
        stop.set()

    on_signals(end, lambda: os._exit(AT_ONCE))
    wish = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, wish.set)
    try:
        async with opening as daemon, _alive(daemon, pulse, notifier, wish):
            pulse.announce(daemon)
            notifier.ready(pulse.describe(daemon))
            await daemon.run(stop)
    except OSError as error:
        remedy = "see what uses it, or choose another one (--listen, --socket, --data)"
        raise HostError(str(error), remedy) from error
    _log.info("stopped")


def on_signals(first: Callable[[str], None], again: Callable[[], None]) -> None:
    """Calls `first` with the name of the first SIGTERM or SIGINT, and `again` at another one
    later. In the running loop, for as long as that runs."""
    loop = asyncio.get_running_loop()
    told_s: list[float] = []

    def told(number: int) -> None:
        if not told_s:
            told_s.append(loop.time())
            first(signal.Signals(number).name)
        elif loop.time() - told_s[0] > ONE_WISH_SECONDS:
            again()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, told, each)


@contextlib.asynccontextmanager
async def _alive(
    daemon: D, pulse: Pulse[D], notifier: Notifier, wish: asyncio.Event
) -> AsyncIterator[None]:
    every = notifier.watchdog_interval_s
    tasks = [
        asyncio.create_task(_tell(daemon, pulse, notifier)),
        asyncio.create_task(_reload_when_told(daemon, pulse, notifier, wish)),
    ]
    if every is not None:
        tasks.append(asyncio.create_task(_watchdog(daemon, pulse, notifier, every)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell(daemon: D, pulse: Pulse[D], notifier: Notifier) -> None:
    while True:
        await asyncio.sleep(STATUS_SECONDS)
        notifier.status(pulse.describe(daemon))


async def _reload_when_told(
    daemon: D, pulse: Pulse[D], notifier: Notifier, wish: asyncio.Event
) -> None:
    while True:
        await wish.wait()
        wish.clear()
        notifier.reloading()
        try:
            await _reload(daemon, pulse)
        except HostError as error:
            _log.error("the settings stay as they are: %s", error)
        except Exception as error:  # noqa: BLE001 - the daemon goes on as it was
            _log.error("the settings stay as they are", exc_info=error)
        finally:
            notifier.ready(pulse.describe(daemon))


async def _reload(daemon: D, pulse: Pulse[D]) -> None:
    if pulse.reload is None:
        _log.warning("there is nothing here that can be reloaded: restart it")
    else:
        await pulse.reload(daemon)


async def _watchdog(daemon: D, pulse: Pulse[D], notifier: Notifier, every_s: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await pulse.probe(daemon)
            notifier.watchdog()
        except Exception as error:  # noqa: BLE001 - silence is how the manager is told
            _log.warning("the database did not answer", exc_info=error)
        await asyncio.sleep(max(0.0, every_s - (loop.time() - began_s)))
