"""The settings and flags for TLS, the same for both daemons.

Invariant: all three files are named or none, and an address that leaves this machine is only taken
with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.host.config import ConfigError, setting
from holdfast.host.loopback import Endpoint, parse, require
from holdfast.tls.credentials import TlsFiles, TlsRefused, files_from

FLAGS = {"cert": "--tls-cert", "key": "--tls-key", "ca": "--tls-ca"}


@dataclass(frozen=True, slots=True)
class TlsSection:
    """The table [tls]: files in PEM."""

    cert: Path | None = setting(None, allowed="the file of this side's certificate")
    key: Path | None = setting(None, allowed="the file of its key")
    ca: Path | None = setting(None, allowed="the file of the CAs by which the other side is known")

    def files(self, name: str = "") -> TlsFiles | None:
        """The files, with the name that the hub's certificate must have; None if TLS is not set
        up. Raises ConfigError."""
        given = {"cert": self.cert, "key": self.key, "ca": self.ca, "name": name}
        try:
            return files_from(given, FLAGS)
        except TlsRefused as refused:
            raise ConfigError(refused.message, refused.remedy) from None


def endpoint(address: str, files: TlsFiles | None, remedy: str) -> Endpoint:
    """An address: with TLS any, else one on loopback. Raises AddressRefused."""
    return require(address, remedy) if files is None else parse(address)


def tls_flags() -> dict[str, Callable[..., Any]]:
    """The options of a command line, by the keys of settings."""
    import click

    helps = {
        "cert": "Certificate of this side, in PEM.",
        "key": "Its key, in PEM.",
        "ca": "CAs by which the other side is known, in PEM.",
    }
    path = click.Path(path_type=Path)
    return {
        f"tls.{member}": click.option(flag, f"tls__{member}", type=path, help=helps[member])
        for member, flag in FLAGS.items()
    }
