"""Addresses that stay on this machine: the only ones that are served and dialled without
encryption.

Whatever is sent in the clear can be read and changed on the way, and whoever reaches the port may
write. On loopback only this machine can, so that is where plain TCP is allowed; everywhere else it
is refused before anything listens.

Invariant: what `require` returns leads to this machine.
"""

from ipaddress import ip_address
from typing import NamedTuple

from holdfast.host.errors import HostError

MAX_PORT = 65_535


class AddressRefused(HostError):
    """An address that is none, or that leaves this machine."""

    reason = "CONFIGURATION"
    exit_code = 78


class Endpoint(NamedTuple):
    """HOST:PORT; an IPv6 host stands in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse(text: str) -> Endpoint:
    """HOST:PORT, where port 0 asks for a free one. Raises AddressRefused."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise AddressRefused(
            f"{text[:120]!r} is no address", "write HOST:PORT, such as 127.0.0.1:7443"
        )
    return Endpoint(host, int(port))


def require(text: str, remedy: str) -> Endpoint:
    """The address, if it is on loopback; `remedy` says what to do otherwise.

    Raises AddressRefused.
    """
    endpoint = parse(text)
    if not is_loopback(endpoint.host):
        raise AddressRefused(
            f"{endpoint} can be reached from other machines, and without encryption anybody on the"
            " way could read and change what is sent",
            remedy,
        )
    return endpoint


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost, 127.0.0.0/8 or ::1. Other names are not looked
    up: what they mean can change after the look."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
