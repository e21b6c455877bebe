"""Telling the service manager (systemd) how the daemon is doing.

The protocol is a datagram of `KEY=value` lines to the socket named in NOTIFY_SOCKET. Without that
variable there is no service manager and all of this does nothing. A notice that cannot be delivered
is not worth a daemon's life: it is dropped, and the manager's own time-outs notice what matters.

Invariant: nothing here raises or waits for longer than SEND_TIMEOUT_S.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

SEND_TIMEOUT_S = 0.1
"""How long a full socket may hold up the event loop: the manager normally empties it at once."""

MAX_STATUS_CHARS = 400
"""What fits a line or two of `systemctl status`; a datagram must stay far below the socket's
buffer."""

_NO_SOCKET = ""


def monotonic_us() -> int:
    """CLOCK_MONOTONIC in microseconds: the clock that the protocol asks for, of no use for
    deadlines here."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000


class Notifier:
    """The way to the service manager, or to nowhere."""

    def __init__(
        self,
        address: str = _NO_SOCKET,
        watchdog_us: int = 0,
        now_us: Callable[[], int] = monotonic_us,
    ) -> None:
        self._address = address
        self._watchdog_us = watchdog_us
        self._now_us = now_us

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Notifier":
        """As the service manager asks in NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        address = env.get("NOTIFY_SOCKET", _NO_SOCKET)
        # Other kinds of address (vsock) are for virtual machines reporting to their host.
        known = address if address.startswith(("/", "@")) else _NO_SOCKET
        for_this_process = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        period = env.get("WATCHDOG_USEC", "0")
        return cls(known, int(period) if period.isdigit() and for_this_process else 0)

    @property
    def watchdog_interval_s(self) -> float | None:
        """How often `watchdog()` is due: half of what the manager allows; None if it does not
        watch."""
        return self._watchdog_us / 2_000_000 if self._watchdog_us and self._address else None

    def ready(self, status: str = "") -> bool:
        """Started, or done reloading. Forgetting it after `reloading()` hangs `systemctl
        reload`."""
        return self._send("READY=1", *_status(status))

    def status(self, status: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(status))

    def reloading(self) -> bool:
        """Reading the settings anew; to be followed by `ready()`."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={self._now_us()}")

    def stopping(self, status: str = "") -> bool:
        """Ending in good order."""
        return self._send("STOPPING=1", *_status(status))

    def watchdog(self) -> bool:
        """Still at work. To be sent only after the database has answered, and never for want of a
        network."""
        return self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> bool:
        """Whether the notice was handed over."""
        if not self._address or not lines:
            return False
        # "@name" stands for a socket without a file: its real name begins with a zero byte.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            channel.settimeout(SEND_TIMEOUT_S)
            channel.sendto("\n".join(lines).encode(), address)
            return True
        return False


def _status(text: str) -> tuple[str, ...]:
    # A line break would begin another assignment.
    return (f"STATUS={' '.join(text.split())[:MAX_STATUS_CHARS]}",) if text else ()
