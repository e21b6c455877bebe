"""Where the door is.

In this order: the address given; `HOLDFAST_SOCKET`, the path of an edge's Unix socket;
`HOLDFAST_ADDRESS`, host:port of a hub; the first socket that `make run` keeps under `.run/` in the
current directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from holdfast.errors import InvalidArgument, Unavailable

SOCKET_VARIABLE = "HOLDFAST_SOCKET"
ADDRESS_VARIABLE = "HOLDFAST_ADDRESS"
SOCKETS = ".run/*/agent.sock"

MAX_SOCKET_PATH_BYTES = 107
"""What the kernel's address of a Unix socket holds."""


def find(
    address: str | None = None,
    environment: Mapping[str, str] = os.environ,
    directory: Path | None = None,
    *,
    secure: bool = False,
) -> str:
    """The gRPC target: `unix:PATH` or `host:port`.

    Raises Unavailable DOOR_UNREACHABLE if nothing is given or found, InvalidArgument for what is no
    address, and for a host that is not this machine unless it is spoken to `secure`, by TLS.
    """
    given = address or environment.get(SOCKET_VARIABLE) or environment.get(ADDRESS_VARIABLE)
    if given:
        return parse(given, secure=secure)
    directory = Path.cwd() if directory is None else directory
    for socket in sorted(directory.glob(SOCKETS)):
        return parse(_fitting(socket))
    raise Unavailable(
        "DOOR_UNREACHABLE",
        f"no address is given, {SOCKET_VARIABLE} is not set, and there is no {SOCKETS} here",
    )


def _fitting(socket: Path) -> str:
    """The path of a socket in full, or as seen from here if it is too long for the kernel."""
    full = str(socket)
    return full if len(full.encode()) <= MAX_SOCKET_PATH_BYTES else os.path.relpath(full)


def parse(address: str, *, secure: bool = False) -> str:
    """The gRPC target of an address: unix:PATH, a path with a slash, or host:port."""
    if address.startswith("unix:"):
        return _socket(address.removeprefix("unix:").removeprefix("//"))
    if "/" in address:
        return _socket(address)
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InvalidArgument(
            "INVALID_NAME",
            f"an address is unix:PATH or host:port, not {address[:120]!r}",
            remedy="Correct the address.",
        )
    if not secure and not _is_loopback(host):
        raise InvalidArgument(
            "INSECURE_ADDRESS",
            f"{host} is another machine, and what is sent to it could be read on the way",
        )
    return address


def _socket(path: str) -> str:
    if not path or len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise InvalidArgument(
            "INVALID_NAME",
            f"the path of a socket has 1 to {MAX_SOCKET_PATH_BYTES} bytes: {path[:120]!r}",
            remedy="Use a shorter path, or a relative one.",
        )
    return f"unix:{path}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
