"""Real `cloud-hub` and `edge-agent` processes, for tests that kill, stop or count them; and one
edge in the test's own process, for tests that only need a door.

A process says on its standard output when it answers, so nothing here polls or sleeps. It can be
started again on the same files and at the same address, as a machine would. Its log goes to a file;
what goes wrong is told with the end of that.

    with HubProcess(tmp_path / "hub") as hub, EdgeProcess(hub.address, tmp_path / "a") as edge:
        async with edge.client() as client:
            await client.put("default/things/1", {"x": 1})
        edge.kill()
        edge.start()

Invariant: no process outlives its `with` block, whatever the test did to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from holdfast import AsyncClient

ACTOR = ("tester", "human")
READY_SECONDS = 30.0
"""A daemon answers within one; machines that run tests are busy with others."""

END_SECONDS = 20.0
"""Draining takes 10 at most."""

LOG_CHARS = 3_000


class DaemonFailed(AssertionError):
    """A daemon that did not start, or did not end; with the end of its log."""


class DaemonProcess:
    """One daemon as a process. `environment` is added to that of the test."""

    def __init__(
        self, module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.log = log
        self.environment = dict(environment)
        self._command = [sys.executable, "-m", module, "run", "--json", *arguments]
        self._process: subprocess.Popen[str] | None = None

    # -- life ------------------------------------------------------------------

    def start(self) -> Self:
        """Starts it, and returns when it answers. Raises DaemonFailed."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Starts it without waiting."""
        assert not self.running, "it runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self.environment},
            )

    def wait_ready(self, seconds: float = READY_SECONDS) -> dict[str, Any]:
        """Returns what it says of itself when it answers. Raises DaemonFailed."""
        process = self.process
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if readable else ""
        if not line:
            if readable:
                process.wait(END_SECONDS)
            self.kill()
            raise DaemonFailed(f"{self._command[2]} did not start:\n{self.log_end()}")
        ready: dict[str, Any] = json.loads(line)
        assert ready["event"] == "ready", ready
        return ready

    def kill(self) -> None:
        """Ends it as loss of power would (SIGKILL). Does nothing if it has ended."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ends it in good order (SIGTERM), and returns its exit code. Raises DaemonFailed."""
        return self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT wakes it."""
        self.process.send_signal(number)

    def wait(self, seconds: float = END_SECONDS) -> int:
        """Waits until it ends by itself (a failpoint's crash), and returns its exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise DaemonFailed(f"{self._command[2]} does not end:\n{self.log_end()}") from None
        self._forget()
        return code

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it was not started, or has been ended"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log_end(self) -> str:
        """The newest lines of its log."""
        return self.log.read_text()[-LOG_CHARS:] if self.log.exists() else ""

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def _forget(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._process = None

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self.running:
            # One that a test has frozen takes no other signal.
            self._process.send_signal(signal.SIGCONT)
        self.kill()


class HubProcess(DaemonProcess):
    """A hub on SQLite in `data`, or on a PostgreSQL database; the same port at every start."""

    def __init__(
        self, data: Path, *, database: str = "", arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.data = data
        where = ["--database", database] if database else ["--data", str(data)]
        self._arguments = ["--insecure", *where, *arguments]
        self.address = ""
        log = data.with_name(data.name + ".log")
        super().__init__("cloud_hub.cli", (), log, environment or {})

    def launch(self) -> None:
        head = self._command[:5]
        self._command = [*head, "--listen", self.address or "127.0.0.1:0", *self._arguments]
        super().launch()

    def wait_ready(self, seconds: float = READY_SECONDS) -> dict[str, Any]:
        ready = super().wait_ready(seconds)
        self.address = ready["address"]
        return ready

    def client(self, actor: tuple[str, str] = ACTOR, **options: Any) -> AsyncClient:
        """A client at the hub's own door."""
        return AsyncClient(self.address, actor, **options)


class EdgeProcess(DaemonProcess):
    """An edge of the hub at `hub`, its files in `data`, with one socket.

    The socket lies in a directory of its own with a short name: its path may have 107 bytes, and
    those of pytest's directories have more.
    """

    def __init__(
        self, hub: str, data: Path, *, scopes: Sequence[str] = (), name: str = "",
        arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.data = data
        self._directory = tempfile.TemporaryDirectory(prefix="hf-")
        self.socket = Path(self._directory.name) / "agent.sock"
        given = ["--hub", hub, "--data", str(data), "--socket", str(self.socket)]
        given += ["--name", name or data.name]
        given += [word for scope in scopes for word in ("--scope", scope)]
        log = data.with_name(data.name + ".log")
        super().__init__("edge_agent.cli", [*given, *arguments], log, environment or {})

    def client(self, actor: tuple[str, str] = ACTOR, **options: Any) -> AsyncClient:
        """A client at the edge's socket."""
        return AsyncClient(f"unix:{self.socket}", actor, **options)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._directory.cleanup()


def failpoints(rule: str) -> dict[str, str]:
    """The environment that arms failpoints: `failpoints("edge.push.after=crash@3")`."""
    return {"HOLDFAST_TEST": "1", "HOLDFAST_FAILPOINTS": rule}


def eventually(holds: Any, seconds: float = READY_SECONDS) -> Any:
    """Waits until a function returns something true, and returns that."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, f"{holds} did not come true"
        time.sleep(0.02)
    return found


@contextlib.asynccontextmanager
async def edge(*, hub: str, data: Path, name: str = "edge") -> AsyncIterator[Path]:
    """An edge in this process, with its uplink; gives its socket."""
    from edge_agent.daemon import EdgeSettings, started
    from edge_agent.uplink import insecure

    stop = asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="hf-") as directory:
        socket = Path(directory) / "agent.sock"
        async with started(EdgeSettings(data, insecure(hub), [socket], name)) as agent:
            running = asyncio.create_task(agent.run(stop))
            try:
                yield socket
            finally:
                stop.set()
                await running
