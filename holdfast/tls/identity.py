"""Who is at the other end of a TLS connection: the URI in its certificate.

    spiffe://TRUST/ROLE/NAME

TRUST is the domain of whoever issues the certificates, ROLE one of `Role`, NAME the edge's, hub's
or person's own. The form is that of SPIFFE, with exactly these two segments, so that certificates
of a SPIFFE issuer fit. Subject and common name say nothing here.

Invariant: an `Identity` is well formed, and equal identities have equal URIs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

SCHEME = "spiffe"
MAX_URI_CHARS = 255
"""Of one identity. SPIFFE allows 2,048; it stands in a row of the hub for each origin."""

_TRUST = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_URI = re.compile(rf"{SCHEME}://({_TRUST})/([a-z]+)/({_NAME})")


class Role(StrEnum):
    """What an identity is for; the hub's table of rights goes by it."""

    EDGE = "edge"
    """A device's agent: opens the stream, and reads and writes for its agents."""
    HUB = "hub"
    """A hub process. What an edge or a client expects at the hub's address."""
    OPERATOR = "operator"
    """A person or program that looks after the fleet."""
    CLIENT = "client"
    """A program that reads and writes at the hub's own door."""


class InvalidIdentity(ValueError):
    """A URI that names nobody here; its text says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is. Raises InvalidIdentity."""

    trust: str
    role: Role
    name: str

    def __post_init__(self) -> None:
        if len(self.uri) > MAX_URI_CHARS or not _URI.fullmatch(self.uri):
            raise InvalidIdentity(f"{self.uri[:300]!r} is not spiffe://TRUST/ROLE/NAME")

    @property
    def uri(self) -> str:
        return f"{SCHEME}://{self.trust}/{self.role}/{self.name}"

    def __str__(self) -> str:
        return self.uri


def parse(uri: str) -> Identity:
    """The identity that a URI names. Raises InvalidIdentity."""
    found = _URI.fullmatch(uri) if len(uri) <= MAX_URI_CHARS else None
    if found is None:
        raise InvalidIdentity(f"{uri[:300]!r} is not spiffe://TRUST/ROLE/NAME")
    trust, role, name = found.groups()
    if role not in set(map(str, Role)):
        raise InvalidIdentity(f"{uri!r}: the role {role!r} is none of {', '.join(Role)}")
    return Identity(trust, Role(role), name)


def only_one(uris: list[str]) -> Identity:
    """The identity of a certificate with these URIs: it must have exactly one, or it would be
    somebody else to whoever takes another. Raises InvalidIdentity."""
    if len(uris) != 1:
        raise InvalidIdentity(
            f"a certificate names its holder in one URI, and this has {len(uris) or 'none'}"
        )
    return parse(uris[0])
