"""How a hub is set up, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloud_hub.settings import Settings, read
from holdfast.host.config import ConfigError
from holdfast.host.errors import HostError


def _read(env: dict[str, str] | None = None, **flags: Any) -> Settings:
    return read((), env or {}, {"data": Path("d"), "insecure": True} | flags)


def test_little_is_needed() -> None:
    found = _read()
    assert str(found.checked()) == "127.0.0.1:7443"
    assert not found.reflection


def test_the_environment_may_say_it_all() -> None:
    env = {
        "CLOUD_HUB__DATABASE": "postgresql://localhost/x",
        "CLOUD_HUB__INSECURE": "true",
        "CLOUD_HUB__LISTEN": "[::1]:0",
    }
    found = read((), env, {})
    assert found.database == "postgresql://localhost/x"
    assert found.checked().port == 0


def test_it_has_a_directory_or_a_database() -> None:
    with pytest.raises(ConfigError, match="neither is given"):
        _read(data=None)
    with pytest.raises(ConfigError, match="both are given"):
        _read(database="postgresql://localhost/x")


TLS: dict[str, Any] = {"tls.cert": Path("c"), "tls.key": Path("k"), "tls.ca": Path("a")}


def test_without_certificates_it_says_both_ways_out() -> None:
    with pytest.raises(ConfigError, match="no certificate") as caught:
        _read(insecure=False)
    assert "--insecure" in caught.value.remedy
    assert "--tls-cert" in caught.value.remedy
    assert caught.value.exit_code == 78


def test_with_certificates_it_listens_anywhere() -> None:
    found = _read(insecure=None, listen="0.0.0.0:7443", **TLS)
    assert str(found.checked()) == "0.0.0.0:7443"
    assert found.tls_files is not None
    assert [str(path) for path in found.tls_files.paths] == ["c", "k", "a"]


def test_the_environment_may_name_the_files() -> None:
    env = {f"CLOUD_HUB__TLS__{name.upper()}": name for name in ("cert", "key", "ca")}
    assert _read(env, insecure=None).tls_files is not None


def test_all_files_are_named_or_none() -> None:
    with pytest.raises(ConfigError, match="--tls-ca is not given"):
        _read(insecure=None, **(TLS | {"tls.ca": None}))


def test_plain_and_encrypted_at_once_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="plain TCP, and certificates are given"):
        _read(**TLS)


@pytest.mark.promise("rule.loopback-only")
@pytest.mark.parametrize("listen", ["0.0.0.0:7443", "192.168.1.5:7443", "hub.example.org:1"])
def test_insecure_is_for_loopback_only(listen: str) -> None:
    with pytest.raises(HostError, match="without encryption") as caught:
        _read(listen=listen)
    assert "127.0.0.1" in caught.value.remedy
    assert "--tls-cert" in caught.value.remedy
    assert caught.value.exit_code == 78
