"""How an edge agent is set up, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_agent.settings import MAX_SOCKET_PATH_BYTES, Settings, read, scopes
from holdfast.host.config import ConfigError
from holdfast.host.loopback import AddressRefused
from sync.commit import Actor, ActorKind
from sync.messages import Scope

FLAGS: dict[str, object] = {"hub.address": "127.0.0.1:7443", "data": Path("d")}


def _read(env: dict[str, str] | None = None, **flags: Any) -> Settings:
    given = {name.replace("__", "."): value for name, value in flags.items()}
    return read((), env or {}, FLAGS | given)


def test_little_is_needed() -> None:
    found = _read()
    assert found.doors == {Path("d/agent.sock"): None}
    assert scopes(found.scopes) == {"default": Scope()}
    assert list(map(str, found.hub_endpoints)) == ["127.0.0.1:7443"]
    assert found.edge_name


def test_a_file_the_environment_and_flags_in_this_order(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('data = "from-file"\nname = "from-file"\n[hub]\naddress = "127.0.0.1:1"\n')
    env = {"EDGE_AGENT__NAME": "from-env", "EDGE_AGENT__HUB__ADDRESS": "127.0.0.1:2"}
    found = read([file], env, {"hub.address": "127.0.0.1:3"})
    assert (found.data, found.name, found.hub.address) == (
        Path("from-file"),
        "from-env",
        "127.0.0.1:3",
    )


def test_a_hub_of_several_processes_has_several_addresses() -> None:
    found = _read(hub__address="127.0.0.1:1, 127.0.0.1:2,127.0.0.1:1")
    assert list(map(str, found.hub_endpoints)) == ["127.0.0.1:1", "127.0.0.1:2"]
    with pytest.raises(AddressRefused):
        _read(hub__address="127.0.0.1:1,10.0.0.1:2")
    with pytest.raises(ConfigError, match="33 addresses"):
        _read(hub__address=",".join(f"127.0.0.1:{port}" for port in range(1, 34)))


def test_scopes_are_whole_spaces_or_collections() -> None:
    assert scopes(["plant", "site/orders", "site/parts", "all/x", "all"]) == {
        "plant": Scope(),
        "site": Scope(whole=False, collections=frozenset({"orders", "parts"})),
        "all": Scope(),
    }


def test_scopes_with_a_prefix_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="not implemented") as caught:
        _read(scopes=("site/orders/2026",))
    assert "--scope site/orders" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "/x", "1x", "a b", "site/1"])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="scope"):
        _read(scopes=(text,))


def test_a_socket_may_be_of_one_actor() -> None:
    found = _read(sockets=("/run/a.sock", "/run/arm.sock=arm:3:robot"))
    assert found.doors == {
        Path("/run/a.sock"): None,
        Path("/run/arm.sock"): Actor("arm:3", ActorKind.ROBOT),
    }


@pytest.mark.parametrize("text", ["a.sock=", "a.sock=arm", "a.sock=arm:machine", "a.sock=:robot"])
def test_what_is_no_actor_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no actor") as caught:
        _read(sockets=(text,))
    assert "robot, human, ai, system" in caught.value.remedy


def test_a_path_that_the_kernel_cannot_take_is_refused() -> None:
    with pytest.raises(ConfigError, match=str(MAX_SOCKET_PATH_BYTES)):
        _read(sockets=("x" * (MAX_SOCKET_PATH_BYTES + 1),))
    with pytest.raises(ConfigError, match=str(MAX_SOCKET_PATH_BYTES)):
        _read(data=Path("x" * MAX_SOCKET_PATH_BYTES))


@pytest.mark.promise("rule.loopback-only")
def test_a_hub_on_another_machine_is_refused_with_the_reason() -> None:
    with pytest.raises(AddressRefused, match="without encryption") as caught:
        _read(hub__address="hub.example.org:7443")
    assert "--tls-cert" in caught.value.remedy
    assert "127.0.0.1" in caught.value.remedy


def test_with_certificates_the_hub_may_be_anywhere() -> None:
    files: dict[str, Any] = {f"tls__{name}": Path(name) for name in ("cert", "key", "ca")}
    found = _read(hub__address="hub.example.org:7443", hub__name="hub.local", **files)
    assert [str(each) for each in found.hub_endpoints] == ["hub.example.org:7443"]
    assert found.tls_files is not None
    assert found.tls_files.name == "hub.local"


def test_a_name_of_the_hub_is_for_tls_only() -> None:
    with pytest.raises(ConfigError, match="there is no TLS"):
        _read(hub__name="hub.local")


def test_a_misspelt_setting_is_not_passed_over() -> None:
    with pytest.raises(ConfigError, match="adress") as caught:
        _read({"EDGE_AGENT__HUB__ADRESS": "x"})
    assert "did you mean hub.address" in caught.value.remedy


def test_the_outbox_can_hold_a_commit() -> None:
    with pytest.raises(ConfigError, match="limit_bytes"):
        _read(outbox__limit_bytes=1_000)
    assert _read(outbox__limit_bytes=256 << 20).outbox.limit_bytes == 256 << 20
