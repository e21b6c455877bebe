"""`doctor`: looks at what usually is the matter, and says what to do about each.

It only looks: nothing is written, neither at the edge nor at the hub. A check that depends on one
that failed is left out, so the first line that is not ok is where to begin.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.host.commands import ExitCode, epilog, output_option
from holdfast.host.errors import HostError
from holdfast.host.output import Output
from holdfast.shell import checks, printing
from holdfast.shell.checks import Check
from holdfast.shell.doors import PROBE_SECONDS, Door
from holdfast.shell.settings import Flags

if TYPE_CHECKING:
    from holdfast.client import Client
    from holdfast.tls.credentials import TlsFiles

OUTBOX_SHARE = 0.8
"""Of its limit: beyond it there may be little time left before writes are refused."""

EDGE_FILES = (
    ("outbox.db", "keep a copy of its three files, and check the disk: nothing else has them"),
    ("replica.db", "stop the agent and move its three files away: it is built anew from the hub"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon's settings say that it is to be found."""

    data: Path | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """A kind of daemon: how its settings are read, where they say that it is, what is looked at in
    its directory and elsewhere, and what a running one says."""

    door: Door
    flags: Flags
    place: Callable[[Any], Place]
    files: tuple[tuple[str, str], ...]
    running: Callable[[Client], Iterable[Check]]
    elsewhere: Callable[[Any], Iterable[Check]] = lambda _settings: ()


def command(patient: Patient) -> click.Command:
    """The command."""
    program, door = patient.door.program, patient.door

    @click.command(
        "doctor",
        epilog=epilog(
            f"{program} doctor", f"{program} doctor --config /etc/holdfast/{program}.toml"
        ),
    )
    @click.option(door.option, "address", metavar=door.metavar, help=door.help)
    @click.option("--data", type=click.Path(path_type=Path), help="Look at this directory too.")
    @click.option(
        "--config", "files", multiple=True, type=click.Path(path_type=Path),
        help="Read these settings, and look where they say; repeatable.",
    )  # fmt: skip
    @door.takes_tls
    @output_option
    def doctor(
        address: str | None, data: Path | None, files: tuple[Path, ...], tls: TlsFiles | None,
        output: Output,
    ) -> int:  # fmt: skip
        """Look for what usually is the matter, each with a fix. Ends with code 1 if there is
        anything. JSON: one object a line."""
        found = list(_all(patient, address, data, files, tls))
        printing.show(output, ("check", "state", "found", "fix"), (one.row for one in found))
        return ExitCode.REFUSED if any(one.fix for one in found) else ExitCode.OK

    return doctor


def _all(
    patient: Patient, address: str | None, data: Path | None, files: tuple[Path, ...],
    tls: TlsFiles | None,
) -> Iterator[Check]:  # fmt: skip
    place, settings = Place(), None
    if files or any(name.startswith(f"{patient.flags.prefix}__") for name in os.environ):
        try:
            loaded = patient.flags.read(files, os.environ, {"data": data})
            place, settings = patient.place(loaded.value), loaded.value
            yield Check("settings", f"{len(loaded.rows)}, in order")
        except HostError as error:
            yield Check("settings", error.message, error.remedy or "correct it")
    yield checks.sqlite()
    yield checks.clock()
    directory = data or place.data
    if directory is not None:
        yield from checks.directory(directory)
        yield from checks.integrity((directory / name, fix) for name, fix in patient.files)
    if settings is not None:
        yield from patient.elsewhere(settings)
    yield from _running(patient, address or place.address, tls)


def _running(patient: Patient, address: str | None, tls: TlsFiles | None) -> Iterator[Check]:
    from holdfast.errors import HoldfastError

    name = "socket" if patient.door.option == "--socket" else "address"
    try:
        with patient.door.client(address, tls) as client:
            yield Check(name, client.address)
            yield from patient.running(client)
    except HoldfastError as error:
        yield Check(name, error.message, error.remedy or "see the daemon's log")


# -- a running edge ----------------------------------------------------------------------------


def edge(client: Client) -> Iterator[Check]:
    """What a running edge says of itself."""
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
    yield checks.skew(status["clock_skew_ms"])
    yield alarms(status["alarms"])
    used, limit = status["outbox_bytes"], status["outbox_limit_bytes"]
    full = used > limit * OUTBOX_SHARE
    fix = "connect the edge to its hub, or raise --outbox-limit" if full else ""
    yield Check("outbox", f"{printing.size(used)} of {printing.size(limit)}", fix)


def alarms(names: Iterable[str]) -> Check:
    """Alarms that are raised."""
    raised = ", ".join(names)
    return Check("alarms", raised or "none", "docs/operations.md, Alarms" if raised else "")


def _reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()


# -- a running hub -----------------------------------------------------------------------------


def hub(client: Client) -> Iterator[Check]:
    """What a running hub says of itself and its edges."""
    from holdfast.shell import asking
    from holdfast.v1 import admin_service_pb2 as pb

    request = pb.GetHubStatusRequest()
    status = asking.hub_status(asking.ask(client, "AdminService.GetHubStatus", request))
    up = f"{status['hub']}, {status['version']}, up {status['uptime_ms'] / 1_000:.0f} s"
    yield Check("hub", f"{up}, on {status['database']}")
    yield alarms(status["alarms"])
    found = asking.pages(client, "AdminService.ListEdges", pb.ListEdgesRequest(), "edges")
    yield from judged_edges(map(asking.edge_info, found))


def judged_edges(edges: Iterable[printing.Document]) -> Iterator[Check]:
    """What the edges of a hub give cause for."""
    known = away = 0
    alarmed: list[str] = []
    for info in edges:
        known += 1
        away += not info["connected"]
        if info["alarms"] and len(alarmed) < MAX_NAMED:
            alarmed.append(f"{info['edge']} ({', '.join(info['alarms'])})")
    yield Check("edges", f"{known} known, {known - away} connected")
    fix = "docs/operations.md, Alarms; edge-agent doctor at the edge" if alarmed else ""
    yield Check("edges' alarms", ", ".join(alarmed) or "none", fix)


MAX_NAMED = 10
"""Edges with alarms that are named: `cloud-hub edges` has all."""
