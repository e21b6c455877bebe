"""Only addresses of this machine are served without encryption."""

from __future__ import annotations

import pytest

from holdfast.host.loopback import AddressRefused, is_loopback, parse, require


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "127.255.255.255", "localhost", "[::1]", "::1"]
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)
    assert str(require(f"{host}:7443", "")) == f"{host}:7443"


@pytest.mark.promise("rule.loopback-only")
@pytest.mark.parametrize(
    "host",
    [
        *("0.0.0.0", "10.0.0.1", "128.0.0.1", "[::]", "[fe80::1]", "::ffff:10.0.0.1"),
        *("example.org", "localhost.example.org", "127.0.0.1.example.org", "*", "127.1"),
    ],
)
def test_elsewhere_is_refused_with_the_reason_and_what_to_do(host: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        require(f"{host}:7443", "listen on loopback")
    assert caught.value.exit_code == 78
    assert "without encryption" in caught.value.message
    assert caught.value.remedy == "listen on loopback"


@pytest.mark.parametrize(
    "text", ["", "7443", ":7443", "host", "host:", "host:http", "host:65536", "host:-1", "host:²"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused, match="is no address"):
        parse(text)
