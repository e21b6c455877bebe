"""Throw-away certificates, to try the hub and its edges on several machines today.

A CA is made, and signs one certificate for each name. It is for trying: the CA's key lies beside
the rest, and nothing can be revoked. For more than that, issue certificates as your organisation
does; what they must have is in docs/operations.md.

Invariant: no file that exists is overwritten, and no key is readable by others at any moment.
"""

from __future__ import annotations

import datetime as dt
import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.host.errors import HostError
from holdfast.tls.identity import Identity, Role

DAYS = 30
"""Long enough to try things, too short to be forgotten in production."""

SLACK = dt.timedelta(minutes=10)
"""Certificates begin this much earlier: the clocks of two machines differ."""

MAX_NAMES = 1_000
"""Certificates of one call; a fleet is not tried with more."""


class CertificatesRefused(HostError):
    """Certificates that were not made."""

    reason = "HOST"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with those above it, and its key, in PEM."""

    cert: bytes
    key: bytes


class Authority:
    """A CA. `name` is for people, `trust` is the domain of its identities; `issued` makes
    certificates that are valid from SLACK ago."""

    def __init__(self, trust: str, name: str = "holdfast dev CA", days: float = DAYS) -> None:
        self.trust = trust
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(name)
        builder = _begun(subject, subject, self._key, days)
        usage = _usage(key_cert_sign=True, crl_sign=True)
        self._cert = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def cert(self) -> bytes:
        return _pem(self._cert)

    @property
    def key(self) -> bytes:
        return _key_pem(self._key)

    def issued(
        self, role: Role, name: str, hosts: Iterable[str] = (), days: float = DAYS
    ) -> Issued:
        """A certificate for an identity; `hosts` are DNS names and IP addresses of a hub. With
        negative `days` it has expired. Raises InvalidIdentity."""
        key = ec.generate_private_key(ec.SECP256R1())
        identity = Identity(self.trust, role, name)
        purpose = (
            ExtendedKeyUsageOID.SERVER_AUTH if role is Role.HUB else ExtendedKeyUsageOID.CLIENT_AUTH
        )
        names = [x509.UniformResourceIdentifier(identity.uri), *map(_host, hosts)]
        cert = (
            _begun(_subject(name), self._cert.subject, key, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(_pem(cert), _key_pem(key))


@dataclass(frozen=True, slots=True)
class Made:
    """What was made, and the commands to use it."""

    directory: Path
    files: tuple[Path, ...]
    hub_command: str
    edge_commands: tuple[str, ...]
    operator_command: str
    copied: tuple[str, ...]
    """What the machine of each edge needs, in the order of the commands."""


def make(
    directory: Path, hosts: Sequence[str], edges: Sequence[str], trust: str, port: int, days: int
) -> Made:
    """Makes a CA and certificates in a new or empty directory.

    Raises CertificatesRefused, InvalidIdentity.
    """
    if len(edges) + len(hosts) > MAX_NAMES or len(set(edges)) != len(edges):
        raise CertificatesRefused(f"at most {MAX_NAMES} names, each once", "name fewer, or others")
    authority = Authority(trust, days=days)
    files = {"ca.pem": authority.cert, "ca.key": authority.key}
    holders = [
        (Role.HUB, "hub"),
        *((Role.EDGE, edge) for edge in edges),
        (Role.OPERATOR, "operator"),
    ]
    for role, name in holders:
        issued = authority.issued(role, name, hosts if role is Role.HUB else (), days)
        stem = f"edge-{name}" if role is Role.EDGE else name
        files[f"{stem}.pem"], files[f"{stem}.key"] = issued.cert, issued.key
    _write(directory, files)
    return _described(directory, tuple(directory / name for name in files), hosts, edges, port)


def _described(
    directory: Path, files: tuple[Path, ...], hosts: Sequence[str], edges: Sequence[str], port: int
) -> Made:
    from holdfast.host.loopback import is_loopback

    def tls(stem: str) -> list[str]:
        cert, key = directory / f"{stem}.pem", directory / f"{stem}.key"
        given = {"--tls-cert": cert, "--tls-key": key, "--tls-ca": directory / "ca.pem"}
        return [word for flag, path in given.items() for word in (flag, str(path))]

    reached = next((host for host in hosts if not is_loopback(host)), hosts[0])
    bound = hosts[0] if all(map(is_loopback, hosts)) else "0.0.0.0"  # noqa: S104 - with mutual TLS
    at = f"{_bracketed(reached)}:{port}"
    listen = ["--listen", f"{_bracketed(bound)}:{port}", "--data", "hub-data"]
    dialling = ["edge-agent", "run", "--hub", at]
    return Made(
        directory,
        files,
        shlex.join(["cloud-hub", "run", *listen, *tls("hub")]),
        tuple(
            shlex.join(
                [*dialling, "--name", edge, "--data", f"edge-{edge}-data", *tls(f"edge-{edge}")]
            )
            for edge in edges
        ),
        shlex.join(["cloud-hub", "edges", "--hub", at, *tls("operator")]),
        tuple(
            shlex.join(
                str(directory / name) for name in (f"edge-{e}.pem", f"edge-{e}.key", "ca.pem")
            )
            for e in edges
        ),
    )


def _write(directory: Path, files: dict[str, bytes]) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise CertificatesRefused(
                f"{directory} is not empty, and nothing is overwritten",
                "name another directory; edges of one hub need certificates of one call",
            )
        for name, data in files.items():
            mode = 0o600 if name.endswith(".key") else 0o644
            opened = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(opened, "wb") as file:
                file.write(data)
    except OSError as error:
        raise CertificatesRefused(
            f"{directory}: {error.strerror}", "name a directory that can be written"
        ) from error


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: float
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    ends = now + dt.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends) - SLACK)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(**given: bool) -> x509.KeyUsage:
    kinds = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{kind: given.get(kind, False) for kind in kinds})


def _subject(name: str) -> x509.Name:
    """For people; who somebody is stands in the URI. It has at most 64 characters."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError:
        raise CertificatesRefused(
            f"{text[:80]!r} is no name of a host", "write it in ASCII"
        ) from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
