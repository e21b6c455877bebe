"""How an edge agent is set up: from a TOML file, the environment (EDGE_AGENT__SECTION__KEY) and
flags.

    data = "/var/lib/edge-agent"
    sockets = ["/run/edge-agent/agent.sock", "/run/edge-agent/arm.sock=arm-3:robot"]
    scopes = ["default", "plant-7/orders"]

    [hub]
    address = "hub.example.org:7443"

    [tls]
    cert = "/etc/edge-agent/edge.pem"
    key = "/etc/edge-agent/edge.key"
    ca = "/etc/edge-agent/hub-ca.pem"

What a service manager provides (STATE_DIRECTORY, RUNTIME_DIRECTORY) is used where nobody says
otherwise.

Invariant: what is read here can be run: without TLS addresses are on this machine, scopes are whole
or of collections. Whether the files of TLS can be used is not looked at here: an edge starts
without them, too.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdfast.host.config import ConfigError, Loaded, load, provided, setting
from holdfast.host.loopback import Endpoint
from holdfast.host.tls_options import TlsSection, endpoint
from holdfast.tls.credentials import TlsFiles
from sync import names
from sync.commit import Actor, ActorKind
from sync.messages import Scope

PREFIX = "EDGE_AGENT"
DEFAULT_SOCKET = "agent.sock"
"""In the data directory, if no other is named."""

MAX_SOCKET_PATH_BYTES = 107
"""What the kernel's address of a Unix socket holds."""

MAX_HUBS = 32
"""Processes of one hub that an edge tries in turn: a database with its usual 100 connections serves
a dozen."""

MIN_OUTBOX_BYTES = 1024 * 1024
"""One commit may have half a megabyte: with less, an edge would refuse what it just took."""

_KINDS = {kind.name.lower(): kind for kind in ActorKind}

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


@dataclass(frozen=True, slots=True)
class HubSection:
    """The table [hub]."""

    address: str = setting(
        allowed="HOST:PORT of the hub, such as 127.0.0.1:7443; of several processes of one hub"
        " all, separated by commas"
    )
    name: str = setting("", allowed="the name in the hub's certificate, if it is not the address")


@dataclass(frozen=True, slots=True)
class OutboxSection:
    """The table [outbox]."""

    limit_bytes: int = setting(
        0,
        check=lambda n: n == 0 or n >= MIN_OUTBOX_BYTES,
        allowed=f"0 for the default, or at least {MIN_OUTBOX_BYTES} bytes",
    )


@dataclass(frozen=True, slots=True)
class LogSection:
    """The table [log]."""

    level: Level = setting("INFO")


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Without `scopes` an edge replicates `default`; without `sockets` it listens on
    agent.sock in its data directory."""

    hub: HubSection
    outbox: OutboxSection
    log: LogSection
    tls: TlsSection
    data: Path = setting(allowed="the directory of this edge's files")
    sockets: tuple[str, ...] = setting(())
    scopes: tuple[str, ...] = setting(("default",))
    name: str = setting(
        "", check=lambda text: len(text) <= names.MAX_ACTOR_CHARS, allowed="a name for people"
    )

    @property
    def hub_endpoints(self) -> tuple[Endpoint, ...]:
        """The processes of the hub. Raises AddressRefused, ConfigError."""
        remedy = (
            "give --tls-cert, --tls-key and --tls-ca (docs/operations.md, Certificates), or run the"
            " hub on this machine, at 127.0.0.1"
        )
        texts = [text.strip() for text in self.hub.address.split(",")]
        if len(texts) > MAX_HUBS:
            raise ConfigError(
                f"hub.address names {len(texts)} addresses",
                f"name at most {MAX_HUBS}; an edge needs no more to find one that lives",
            )
        files = self.tls_files
        return tuple(dict.fromkeys(endpoint(text, files, remedy) for text in texts))

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files for TLS; None for plain TCP. Raises ConfigError."""
        files = self.tls.files(self.hub.name)
        if files is None and self.hub.name:
            raise ConfigError(
                "hub.name is the name in the hub's certificate, and there is no TLS",
                "give --tls-cert, --tls-key and --tls-ca, or leave --hub-name out",
            )
        return files

    @property
    def doors(self) -> dict[Path, Actor | None]:
        """The sockets, each with the only actor that writes there; None: anybody says who he is.

        Raises ConfigError.
        """
        return dict(map(_socket, self.sockets)) or {_fitting(self.data / DEFAULT_SOCKET): None}

    @property
    def edge_name(self) -> str:
        """The name, or that of the machine."""
        return self.name or socket.gethostname()


def loaded(
    files: Iterable[Path], env: Mapping[str, str], flags: Mapping[str, object]
) -> Loaded[Settings]:
    """The settings, and where each came from. Raises ConfigError, AddressRefused."""
    offered = provided(env, "STATE_DIRECTORY", "data")
    for key, (directory, origin) in provided(env, "RUNTIME_DIRECTORY", "sockets").items():
        offered[key] = ((str(directory / DEFAULT_SOCKET),), origin)
    found = load(Settings, prefix=PREFIX, files=tuple(files), env=env, flags=flags, offered=offered)
    with found.naming("hub.address"):
        assert found.value.hub_endpoints
    with found.naming("sockets" if found.value.sockets else "data"):
        assert found.value.doors
    with found.naming("scopes"):
        scopes(found.value.scopes)
    return found


def read(files: Iterable[Path], env: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """The settings alone. Raises ConfigError, AddressRefused."""
    return loaded(files, env, flags).value


def _socket(text: str) -> tuple[Path, Actor | None]:
    """A socket from PATH or PATH=ID:KIND. Raises ConfigError."""
    path, equals, who = text.partition("=")
    if not equals:
        return _fitting(Path(path)), None
    name, _, kind = who.rpartition(":")
    try:
        return _fitting(Path(path)), Actor(names.check_actor(name), _KINDS[kind])
    except (KeyError, names.InvalidName):
        raise ConfigError(
            f"socket {text[:200]}: {who[:80]!r} is no actor",
            f"write PATH=ID:KIND with a kind of {', '.join(_KINDS)}",
        ) from None


def _fitting(path: Path) -> Path:
    if not path.name or len(str(path).encode()) > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"socket {path}: the path of a socket has 1 to {MAX_SOCKET_PATH_BYTES} bytes",
            "name a shorter one: --socket PATH (one relative to the working directory counts as it"
            " is written)",
        )
    return path


def scopes(texts: Iterable[str]) -> dict[str, Scope]:
    """What is replicated of each space, from SPACE and SPACE/COLLECTION. Raises ConfigError."""
    whole: set[str] = set()
    parts: dict[str, set[str]] = {}
    for text in texts:
        space, collection = _scope(text)
        if collection:
            parts.setdefault(space, set()).add(collection)
        else:
            whole.add(space)
    found = {space: Scope(False, frozenset(named)) for space, named in parts.items()}
    return found | {space: Scope() for space in whole}


def _scope(text: str) -> tuple[str, str]:
    space, _, rest = text.partition("/")
    collection, slash, prefix = rest.partition("/")
    if slash and prefix:
        raise ConfigError(
            f"scope {text[:120]}: scopes with a prefix (SPACE/COLLECTION/PREFIX) are not"
            " implemented",
            f"take the whole collection: --scope {space}/{collection}",
        )
    try:
        names.check_space(space)
        if collection:
            names.check_collection(collection)
    except names.InvalidName as error:
        raise ConfigError(
            f"scope {text[:120]!r}: {error}", "write SPACE or SPACE/COLLECTION"
        ) from None
    return space, collection
