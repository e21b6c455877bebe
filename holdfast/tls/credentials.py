"""Certificate, key and CA from their files: read once, checked as a whole, then used as bytes.

What a certificate is good for shows in a handshake, so one is made here, in memory, of both ends:
it says whether the key fits, whether the purpose is right, when it ends and who it names, and no
package is needed to take a certificate apart. The library that gRPC is built with would only say
that a connection was closed.

Invariant: a `Credentials` value has a certificate and the key that fits it, both read at one
moment, an identity, and a CA file with at least one certificate. It may have expired: time passes,
so that is asked when it matters.
"""

from __future__ import annotations

import os
import ssl
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from holdfast.errors import PreconditionFailed
from holdfast.tls.identity import Identity, InvalidIdentity, Role, only_one

MAX_FILE_BYTES = 1 << 20
"""A bundle of all public CAs has a quarter of it; more is another file."""

NO_CHECK_TIME = 0x20_0000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the ssl module does not name."""

OTHERS = stat.S_IROTH | stat.S_IWOTH

VARIABLES = {
    "cert": "HOLDFAST_TLS_CERT",
    "key": "HOLDFAST_TLS_KEY",
    "ca": "HOLDFAST_TLS_CA",
    "name": "HOLDFAST_TLS_NAME",
}
"""For clients and operators' commands, as the variables of addresses are."""


class TlsRefused(PreconditionFailed):
    """A file that cannot be used for TLS; the message names it, the remedy says what to do."""

    exit_code: ClassVar[int] = 78

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__("TLS_FILE_UNUSABLE", message, remedy=remedy)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where one side's files are, in PEM: its certificate (with those between it and its CA, if
    there are any), the key of that, and the CAs by which the *other* side is known.

    `name` is the name that the hub's certificate must have if it is not the one dialled.
    """

    cert: str | Path
    key: str | Path
    ca: str | Path
    name: str = ""

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        return Path(self.cert), Path(self.key), Path(self.ca)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> TlsFiles | None:
        """What the variables name; None if they name no file. Raises TlsRefused."""
        given = {member: environment.get(name, "") for member, name in VARIABLES.items()}
        return files_from(given, VARIABLES)


def files_from(given: Mapping[str, Any], names: Mapping[str, str]) -> TlsFiles | None:
    """The files given by member; None if there is none. `names` are what each is called where it
    was given. Raises TlsRefused if some are missing."""
    files = {member: given.get(member) or "" for member in ("cert", "key", "ca")}
    missing = [names[member] for member, path in files.items() if not path]
    if len(missing) == len(files):
        return None
    if missing:
        raise TlsRefused(
            f"TLS needs a certificate, its key and a CA, and {' and '.join(missing)} is not given",
            f"give all three: {', '.join(names[member] for member in files)}",
        )
    return TlsFiles(**files, name=str(given.get("name") or ""))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one side shows, and whom it trusts; all in PEM. Times are unix seconds.

    `note` is what an operator should know though it is no fault, or empty.
    """

    cert: bytes
    key: bytes
    ca: bytes
    identity: Identity
    not_before_s: int
    not_after_s: int
    name: str = ""
    note: str = ""

    def left_s(self, now_s: float | None = None) -> int:
        """How long the certificate is valid yet; negative when it has expired."""
        return self.not_after_s - int(time.time() if now_s is None else now_s)

    @property
    def ends(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(self.not_after_s))

    def __repr__(self) -> str:
        return f"Credentials({self.identity}, until {self.ends})"


def load(files: TlsFiles) -> Credentials:
    """Reads and checks the files. Raises TlsRefused; having expired is no reason for it."""
    cert_path, key_path, ca_path = files.paths
    cert, key, ca = _read(cert_path), _read_key(key_path), _read(ca_path)
    _check_ca(ca_path, ca)
    found = _shown(files, cert, key)
    uris = [value for kind, value in found.get("subjectAltName", ()) if kind == "URI"]
    try:
        identity = only_one(uris)
    except InvalidIdentity as error:
        raise TlsRefused(
            f"{cert_path}: {error}",
            "issue it with one URI such as spiffe://example.org/edge/NAME (docs/operations.md)",
        ) from None
    return Credentials(
        cert, key, ca, identity,
        int(ssl.cert_time_to_seconds(found["notBefore"])),
        int(ssl.cert_time_to_seconds(found["notAfter"])),
        files.name,
        _note(files, cert, key, ca, identity.role is Role.HUB),
    )  # fmt: skip


