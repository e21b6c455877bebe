"""Which running daemon a command talks to, and why it cannot.

Before anything is asked, the address is tried with a plain connection: what the kernel says of a
socket (absent, nobody behind it, not allowed) is known at once and tells what to do, where gRPC
would only try again until a deadline.

Invariant: a command that cannot reach its daemon fails within PROBE_SECONDS, with a remedy.
"""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from holdfast.client import Client

PROBE_SECONDS = 3.0
"""A daemon on this machine takes a connection at once, even while it is busy."""

HUB_VARIABLES = ("HOLDFAST_HUB", "HOLDFAST_ADDRESS")
HUB_FILE = Path(".run/hub.address")
"""Written by `make run`, beside the sockets of its edges."""


@dataclass(frozen=True, slots=True)
class Door:
    """One kind of daemon, as its command line knows it."""

    program: str
    option: str
    metavar: str
    help: str
    find: Callable[[str | None, Mapping[str, str]], str]
    """The gRPC target. Raises HoldfastError."""
    start: str
    """How to get one running."""

    def takes_client(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Gives a command the option for the address, and its function a `client`."""

        @click.option(self.option, "address", metavar=self.metavar, help=self.help)
        @functools.wraps(function)
        def command(*args: Any, address: str | None, **options: Any) -> Any:
            with self.client(address) as client:
                return function(*args, client=client, **options)

        return command

    def client(self, address: str | None) -> Client:
        """A client of the daemon, which was there a moment ago. Raises HoldfastError."""
        from holdfast.client import Client

        target = self.find(address, os.environ)
        self._probe(target)
        return Client(target)

    def _probe(self, target: str) -> None:
        from holdfast.errors import Unavailable

        try:
            _connect(target)
        except OSError as error:
            reached = target.removeprefix("unix:")
            raise Unavailable(
                "DOOR_UNREACHABLE",
                f"{self.program} does not answer at {reached}: {_in_words(error)}",
                remedy=_remedy(error, self, reached),
            ) from None


def _connect(target: str) -> None:
    if target.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(PROBE_SECONDS)
            channel.connect(target.removeprefix("unix:"))
        return
    host, _, port = target.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()


def _in_words(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such socket"
        case ConnectionRefusedError():
            return "nobody listens there"
        case PermissionError():
            return "this user may not open it"
        case TimeoutError():
            return f"no answer within {PROBE_SECONDS:.0f} s"
    return error.strerror or str(error)


def _remedy(error: OSError, door: Door, reached: str) -> str:
    if isinstance(error, PermissionError):
        return f"run this as the owner of the socket, or of its group: ls -l {reached}"
    return f"start it ({door.start}), or name another one: {door.option} {door.metavar}"


def _find_edge(address: str | None, environment: Mapping[str, str]) -> str:
    from holdfast.client.address import SOCKET_VARIABLE, SOCKETS, find
    from holdfast.errors import Unavailable

    given = {SOCKET_VARIABLE: environment.get(SOCKET_VARIABLE, "")}
    if address and "/" not in address and ":" not in address:
        address = f"./{address}"
    try:
        return find(address, given)
    except Unavailable:
        raise Unavailable(
            "DOOR_UNREACHABLE",
            f"no edge-agent is named: {SOCKET_VARIABLE} is not set, and there is no {SOCKETS} here",
            remedy=f"start one ({EDGE.start}), or name its socket: --socket PATH",
        ) from None


def _find_hub(address: str | None, environment: Mapping[str, str]) -> str:
    from holdfast.client.address import parse
    from holdfast.errors import Unavailable

    for given in (address, *map(environment.get, HUB_VARIABLES)):
        if given:
            return parse(given)
    if HUB_FILE.is_file():
        return parse(HUB_FILE.read_text(encoding="ascii").strip())
    raise Unavailable(
        "DOOR_UNREACHABLE",
        f"no cloud-hub is named: {HUB_VARIABLES[0]} is not set, and there is no {HUB_FILE} here",
        remedy=f"start one ({HUB.start}), or name its address: --hub HOST:PORT",
    )


EDGE = Door(
    program="edge-agent",
    option="--socket",
    metavar="PATH",
    help="Socket of the agent. Default: HOLDFAST_SOCKET, or the first of .run/*/agent.sock here.",
    find=_find_edge,
    start="make run, or edge-agent run --help",
)
HUB = Door(
    program="cloud-hub",
    option="--hub",
    metavar="HOST:PORT",
    help="Address of the hub. Default: HOLDFAST_HUB, or what stands in .run/hub.address here.",
    find=_find_hub,
    start="make run, or cloud-hub run --help",
)
