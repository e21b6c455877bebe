"""A daemon's life: ready, drained at the first signal, gone at the second."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.host.errors import HostError
from holdfast.host.serving import AT_ONCE, ONE_WISH_SECONDS, Pulse, serve


class Daemon:
    """Notes what happens to it."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        self.notes.append("drained")


async def _answers(_: Daemon) -> None:
    """A database at work."""


def _pulse() -> Pulse[Daemon]:
    return Pulse(lambda daemon: daemon.notes.append("ready"), lambda _: "2 pending", _answers)


def test_it_starts_serves_and_drains() -> None:
    daemon = Daemon()

    @contextlib.asynccontextmanager
    async def opening() -> AsyncIterator[Daemon]:
        yield daemon
        daemon.notes.append("closed")

    serve(opening(), _pulse(), {})
    assert daemon.notes == ["ready", "drained", "closed"]


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    daemon, path = Daemon(), f"/tmp/hf-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        try:
            serve(contextlib.nullcontext(daemon), _pulse(), {"NOTIFY_SOCKET": path})
            told = [manager.recv(1_000).decode() for _ in range(2)]
        finally:
            Path(path).unlink()
    assert told == ["READY=1\nSTATUS=2 pending", "STOPPING=1\nSTATUS=draining"]


class Reloaded(Daemon):
    """Is told to reload, and then to end."""

    def __init__(self) -> None:
        super().__init__()
        self.reloaded = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await self.reloaded.wait()
        await super().run(stop)


@pytest.mark.parametrize("error", [None, HostError("no such file", "name one"), ValueError("x")])
def test_the_manager_is_told_of_a_reload_whatever_becomes_of_it(error: Exception | None) -> None:
    daemon, path = Reloaded(), f"/tmp/hf-notify-{os.getpid()}"

    async def reload(_: Daemon) -> None:
        daemon.reloaded.set()
        if error is not None:
            raise error

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        try:
            pulse = dataclasses.replace(_pulse(), reload=reload)
            serve(contextlib.nullcontext(daemon), pulse, {"NOTIFY_SOCKET": path})
            told = [manager.recv(1_000).decode().split("\n")[0] for _ in range(4)]
        finally:
            Path(path).unlink()
    assert told == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_what_keeps_it_from_starting_is_told_with_a_remedy() -> None:
    class Opening(contextlib.nullcontext[Daemon]):
        async def __aenter__(self) -> Daemon:
            raise OSError("cannot listen on 127.0.0.1:1")

    with pytest.raises(HostError, match="cannot listen") as caught:
        serve(Opening(Daemon()), _pulse(), {})
    assert "--listen" in caught.value.remedy


STUBBORN = """
import asyncio, contextlib
from holdfast.host.serving import Pulse, serve

class Stubborn:
    async def run(self, stop):
        print("ready", flush=True)
        await stop.wait()
        print("draining", flush=True)
        await asyncio.sleep(600)

async def probe(_): ...

serve(contextlib.nullcontext(Stubborn()), Pulse(lambda _: None, lambda _: "", probe), {})
"""


def test_the_second_signal_ends_it_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "draining\n"
        process.send_signal(signal.SIGINT)  # as `timeout` does: to the process, and to its group
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(ONE_WISH_SECONDS * 1.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == AT_ONCE
