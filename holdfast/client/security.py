"""Where a client's channel gets its credentials from.

Files are read when a channel is opened; gRPC cannot change them afterwards. A connection that is
lost is therefore made anew over a new channel if the files have changed meanwhile.

Invariant: a Unix socket has no TLS; who may open it is decided by its mode and owner.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from holdfast.client.limits import channel_options
from holdfast.errors import InvalidArgument
from holdfast.tls.credentials import TlsFiles
from holdfast.tls.renewal import Renewal

Option = tuple[str, Any]


@dataclass(slots=True)
class Security:
    """How channels to one door are opened; plain without `files`."""

    files: TlsFiles | None = None
    _renewal: Renewal | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.files is not None:
            self._renewal = Renewal(self.files)

    def changed(self) -> bool:
        """Whether a new channel would have other credentials than the newest one."""
        return self._renewal is not None and self._renewal.look()

    def credentials(self) -> tuple[grpc.ChannelCredentials | None, list[Option]]:
        """What a channel is opened with: credentials (None: plain) and arguments. Raises
        TlsRefused."""
        options: list[Option] = [*channel_options()]
        if self._renewal is None:
            return None, options
        self._renewal.look()
        found = self._renewal.current
        if found is None:
            assert self._renewal.problem is not None, "files that were looked at are in use or not"
            raise self._renewal.problem
        if found.name:
            options.append(("grpc.ssl_target_name_override", found.name))
        return grpc.ssl_channel_credentials(found.ca, found.key, found.cert), options


def find(
    tls: TlsFiles | None, address: str | None, environment: Mapping[str, str] = os.environ
) -> TlsFiles | None:
    """The files to use: those given, else those of the environment, which are meant for hubs.

    Raises TlsRefused if the environment names some and not all, InvalidArgument for TLS on a
    socket.
    """
    if tls is not None and address is not None and _is_socket(address):
        raise InvalidArgument("INSECURE_ADDRESS", f"{address} is a socket, and has no TLS")
    return tls if tls is not None else TlsFiles.from_environment(environment)


def of_target(target: str, tls: TlsFiles | None) -> Security:
    """For the door at a gRPC target."""
    return Security(None if _is_socket(target) else tls)


def _is_socket(address: str) -> bool:
    return address.startswith("unix:") or "/" in address
