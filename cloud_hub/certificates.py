"""The hub's certificate and the CAs of its clients, taken up anew while it listens.

gRPC asks for both before every handshake, so a renewed certificate and another set of CAs are in
force from the next connection on, without a restart. Connections that stand are not touched by
that; their age is bounded (holdfast.host.channels, sync.hub_session), so that a CA that was taken
away has no connection left after that time.

Invariant: whoever connects has shown a certificate of one of the CAs in force at that moment.
"""

from __future__ import annotations

import logging

import grpc

from holdfast.tls.credentials import Credentials, TlsFiles, load_valid
from holdfast.tls.renewal import Renewal

EXPIRING_SHARE = 5
"""A certificate is said to expire when less than this part of its life is left: then renewal,
which is usual at two thirds, has failed for some time."""

_log = logging.getLogger(__name__)


class Certificates:
    """What the hub shows, and whom it lets in."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises TlsRefused: a hub does not begin with what it cannot use."""
        first = load_valid(files)
        self._renewal = Renewal(files, _told, load_valid)
        self._renewal.look()
        self.current = self._renewal.current or first
        self._given = self.current
        if self.current.note:
            _log.warning("%s", self.current.note)

    @property
    def trust(self) -> str:
        """The domain of this hub's identity."""
        return self.current.identity.trust

    @property
    def alarms(self) -> list[str]:
        """Names of what an operator must look at."""
        found = []
        if self._renewal.problem is not None:
            found.append("TLS_FILE_UNUSABLE")
        life_s = self.current.not_after_s - self.current.not_before_s
        if self.current.left_s() < life_s / EXPIRING_SHARE:
            found.append("CERTIFICATE_EXPIRING")
        return found

    def look(self, *, anew: bool = False) -> bool:
        """Takes up new files; True if there were any."""
        changed = self._renewal.look(anew=anew)
        self.current = self._renewal.current or self.current
        return changed

    def credentials(self) -> grpc.ServerCredentials:
        """For the port; each client must show a certificate."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self.current),
            self._before_handshake,  # type: ignore[arg-type]  # None is allowed: as before
            require_client_authentication=True,
        )

    def _before_handshake(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by a thread of gRPC; None: as before."""
        try:
            self.look()
        except Exception as error:  # noqa: BLE001 - a handshake goes on with what there is
            _log.error("looking for new certificates failed", exc_info=error)
        if self.current == self._given:
            return None
        self._given = self.current
        return _configuration(self.current)


def _configuration(found: Credentials) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(found.key, found.cert)], found.ca)


def _told(renewal: Renewal) -> None:
    if renewal.problem is not None:
        _log.error("%s; the files from before stay in use", renewal.problem)
    elif renewal.current is not None:
        _log.info("in use: the certificate of %r", renewal.current)
