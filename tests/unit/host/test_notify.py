"""Notices to the service manager, over real datagram sockets."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.host.notify import MAX_STATUS_CHARS, Notifier, monotonic_us

Receive = Callable[[], str]


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Receive]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        name = f"{tmp_path}/notify" if request.param == "file" else f"@holdfast-{os.getpid()}"
        listening.bind(name.replace("@", "\0"))
        yield name, lambda: listening.recv(4096).decode()


def test_every_notice_arrives(manager: tuple[str, Receive]) -> None:
    address, receive = manager
    notifier = Notifier(address, now_us=lambda: 1234)
    for notice, sent in (
        (notifier.ready, "READY=1"),
        (notifier.reloading, "RELOADING=1\nMONOTONIC_USEC=1234"),
        (notifier.watchdog, "WATCHDOG=1"),
        (notifier.stopping, "STOPPING=1"),
    ):
        assert notice()
        assert receive() == sent
    assert notifier.status("synced, 0 pending")
    assert receive() == "STATUS=synced, 0 pending"
    assert notifier.ready("up")
    assert receive() == "READY=1\nSTATUS=up"


def test_a_status_cannot_carry_another_assignment(manager: tuple[str, Receive]) -> None:
    address, receive = manager
    Notifier(address).status("a\nMAINPID=1\n" + "x" * 1000)
    said = receive()
    assert said.startswith("STATUS=a MAINPID=1 xxx")
    assert len(said) == len("STATUS=") + MAX_STATUS_CHARS


def test_without_a_manager_nothing_happens() -> None:
    notifier = Notifier.from_environment({"WATCHDOG_USEC": "30000000"})
    assert not notifier.ready()
    assert notifier.watchdog_interval_s is None


@pytest.mark.parametrize("address", ["/nowhere/at/all", "@holdfast-nobody-listens", "vsock:2:1"])
def test_a_manager_that_is_gone_is_no_error(address: str) -> None:
    assert not Notifier.from_environment({"NOTIFY_SOCKET": address}).ready()


def test_a_full_socket_is_no_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"{tmp_path}/notify")
        notifier = Notifier(f"{tmp_path}/notify")
        # A datagram socket takes a few hundred unread notices, then the first is dropped.
        assert any(not notifier.watchdog() for _ in range(100_000))


@pytest.mark.parametrize(
    ("env", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_due_twice_in_its_period(
    env: dict[str, str], interval_s: float | None
) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "/run/notify", **env})
    assert notifier.watchdog_interval_s == interval_s


def test_the_clock_of_the_protocol_is_in_microseconds() -> None:
    assert 0 < monotonic_us() <= monotonic_us()
