"""Why a TLS connection to a hub does not come about.

gRPC says that it could not connect, whether nobody listens, the hub is not of the CA, or the hub
refuses the certificate; in TLS 1.3 the last comes only after the client believes that all is well.
So where it fails, this makes a connection of its own and tells the cases apart: by what both ends
say in the handshake, and by whether the hub then says anything.

It decides nothing: what it finds is told to people, and names the state that the link is in.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from holdfast.tls.credentials import Credentials, dialling_context

TIMEOUT_S = 3.0
"""For each step: connecting, the handshake, the hub's first word."""

LOOKS = 2
"""A connection that ends without a word may be one of a hub that stops just then."""

_SILENCE = "it closes the connection when it has seen the certificate"
"""As a hub of gRPC does, which keeps its reason to its own log: not of a CA that it trusts, or
expired."""

_REFUSALS = {
    "CERTIFICATE_EXPIRED": "it says that the certificate has expired",
    "UNKNOWN_CA": "the certificate is not of a CA that it trusts",
    "DECRYPT_ERROR": "the certificate is not of a CA that it trusts",
    "BAD_CERTIFICATE": "it finds the certificate wrong",
    "CERTIFICATE_UNKNOWN": "it does not accept the certificate",
    "CERTIFICATE_REQUIRED": "it got no certificate",
    "UNSUPPORTED_CERTIFICATE": "it says that the certificate is for another purpose",
    "ACCESS_DENIED": "it denies access",
}
"""What a hub says of a client's certificate, by the end of the alert's name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why not. `ours`: the certificate of this side is to blame, so only new credentials help."""

    reason: str
    message: str
    remedy: str
    ours: bool = False


def examine(host: str, port: int, credentials: Credentials) -> Finding | None:
    """What a handshake with the hub at an address finds; None if TLS is not what is the matter.

    Blocks for at most a few times TIMEOUT_S. Raises OSError if nobody can be reached there.
    """
    for _ in range(LOOKS):
        heard, finding = _look(host, port, credentials)
        if heard or finding is not None:
            return finding
    return _ours(f"{host}:{port}", credentials, _SILENCE)


def _look(host: str, port: int, credentials: Credentials) -> tuple[bool, Finding | None]:
    """Whether the hub said something after the handshake, or what went wrong before."""
    where, bare = f"{host}:{port}", host.strip("[]")
    name = credentials.name or bare
    with socket.create_connection((bare, port), TIMEOUT_S) as plain:
        try:
            with dialling_context(credentials).wrap_socket(plain, server_hostname=name) as secured:
                return bool(secured.recv(1)), None  # its first frame
        except ssl.SSLCertVerificationError as error:
            return False, _hub_not_trusted(where, name, error)
        except ssl.SSLError as error:
            return False, _refused(where, credentials, error)
        except TimeoutError:
            return True, None
        except ConnectionError:
            return False, None


def _hub_not_trusted(where: str, name: str, error: ssl.SSLCertVerificationError) -> Finding:
    said = error.verify_message.rstrip(".")
    remedy = (
        f"if it is the right hub, issue its certificate for {name!r}, or name what it is issued for"
        " (--hub-name)"
        if "mismatch" in said or "not valid for" in said
        else "check the address, the CA's file (--tls-ca), and this machine's clock"
    )
    return Finding("HUB_NOT_TRUSTED", f"the certificate of {where}: {said}", remedy)


def _refused(where: str, credentials: Credentials, error: ssl.SSLError) -> Finding:
    said = str(error.reason or "")
    for ending, meaning in _REFUSALS.items():
        if said.endswith(ending):
            return _ours(where, credentials, meaning)
    if said in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING"}:
        message = f"{where} does not speak TLS 1.3"
        remedy = "check the address; a hub with --insecure speaks plain TCP"
        return Finding("HUB_NOT_TRUSTED", message, remedy)
    message = f"no TLS with {where}: {said or error}"
    return Finding("HUB_NOT_TRUSTED", message, "see the hub's log; compare both sides' files")


def _ours(where: str, credentials: Credentials, meaning: str) -> Finding:
    expired = f"; it ended at {credentials.ends}" if credentials.left_s() <= 0 else ""
    return Finding(
        "NEEDS_AUTH",
        f"{where} refuses {credentials.identity}: {meaning}{expired}",
        "put a valid certificate, of a CA that the hub trusts, in place; it is taken up by itself",
        ours=True,
    )
