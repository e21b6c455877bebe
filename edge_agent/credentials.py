"""How this edge is known to its hub, and knows it: the three files, in use and watched.

Nothing local depends on them. An edge without usable files, or with a certificate that has expired,
takes writes and answers reads as always; its link says `needs_auth`, and new files are taken up by
themselves. Whether a certificate is still good is for the hub to say: this machine's clock may be
wrong, so it is no reason not to dial.

Invariant: a channel is made of files that were checked as a whole.
"""

from __future__ import annotations

import asyncio
import logging

import grpc

from edge_agent.alarms import Alarms
from holdfast.host.channels import client_options
from holdfast.host.loopback import parse
from holdfast.tls.credentials import Credentials, TlsFiles
from holdfast.tls.probe import Finding, examine
from holdfast.tls.renewal import Renewal

NEEDS_AUTH = "NEEDS_AUTH"
UNUSABLE = "TLS_FILE_UNUSABLE"

ALWAYS_NAMED = frozenset({NEEDS_AUTH, "NOT_ALLOWED", "IDENTITY_REFUSED", "ORIGIN_NOT_YOURS"})
"""Ends of a stream for which only other credentials help."""

EXPIRING_SHARE = 5
"""A certificate is said to expire when less than this part of its life is left: then renewal,
which is usual at two thirds, has failed for some time."""

_log = logging.getLogger(__name__)


class NoCredentials(Exception):
    """There is nothing to dial with; `finding` says why."""

    reason = NEEDS_AUTH

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding, self.message = finding, finding.message


class EdgeCredentials:
    """The credentials for one hub, whichever of its processes is dialled."""

    def __init__(self, files: TlsFiles) -> None:
        self._alarms: Alarms | None = None
        self._renewal = Renewal(files, self._told)
        self._renewal.look()

    def report_to(self, alarms: Alarms) -> None:
        """From now on, what is wrong with the files is an alarm."""
        self._alarms = alarms
        self._told(self._renewal)

    @property
    def in_use(self) -> Credentials | None:
        """Another object for every renewal; None without any that can be used."""
        return self._renewal.current

    async def look(self, *, anew: bool = False) -> bool:
        """Takes up new files; True if there were any."""
        changed = await asyncio.to_thread(self._renewal.look, anew=anew)
        self._tell_of_age()
        return changed

    def channel(self, address: str) -> grpc.aio.Channel:
        """A channel to the hub at HOST:PORT. Raises NoCredentials."""
        found = self._in_use()
        options = [*client_options()]
        credentials = grpc.ssl_channel_credentials(found.ca, found.key, found.cert)
        name: list[tuple[str, str]] = []
        if found.name:
            name = [("grpc.ssl_target_name_override", found.name)]
        return grpc.aio.secure_channel(address, credentials, options=[*options, *name])

    async def why(self, address: str) -> Finding | None:
        """Why the hub could not be reached, if that is a matter of certificates."""
        host, port = parse(address)
        try:
            return await asyncio.to_thread(examine, host, port, self._in_use())
        except OSError:
            return None  # nobody is there to be asked
        except Exception as error:  # noqa: BLE001 - a look for a reason must not end the link
            _log.warning("looking into the connection failed", exc_info=error)
            return None

    def _in_use(self) -> Credentials:
        found, problem = self._renewal.current, self._renewal.problem
        if found is not None:
            return found
        assert problem is not None, "files that were looked at are in use or refused"
        finding = Finding(NEEDS_AUTH, problem.message, problem.remedy, ours=True)
        raise NoCredentials(finding)

    def _told(self, renewal: Renewal) -> None:
        problem, current = renewal.problem, renewal.current
        if problem is None and current is not None:
            _log.info("in use: the certificate of %r", current)
            if current.note:
                _log.warning("%s", current.note)
        if self._alarms is None:
            return
        if problem is not None:
            self._alarms.raise_(UNUSABLE, str(problem))
        else:
            self._alarms.clear(UNUSABLE)

    def _tell_of_age(self) -> None:
        found = self._renewal.current
        if found is None or self._alarms is None:
            return
        if found.left_s() < (found.not_after_s - found.not_before_s) / EXPIRING_SHARE:
            message = f"the certificate of {found.identity} ends at {found.ends}"
            self._alarms.raise_("CERTIFICATE_EXPIRING", message)
        else:
            self._alarms.clear("CERTIFICATE_EXPIRING")
