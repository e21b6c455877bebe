"""What a certificate's URI may say, and who it then is."""

from __future__ import annotations

import pytest

from holdfast.tls.identity import MAX_URI_CHARS, Identity, InvalidIdentity, Role, only_one, parse


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://example.org/edge/arm-3",
        "spiffe://a/hub/1",
        "spiffe://plant-7.example.org/operator/ann.lee",
        "spiffe://t/client/A_b-c.d",
    ],
)
def test_an_identity_is_its_uri(uri: str) -> None:
    found = parse(uri)
    assert (found.uri, str(found)) == (uri, uri)
    assert only_one([uri]) == found
    assert found.role in Role


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://example.org/edge/a",
        "spiffe://example.org/edge",
        "spiffe://example.org/edge/",
        "spiffe://example.org/edge/a/b",
        "spiffe://example.org/edge/a?x",
        "spiffe://Example.org/edge/a",
        "spiffe:///edge/a",
        "spiffe://example.org/janitor/a",
        "spiffe://example.org/edge/..",
        "spiffe://example.org/edge/a\n",
        "spiffe://example.org/edge/\u00e4",
        "spiffe://example.org/edge/a%2fb",
        "spiffe://user@example.org/edge/a",
        "spiffe://example.org:1/edge/a",
        "spiffe://example.org/edge/" + "a" * MAX_URI_CHARS,
    ],
)
def test_what_names_nobody_is_refused(uri: str) -> None:
    with pytest.raises(InvalidIdentity):
        parse(uri)


@pytest.mark.parametrize("count", [0, 2])
def test_a_certificate_names_its_holder_once(count: int) -> None:
    with pytest.raises(InvalidIdentity, match="one URI"):
        only_one([f"spiffe://example.org/edge/{n}" for n in range(count)])


def test_an_identity_cannot_be_made_wrong() -> None:
    with pytest.raises(InvalidIdentity):
        Identity("example.org", Role.EDGE, "a/../b")
