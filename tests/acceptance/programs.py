"""The installed programs, run as a person or a script runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
SECONDS = 60.0
"""A command takes a quarter of a second; a busy machine takes its time."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object that it printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON objects that it printed, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(
    program: str, *arguments: str, cwd: Path | None = None, stdin: str = "", **variables: str
) -> Done:
    """Runs an installed program to its end. Nothing of the tester's own set-up is handed on."""
    done = subprocess.run(
        [BIN / program, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        input=stdin,
        env=environment(variables),
        timeout=SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def start(
    program: str, arguments: Sequence[str], *, cwd: Path | None = None, **variables: str
) -> subprocess.Popen[str]:
    """Starts one that goes on by itself."""
    return subprocess.Popen(
        [BIN / program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(variables),
    )


def environment(variables: dict[str, str]) -> dict[str, str]:
    """The variables given, among those that every process needs."""
    ours = ("HOLDFAST", "EDGE_AGENT__", "CLOUD_HUB__")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | variables
