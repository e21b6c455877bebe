"""Which daemon a command talks to, and what it says if there is none."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError, Unavailable
from holdfast.shell.doors import EDGE, HUB, Door

VARIABLES = ("HOLDFAST_SOCKET", "HOLDFAST_ADDRESS", "HOLDFAST_HUB")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a short path, and no variable set."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(prefix="hf-") as directory:
        monkeypatch.chdir(directory)
        yield Path(directory)


def test_an_edge_is_found_by_option_variable_and_place(elsewhere: Path) -> None:
    assert EDGE.find("/run/a.sock", {}) == "unix:/run/a.sock"
    assert EDGE.find("a.sock", {}) == "unix:./a.sock"
    assert EDGE.find(None, {"HOLDFAST_SOCKET": "/run/b.sock"}) == "unix:/run/b.sock"
    (elsewhere / ".run/edge-a").mkdir(parents=True)
    (elsewhere / ".run/edge-a/agent.sock").touch()
    assert EDGE.find(None, {}) == f"unix:{elsewhere}/.run/edge-a/agent.sock"


def test_a_socket_in_a_deep_folder_is_named_as_seen_from_there(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = elsewhere / ("deep" * 30)
    (deep / ".run/edge-a").mkdir(parents=True)
    (deep / ".run/edge-a/agent.sock").touch()
    monkeypatch.chdir(deep)
    assert EDGE.find(None, {}) == "unix:.run/edge-a/agent.sock"


def test_an_edge_is_never_looked_for_at_a_hub() -> None:
    with pytest.raises(Unavailable):
        EDGE.find(None, {"HOLDFAST_ADDRESS": "127.0.0.1:7443"})


def test_a_hub_is_found_by_option_variable_and_place(elsewhere: Path) -> None:
    assert HUB.find("127.0.0.1:1", {"HOLDFAST_HUB": "127.0.0.1:2"}) == "127.0.0.1:1"
    assert HUB.find(None, {"HOLDFAST_HUB": "127.0.0.1:2"}) == "127.0.0.1:2"
    assert HUB.find(None, {"HOLDFAST_ADDRESS": "127.0.0.1:3"}) == "127.0.0.1:3"
    (elsewhere / ".run").mkdir()
    (elsewhere / ".run/hub.address").write_text("127.0.0.1:4\n")
    assert HUB.find(None, {}) == "127.0.0.1:4"


@pytest.mark.parametrize("door", [EDGE, HUB], ids=lambda door: door.program)
def test_without_any_it_says_how_to_get_one(door: Door) -> None:
    with pytest.raises(Unavailable) as caught:
        door.find(None, {})
    assert caught.value.reason == "DOOR_UNREACHABLE"
    assert "make run" in caught.value.remedy
    assert door.option in caught.value.remedy


def _said(door: Door, address: str) -> HoldfastError:
    with pytest.raises(HoldfastError) as caught:
        door.client(address)
    return caught.value


def test_it_says_why_a_socket_does_not_answer(elsewhere: Path) -> None:
    assert "there is no such socket" in _said(EDGE, "./absent.sock").message
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(elsewhere / "left.sock"))
    assert "nobody listens there" in _said(EDGE, "./left.sock").message


def test_it_says_that_nobody_listens_at_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = _said(HUB, f"127.0.0.1:{port}")
    assert "nobody listens there" in said.message
    assert "cloud-hub run" in said.remedy


def test_a_socket_of_others_asks_for_their_permission() -> None:
    from holdfast.shell import doors

    words = doors._in_words(PermissionError(13, "no"))
    assert words == "this user may not open it"
    assert "ls -l /x" in doors._remedy(PermissionError(13, "no"), EDGE, "/x")