def load_valid(files: TlsFiles) -> Credentials:
    """The same for one who cannot go on with an expired certificate. Raises TlsRefused."""
    found = load(files)
    if found.left_s() <= 0:
        raise TlsRefused(f"{files.cert}: it has expired, at {found.ends}", "renew the certificate")
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise TlsRefused(f"{path}: there is no such file", "correct the path") from None
    except PermissionError:
        fix = f"let user {os.geteuid()} read it: ls -l {path}"
        raise TlsRefused(f"{path}: this user may not read it", fix) from None
    except OSError as error:
        raise TlsRefused(f"{path}: {error.strerror}", "name a file that can be read") from None
    if len(data) > MAX_FILE_BYTES:
        raise TlsRefused(f"{path}: more than {MAX_FILE_BYTES} bytes", "name a file in PEM")
    return data


def _read_key(path: Path) -> bytes:
    data = _read(path)
    if path.stat().st_mode & OTHERS:
        raise TlsRefused(f"{path}: every user can read this key", f"chmod 600 {path}")
    if b"ENCRYPTED" in data:
        raise TlsRefused(
            f"{path}: the key is encrypted, and nobody is there to type a password",
            "give the key without one, readable by this user only",
        )
    return data


def _check_ca(path: Path, ca: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ca.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise TlsRefused(f"{path}: no certificate of a CA in PEM", "name the CA's file") from None


def _shown(files: TlsFiles, cert: bytes, key: bytes) -> dict[str, Any]:
    """What the certificate says, as the other end of a handshake sees it."""
    cert_path, key_path, _ = files.paths
    if b"-----BEGIN CERTIFICATE-----" not in cert:
        raise TlsRefused(f"{cert_path}: no certificate in PEM", "name the certificate's file")
    if b"PRIVATE KEY-----" not in key:
        raise TlsRefused(f"{key_path}: no private key in PEM", "name the key's file")
    first = cert[cert.index(b"-----BEGIN") :].split(b"-----END CERTIFICATE-----")[0]
    anchor = first + b"-----END CERTIFICATE-----\n"
    for server in (False, True):
        try:
            return _handshake(cert, key, anchor, server=server, leaf_only=True)
        except ssl.SSLCertVerificationError:
            continue  # it is of a side that has the other purpose
        except (ssl.SSLError, ValueError) as error:
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                fix = f"put the two that belong together at {cert_path} and {key_path}"
                raise TlsRefused(f"{key_path}: not the key of {cert_path}", fix) from None
            fix = "put whole files in PEM there, both under another name first, then renamed"
            raise TlsRefused(
                f"{cert_path}, {key_path}: they cannot be used together", fix
            ) from None
    raise TlsRefused(
        f"{cert_path}: its purpose is neither that of a TLS client nor of a server",
        "issue it with the extended key usage clientAuth (edges) or serverAuth (hubs)",
    )


def _note(files: TlsFiles, cert: bytes, key: bytes, ca: bytes, server: bool) -> str:
    """Usually both sides are of one CA, so what is usually a mistake is said; it may be none."""
    try:
        _handshake(cert, key, ca, server=server)
    except ssl.SSLError:
        return (
            f"{files.cert} is not of the CA in {files.ca}: right only if the other side trusts"
            " another one"
        )
    return ""


def _handshake(
    cert: bytes, key: bytes, anchors: bytes, *, server: bool, leaf_only: bool = False
) -> dict[str, Any]:
    """A handshake with oneself, in memory, in which the certificate is shown by the server or the
    client and verified by the other end, whatever the time is. Raises ssl.SSLError."""
    serving, dialling = (
        ssl.SSLContext(p) for p in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    dialling.check_hostname = False
    with _as_file(cert + b"\n" + key) as path:
        serving.load_cert_chain(path, password=_no_password)
        dialling.load_cert_chain(path, password=_no_password)
    judge, shown = (dialling, serving) if server else (serving, dialling)
    shown.verify_mode, judge.verify_mode = ssl.CERT_NONE, ssl.CERT_REQUIRED
    judge.load_verify_locations(cadata=anchors.decode("ascii"))
    judge.verify_flags |= NO_CHECK_TIME
    if leaf_only:
        judge.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    forth, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        dialling.wrap_bio(back, forth, server_side=False),
        serving.wrap_bio(forth, back, server_side=True),
    )
    for _ in range(4):  # a full handshake has three flights
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = ends[0 if server else 1].getpeercert()
    assert found, "a certificate that was verified is known"
    return dict(found)


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path to bytes that never reach a disk: the ssl module takes keys from files only."""
    number = os.memfd_create("tls")
    try:
        os.write(number, data)
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


def _no_password() -> str:
    """Instead of asking at the terminal."""
    raise ValueError("the key is encrypted")


def dialling_context(credentials: Credentials) -> ssl.SSLContext:
    """How the standard library would dial with these. Raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=credentials.ca.decode("ascii"))
    with _as_file(credentials.cert + b"\n" + credentials.key) as path:
        context.load_cert_chain(path, password=_no_password)
    context.set_alpn_protocols(["h2"])
    return context
