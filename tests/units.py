"""A service manager for tests: runs a daemon as its unit file says, and hears what it reports.

What systemd would do to a unit's paths is done here: `/opt/holdfast/bin` is where the programs
under test are, `/etc/holdfast` lies in a directory of the test, and the state and runtime
directories are made with the unit's modes and named in the environment. Words, variables and
time-outs are those of the file.

Invariant: nothing of the tester's own environment but PATH, HOME and TMPDIR reaches the daemon.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

UNITS = Path(__file__).parents[1] / "deploy" / "systemd"
BIN = Path(sys.executable).parent
SECONDS = 60.0
"""A daemon is ready within one; machines that run tests are busy with others."""


class Unit:
    """A unit file: values by name, in the order they stand."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._values: dict[str, list[str]] = {}
        for line in path.read_text().splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def one(self, name: str) -> str:
        (value,) = self._values[name]
        return value

    @property
    def environment(self) -> dict[str, str]:
        words = [word for line in self.all("Environment") for word in shlex.split(line)]
        return dict(word.split("=", 1) for word in words)


class Service:
    """A unit that runs, until the end of the `with` block."""

    def __init__(
        self, unit: Unit, root: Path, *, settings: str = "", environment: Mapping[str, str] = {}
    ) -> None:
        self.unit, self.root = unit, root
        self.environment = dict(environment)
        self.log = root / f"{unit.name}.log"
        self.etc = root / "etc" / "holdfast"
        self._short = tempfile.TemporaryDirectory(prefix="hf-")
        self.runtime = Path(self._short.name) / "run"
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(f"{self._short.name}/notify")
        self._process: subprocess.Popen[bytes] | None = None
        self.told: list[dict[str, str]] = []
        self.set_up(settings)

    def set_up(self, settings: str) -> None:
        """The directories as systemd makes them, the example's settings, and these on top."""
        for text in self.unit.all("ConfigurationDirectory"):
            for name in text.split():
                (self.root / "etc" / name).mkdir(parents=True, exist_ok=True)
        example = (UNITS / f"{self.unit.name}.toml").read_text()
        (self.etc / f"{self.unit.name}.toml").write_text(example)
        self.drop_in(settings)

    def drop_in(self, settings: str) -> Path:
        path = self.etc / f"{self.unit.name}.d" / "50-test.toml"
        path.write_text(settings)
        return path

    def start(self) -> Self:
        words = [self._placed(word) for word in shlex.split(self.unit.one("ExecStart"))]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                words, stdout=log, stderr=log, env=self._variables(), umask=self._umask
            )
        return self

    def wait_for(self, what: str, holds: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """The next thing that the daemon tells of which this holds."""
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            heard = self.hear(0.5)
            if heard is not None and holds(heard):
                return heard
            if heard is None and self.process.poll() is not None:
                break
        raise AssertionError(f"{self.unit.name}: no {what}; told {self.told}:\n{self.log_text}")

    def hear(self, seconds: float) -> dict[str, str] | None:
        """What it tells within so many seconds."""
        readable, _, _ = select.select([self._manager], [], [], seconds)
        if not readable:
            return None
        lines = self._manager.recv(4_096).decode().split("\n")
        told = dict(line.split("=", 1) for line in lines)
        self.told.append(told)
        return told

    def ready(self) -> dict[str, str]:
        return self.wait_for("READY", lambda told: told.get("READY") == "1")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def reload(self) -> None:
        """What the unit's ExecReload does."""
        program, *words = shlex.split(self.unit.one("ExecReload"))
        subprocess.run([program, *(self._main(word) for word in words)], check=True)

    def ended(self) -> int:
        """Its exit code, within what the unit allows for stopping."""
        return self.process.wait(float(self.unit.one("TimeoutStopSec")))

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was not started"
        return self._process

    @property
    def log_text(self) -> str:
        return self.log.read_text()[-6_000:]

    @property
    def _umask(self) -> int:
        return int(self.unit.one("UMask"), 8)

    def _placed(self, word: str) -> str:
        word = word.replace("/opt/holdfast/bin", str(BIN))
        return word.replace("/etc/holdfast", str(self.etc))

    def _main(self, word: str) -> str:
        return str(self.process.pid) if word == "$MAINPID" else word

    def _variables(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        watchdog_us = int(float(self.unit.one("WatchdogSec")) * 1_000_000)
        given = {
            "NOTIFY_SOCKET": f"{self._short.name}/notify",
            "WATCHDOG_USEC": str(watchdog_us),
        }
        places = (("State", self.root / "lib"), ("Runtime", self.runtime))
        for kind, place in places:
            for name in self.unit.all(f"{kind}Directory"):
                path = place / name
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(int(self.unit.one(f"{kind}DirectoryMode"), 8))
                given[f"{kind.upper()}_DIRECTORY"] = str(path)
        for text in self.unit.all("EnvironmentFile"):
            assert text.startswith("-"), "a file that may be absent"
        return kept | self.unit.environment | given | self.environment

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._manager.close()
        with contextlib.suppress(OSError):
            self._short.cleanup()


def address_of(hub: Service) -> str:
    """Where a hub that is ready listens, as it said on its standard output."""
    found = re.search(r"cloud-hub listens on (\S+)", hub.log.read_text())
    assert found, hub.log_text
    return found[1]
