"""The channel arguments: that gRPC's core knows each name, and that both ends fit each other."""

import mmap
from pathlib import Path

import grpc._cython
import pytest

from holdfast.host import channels
from holdfast.host.channels import client_options, server_options

NAMES = sorted({name for name, _ in (*client_options(), *server_options())})


def core() -> Path:
    (library,) = Path(grpc._cython.__file__).parent.glob("cygrpc*.so")
    return library


@pytest.mark.parametrize("name", NAMES)
def test_the_core_knows_the_name(name: str) -> None:
    # An unknown name is ignored in silence, so it is looked for in the compiled core. Strings are
    # stored together with the zero that ends them.
    with core().open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        assert image.find(name.encode() + b"\0") >= 0


def test_the_core_reads_the_ciphers_that_leave_tls_1_3_alone() -> None:
    environment: dict[str, str] = {}
    channels.allow_only_tls_1_3(environment)
    assert environment == {channels.CIPHERS_VARIABLE: channels.CIPHERS}
    with core().open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        assert image.find(channels.CIPHERS_VARIABLE.encode()) >= 0
        assert image.find(channels.CIPHERS.encode() + b"\0") >= 0


def test_the_look_into_the_core_can_fail() -> None:
    with core().open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        assert image.find(b"grpc.http2.min_ping_interval_ms\0") < 0


def test_no_argument_is_given_twice() -> None:
    for options in (client_options(), server_options(), server_options(max_connection_age_ms=None)):
        names = [name for name, _ in options]
        assert len(names) == len(set(names))


def test_a_client_that_keeps_alive_is_not_taken_for_a_flood() -> None:
    client, server = dict(client_options()), dict(server_options())
    least = server["grpc.http2.min_ping_interval_without_data_ms"]
    # Two pings may arrive closer together than they were sent, by what the network's delay varies.
    assert least * 2 <= client["grpc.keepalive_time_ms"]


def test_a_dead_peer_is_noticed_within_fifteen_seconds() -> None:
    client = dict(client_options())
    assert client["grpc.keepalive_time_ms"] + client["grpc.http2.ping_timeout_ms"] <= 15_000
    # The name that promises the same and does nothing.
    assert "grpc.keepalive_timeout_ms" not in NAMES


def test_both_ends_have_one_limit_for_messages() -> None:
    client, server = dict(client_options()), dict(server_options())
    for name in ("grpc.max_receive_message_length", "grpc.max_send_message_length"):
        assert client[name] == server[name] == channels.MAX_MESSAGE_BYTES == 4 * 1024 * 1024


def test_a_unix_socket_has_no_age() -> None:
    assert "grpc.max_connection_age_ms" in dict(server_options())
    assert dict(server_options(max_connection_age_ms=1))["grpc.max_connection_age_ms"] == 1
    local = dict(server_options(max_connection_age_ms=None))
    assert not any("connection_age" in name for name in local)
