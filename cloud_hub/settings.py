"""How a hub is set up: from a TOML file, the environment (CLOUD_HUB__SECTION__KEY) and flags.

    listen = "0.0.0.0:7443"
    data = "/var/lib/cloud-hub"

    [tls]
    cert = "/etc/cloud-hub/hub.pem"
    key = "/etc/cloud-hub/hub.key"
    ca = "/etc/cloud-hub/clients-ca.pem"

With neither `data` nor `database`, the directory that a service manager provides (STATE_DIRECTORY)
is used.

Invariant: what is read here can be run: one database, and TLS or an address that only this machine
reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdfast.host.config import ConfigError, Loaded, load, provided, setting
from holdfast.host.loopback import Endpoint, parse, require
from holdfast.host.tls_options import TlsSection, endpoint
from holdfast.tls.credentials import TlsFiles

PREFIX = "CLOUD_HUB"
DEFAULT_LISTEN = "127.0.0.1:7443"

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


@dataclass(frozen=True, slots=True)
class LogSection:
    """The table [log]."""

    level: Level = setting("INFO")


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Exactly one of `data` (a directory, for SQLite) and `database` (a PostgreSQL
    URL). `pooled`: that is the URL of a pooler such as PgBouncer; then `listen_database` is the
    same database without it, or nothing, and processes look for each other's commits instead."""

    log: LogSection
    tls: TlsSection
    listen: str = setting(DEFAULT_LISTEN)
    data: Path | None = setting(None, allowed="the directory of the hub's SQLite database")
    database: str = setting("", allowed="postgresql://...", secret=True)
    pooled: bool = setting(False)
    listen_database: str = setting("", allowed="postgresql://...", secret=True)
    on_fork: Literal["stop", "declare"] = setting("stop")
    insecure: bool = setting(False)
    reflection: bool = setting(False)
    metrics: str = setting("", allowed="HOST:PORT on loopback, or nothing")
    name: str = setting("")

    @property
    def metrics_endpoint(self) -> Endpoint | None:
        """Where Prometheus reads. Raises AddressRefused."""
        remedy = "give an address of loopback, and put a proxy beside the hub if others are to read"
        return require(self.metrics, remedy) if self.metrics else None

    def checked(self) -> Endpoint:
        """The address to listen on. Raises ConfigError, AddressRefused."""
        if bool(self.data) == bool(self.database):
            said = "both are given" if self.data else "neither is given"
            raise ConfigError(
                f"a hub has a directory or a database, and {said}",
                "give --data DIR (SQLite), or --database URL (PostgreSQL)",
            )
        if self.data and (self.pooled or self.listen_database):
            raise ConfigError(
                "pooled and listen_database are about a PostgreSQL database",
                "leave them out, or give --database URL instead of --data",
            )
        if self.tls_files is None and not self.insecure:
            raise ConfigError(
                "this hub has no certificate, and is not told to do without",
                "give --tls-cert, --tls-key and --tls-ca (`cloud-hub dev-certs DIR` makes some to"
                " try), or --insecure: plain TCP, which only this machine can reach",
            )
        if self.tls_files is not None and self.insecure:
            raise ConfigError(
                "--insecure is plain TCP, and certificates are given",
                "leave out one of the two",
            )
        return endpoint(
            self.listen,
            self.tls_files,
            "listen on loopback (--listen 127.0.0.1:7443), or give --tls-cert, --tls-key and"
            " --tls-ca",
        )

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files for TLS; None for plain TCP. Raises ConfigError."""
        return self.tls.files()


def loaded(
    files: Iterable[Path], env: Mapping[str, str], flags: Mapping[str, object]
) -> Loaded[Settings]:
    """The settings, and where each came from. Raises ConfigError, AddressRefused."""
    files = tuple(files)
    found = load(Settings, prefix=PREFIX, files=files, env=env, flags=flags)
    if not found.value.data and not found.value.database:
        offered = provided(env, "STATE_DIRECTORY", "data")
        found = load(Settings, prefix=PREFIX, files=files, env=env, flags=flags, offered=offered)
    with found.naming("listen"):
        parse(found.value.listen)
    with found.naming("metrics"):
        assert found.value.metrics_endpoint or not found.value.metrics
    assert found.value.checked()
    return found


def read(files: Iterable[Path], env: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """The settings alone. Raises ConfigError, AddressRefused."""
    return loaded(files, env, flags).value
