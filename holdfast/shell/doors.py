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
    from holdfast.tls.credentials import TlsFiles

PROBE_SECONDS = 3.0
"""A daemon on this machine takes a connection at once, even while it is busy."""

HUB_VARIABLES = ("HOLDFAST_HUB", "HOLDFAST_ADDRESS")
HUB_FILE = Path(".run/hub.address")
"""Written by `make run`, beside the sockets of its edges."""


_FLAGS = {"cert": "--tls-cert", "key": "--tls-key", "ca": "--tls-ca", "name": "--hub-name"}
_METAVARS = {"cert": "FILE", "key": "FILE", "ca": "FILE", "name": "NAME"}
_TLS_HELP = {
    "cert": "Your certificate, in PEM, for a hub with TLS.",
    "key": "Its key.",
    "ca": "CAs by which the hub is known.",
    "name": "Name in the hub's certificate, if it is not that of the address.",
}


@dataclass(frozen=True, slots=True)
class Door:
    """One kind of daemon, as its command line knows it."""

    program: str
    option: str
    metavar: str
    help: str
    find: Callable[..., str]
    """The gRPC target. Raises HoldfastError."""
    start: str
    """How to get one running."""
    remote: bool = False
    """It may be on another machine, by TLS."""

    def takes_client(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Gives a command the option for the address, and its function a `client`."""

        @click.option(self.option, "address", metavar=self.metavar, help=self.help)
        @self.takes_tls
        @functools.wraps(function)
        def command(*args: Any, address: str | None, tls: TlsFiles | None, **options: Any) -> Any:
            with self.client(address, tls) as client:
                return function(*args, client=client, **options)

        return command

    def takes_tls(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Gives a command the options for TLS, if this daemon may be elsewhere, and its function a
        `tls`."""
        from holdfast.tls.credentials import VARIABLES, files_from

        offered = _TLS_HELP if self.remote else {}

        @functools.wraps(function)
        def command(*args: Any, **options: Any) -> Any:
            given = {member: options.pop(f"tls_{member}") for member in offered}
            return function(*args, tls=files_from(given, _FLAGS), **options)

        for member, words in reversed(offered.items()):
            variable = VARIABLES[member]
            text = f"{words} Default: {variable}."
            command = click.option(
                _FLAGS[member],
                f"tls_{member}",
                envvar=variable,
                metavar=_METAVARS[member],
                help=text,
            )(command)
        return command

    def client(self, address: str | None, tls: TlsFiles | None = None) -> Client:
        """A client of the daemon, which was there a moment ago. Raises HoldfastError."""
        from holdfast.client import Client

        target = self.find(address, os.environ, secure=tls is not None)
        self._probe(target, tls)
        return Client(target, tls=tls)

    def _probe(self, target: str, tls: TlsFiles | None) -> None:
        from holdfast.errors import Unavailable

        try:
            _connect(target) if tls is None else _shake_hands(target, tls)
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


def _shake_hands(target: str, tls: TlsFiles) -> None:
    """Says more than gRPC, which only knows that a connection was closed. Raises OSError,
    HoldfastError."""
    from holdfast.errors import kind_of
    from holdfast.tls.credentials import load
    from holdfast.tls.probe import examine

    host, _, port = target.rpartition(":")
    found = examine(host, int(port), load(tls))
    if found is not None:
        raise kind_of(found.reason)(found.reason, found.message, remedy=found.remedy)


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


def _find_edge(address: str | None, environment: Mapping[str, str], *, secure: bool = False) -> str:
    from holdfast.client.address import SOCKET_VARIABLE, SOCKETS, find
    from holdfast.errors import Unavailable

    given = {SOCKET_VARIABLE: environment.get(SOCKET_VARIABLE, "")}
    if address and "/" not in address and ":" not in address:
        address = f"./{address}"
    try:
        return find(address, given, secure=secure)
    except Unavailable:
        raise Unavailable(
            "DOOR_UNREACHABLE",
            f"no edge-agent is named: {SOCKET_VARIABLE} is not set, and there is no {SOCKETS} here",
            remedy=f"start one ({EDGE.start}), or name its socket: --socket PATH",
        ) from None


def _find_hub(address: str | None, environment: Mapping[str, str], *, secure: bool = False) -> str:
    from holdfast.client.address import parse
    from holdfast.errors import Unavailable

    for given in (address, *map(environment.get, HUB_VARIABLES)):
        if given:
            return parse(given, secure=secure)
    if HUB_FILE.is_file():
        return parse(HUB_FILE.read_text(encoding="ascii").strip(), secure=secure)
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
    remote=True,
)
