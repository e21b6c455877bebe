"""`edge-agent doctor`: looks at what usually is the matter, and says what to do about each.

It only looks: nothing is written, neither at the edge nor at the hub. A check that depends on one
that failed is left out, so the first line that is not ok is where to begin.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.host.commands import ExitCode, epilog, output_option
from holdfast.host.output import Output
from holdfast.shell import printing
from holdfast.shell.doors import PROBE_SECONDS, Door

if TYPE_CHECKING:
    from holdfast.client import Client

OUTBOX_SHARE = 0.8
"""Of its limit: beyond it there may be little time left before writes are refused."""

LEAST_FREE_BYTES = 1 << 30
"""What the outbox may need by default."""

WAL_FIXED = ((3, 51, 3), (3, 53, 0))
"""SQLite versions without the fault that two connections which write to one file can damage it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `fix` is empty if it is ok."""

    name: str
    found: str
    fix: str = ""

    @property
    def row(self) -> tuple[printing.Document, tuple[str, ...]]:
        ok = not self.fix
        document = {"check": self.name, "ok": ok, "found": self.found, "fix": self.fix or None}
        return document, (self.name, "ok" if ok else "NOT OK", self.found, self.fix)


def command(door: Door) -> click.Command:
    """The command."""

    @click.command("doctor", epilog=epilog("edge-agent doctor", "edge-agent doctor --data DIR"))
    @click.option(door.option, "address", metavar=door.metavar, help=door.help)
    @click.option("--data", type=click.Path(path_type=Path), help="Look at this directory too.")
    @output_option
    def doctor(address: str | None, data: Path | None, output: Output) -> int:
        """Look for what usually is the matter, each with a fix. Ends with code 1 if there is
        anything. JSON: one object a line."""
        checks = [sqlite(), *(directory(data) if data else ()), *_running(door, address)]
        printing.show(output, ("check", "state", "found", "fix"), (one.row for one in checks))
        return ExitCode.REFUSED if any(one.fix for one in checks) else ExitCode.OK

    return doctor


def sqlite() -> Check:
    """The SQLite library that this Python has."""
    import sqlite3

    version = sqlite3.sqlite_version_info
    fixed = version >= WAL_FIXED[1] or WAL_FIXED[0] <= version < (3, 52, 0)
    known = "" if fixed else ", with a fault in WAL that this program avoids by one writer a file"
    return Check("sqlite", f"{sqlite3.sqlite_version}{known}")


def directory(path: Path) -> Iterator[Check]:
    """A data directory: is it there, this user's, private, and is there room?"""
    if not path.is_dir():
        yield Check("directory", f"{path} is no directory", "start the agent once, or correct it")
        return
    entry = path.stat()
    if entry.st_uid != os.geteuid() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        fix = f"run as its owner, or: chown -R {os.geteuid()} {path}"
        yield Check("directory", f"{path} belongs to user {entry.st_uid}", fix)
    elif entry.st_mode & 0o077:
        yield Check("directory", f"{path} can be entered by others", f"chmod 700 {path}")
    else:
        yield Check("directory", f"{path}, private")
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    fix = "free space, or lower the limit: --outbox-limit" if free < LEAST_FREE_BYTES else ""
    yield Check("disk", f"{printing.size(free)} free", fix)


def _running(door: Door, address: str | None) -> Iterator[Check]:
    from holdfast.errors import HoldfastError

    try:
        with door.client(address) as client:
            yield Check("socket", client.address)
            yield from _status(client)
    except HoldfastError as error:
        yield Check("socket", error.message, error.remedy or "see the agent's log")


def _status(client: Client) -> Iterator[Check]:
    from holdfast.shell import asking
    from holdfast.v1 import edge_service_pb2 as pb

    answer = asking.ask(client, "EdgeService.GetEdgeStatus", pb.GetEdgeStatusRequest())
    yield from judged(asking.edge_status(answer), _reachable)


def judged(status: printing.Document, reach: Any) -> Iterator[Check]:
    """What an edge's status gives cause for. `reach` connects to an address, or raises OSError."""
    hub = status["hub"]
    try:
        reach(hub)
        yield Check("hub", f"{hub} takes connections")
    except OSError as error:
        fix = "start the hub there, or correct --hub; meanwhile writes wait in the outbox"
        yield Check("hub", f"{hub}: {error.strerror or error}", fix)
    link, reason = status["link"], status["link_reason"]
    fix = "edge-agent resume" if link == "paused" else "see its log; the hub's may say more"
    yield Check("link", f"{link} {reason or ''}".strip(), "" if status["connected"] else fix)
    alarms = ", ".join(status["alarms"])
    yield Check("alarms", alarms or "none", "docs/operations.md, Alarms" if alarms else "")
    used, limit = status["outbox_bytes"], status["outbox_limit_bytes"]
    full = used > limit * OUTBOX_SHARE
    fix = "connect the edge to its hub, or raise --outbox-limit" if full else ""
    yield Check("outbox", f"{printing.size(used)} of {printing.size(limit)}", fix)


def _reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
