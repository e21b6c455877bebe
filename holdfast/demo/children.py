"""The daemons of the demo, as processes.

They run in sessions of their own, so that Ctrl-C reaches only the demo, which ends them in order:
agents first, then edges, then the hub. If the demo itself is killed, the kernel tells them to end.
What each says goes to a file beside its data.

Invariant: whoever leaves `house` has no child running.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from holdfast.host.errors import HostError

READY_SECONDS = 30.0
"""A daemon answers within one second; a small machine may be busy with the other two."""

END_SECONDS = 15.0
"""Longer than a daemon drains; what is still there is killed."""

NOTICE_SECONDS = 5.0
"""How long an error waits for the news that a daemon has ended, which would explain it. The kernel
tells that at once; a busy machine may come to hear it later than the error."""

LOG_LINES = 12
EDGES = ("edge-a", "edge-b")
SPACE = "default"
HUB_ADDRESS = "hub.address"


T = TypeVar("T")


class ChildFailed(HostError):
    """A daemon of the demo did not start, or ended on its own."""

    reason = "HOST"


@dataclass(frozen=True, slots=True)
class Child:
    """One running daemon."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def failed(self, what: str) -> ChildFailed:
        """The error that says so, with the end of the log."""
        lines = deque(_lines(self.log), maxlen=LOG_LINES)
        told = "".join(f"\n    {line}" for line in lines) or " nothing"
        return ChildFailed(
            f"{self.name} {what}; the end of its log:{told}", f"read all of it: {self.log}"
        )

    async def ended(self) -> ChildFailed:
        """Returns when it ends, with an error that says so."""
        code = await self.process.wait()
        said = f"with code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        return self.failed(f"has ended {said}")


@dataclass(frozen=True, slots=True)
class House:
    """The running daemons. Paths are relative to the working directory: those of sockets may have
    107 bytes, wherever the project lies."""

    directory: Path
    hub: str
    children: tuple[Child, ...]

    def socket(self, edge: str) -> Path:
        """The socket of an edge."""
        return self.directory / edge / "agent.sock"

    async def any_ended(self) -> ChildFailed:
        """Returns when one of the daemons ends by itself."""
        waits = [asyncio.create_task(child.ended()) for child in self.children]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for each in waits:
                each.cancel()

    async def watched(self, story: Coroutine[Any, Any, T]) -> T:
        """The result of what is done with the daemons.

        Raises ChildFailed once one of them ends, also in place of what failed because of that:
        the broken connection may be seen before the end of the process.
        """
        ended = asyncio.create_task(self.any_ended())
        told = asyncio.create_task(story)
        try:
            await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
            if told.done() and told.exception() is not None:
                await asyncio.wait({ended}, timeout=NOTICE_SECONDS)
            if ended.done():
                raise ended.result()
            return told.result()
        finally:
            ended.cancel()
            told.cancel()
            await asyncio.gather(ended, told, return_exceptions=True)


@contextlib.asynccontextmanager
async def house(directory: Path) -> AsyncIterator[House]:
    """A hub at a free port and two edges of it, with their data in `directory`.

    Raises ChildFailed.
    """
    children: list[Child] = []
    address = directory / HUB_ADDRESS
    try:
        data = ["--data", str(directory / "hub"), "--name", "hub"]
        arguments = ["--listen", "127.0.0.1:0", "--insecure", *data]
        hub = await start(directory, "hub", "cloud_hub.cli", arguments, children)
        address.write_text(hub["address"] + "\n", encoding="ascii")
        for name in EDGES:
            arguments = ["--hub", hub["address"], "--data", str(directory / name), "--name", name]
            await start(directory, name, "edge_agent.cli", arguments, children)
        yield House(directory, hub["address"], tuple(children))
    finally:
        address.unlink(missing_ok=True)
        for child in reversed(children):
            await end(child)


async def start(
    directory: Path, name: str, module: str, arguments: Sequence[str], children: list[Child]
) -> dict[str, str]:
    """Starts a daemon, adds it to `children`, and returns what it says when it answers."""
    log = directory / f"{name}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "run", "--json", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={name: value for name, value in os.environ.items() if not _is_setting(name)},
            start_new_session=True,
            # Safe although threads may run: what is done between fork and exec is one system call.
            preexec_fn=_end_with_parent,
        )
    child = Child(name, process, log)
    children.append(child)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        raise child.failed(f"does not answer after {READY_SECONDS:.0f} s") from None
    if not line:
        await process.wait()
        raise child.failed("did not start")
    said: dict[str, str] = json.loads(line)
    return said


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Runs in the child before its program: has the kernel send SIGTERM when the demo is gone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_setting(name: str) -> bool:
    """What would make the demo's daemons other than the demo says."""
    return name.startswith(("EDGE_AGENT__", "CLOUD_HUB__"))


async def end(child: Child) -> None:
    """Ends a daemon: it drains, or is killed if it does not."""
    with contextlib.suppress(ProcessLookupError):
        child.process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await child.process.wait()
        except TimeoutError:
            child.process.kill()
            await child.process.wait()


def kill(children: Sequence[Child]) -> None:
    """Ends them at once."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
