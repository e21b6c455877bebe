"""Who may call what: the table has an entry for every method, and denies what it does not have."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from cloud_hub import server
from cloud_hub.access import ANYBODY, RIGHTS, check, identity_in
from cloud_hub.ownership import HUB, Vouched
from holdfast.host.refusal import Refusal
from holdfast.tls.identity import Identity, InvalidIdentity, Role, parse
from sync import messages as m

TRUST = "example.org"
SERVED = (
    *(file.services_by_name[name] for name, file in server.SERVICES.items()),
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
)
METHODS = {
    f"/{service.full_name}/{method.name}" for service in SERVED for method in service.methods
}


def who(role: Role) -> Identity:
    return Identity(TRUST, role, "x")


@pytest.mark.promise("tls.rights")
def test_every_method_that_the_hub_serves_has_an_entry_and_no_other_has() -> None:
    # The newer Health has a method more, which the hub does not serve.
    assert METHODS - {"/grpc.health.v1.Health/List"} == set(RIGHTS)


@pytest.mark.promise("tls.rights")
@pytest.mark.parametrize("role", Role)
def test_a_method_without_an_entry_is_refused_to_everybody(role: Role) -> None:
    with pytest.raises(Refusal) as caught:
        check("/holdfast.v1.AdminService/DropEverything", who(role), TRUST)
    assert caught.value.reason == "NOT_ALLOWED"


@pytest.mark.promise("tls.rights")
def test_only_operators_administer_and_only_edges_replicate() -> None:
    for method, roles in RIGHTS.items():
        if "AdminService" in method or "reflection" in method:
            assert roles == {Role.OPERATOR}, method
        elif "ReplicationService" in method or "BlobService" in method:
            assert roles == {Role.EDGE}, method
        else:
            assert roles == ANYBODY, method
        assert Role.HUB not in roles


def test_whoever_has_no_identity_or_one_of_elsewhere_is_refused() -> None:
    for somebody in (None, Identity("example.com", Role.OPERATOR, "x")):
        with pytest.raises(Refusal) as caught:
            check("/grpc.health.v1.Health/Check", somebody, TRUST)
        assert caught.value.reason == "IDENTITY_REFUSED"


def test_an_identity_is_the_one_uri_of_the_certificate() -> None:
    found = {"transport_security_type": [b"ssl"], "ssl_tls_version": [b"TLSv1.3"]}
    uri = who(Role.EDGE).uri.encode()
    assert identity_in(found | {"peer_uri": [uri]}) == who(Role.EDGE)
    assert identity_in({}) is None
    assert identity_in({"peer_uri": [uri]}) is None  # not over TLS
    for uris in ([], [uri, uri], [b"\xff"], [b"spiffe://example.org/edge"]):
        with pytest.raises(Refusal) as caught:
            identity_in(found | {"peer_uri": uris})
        assert caught.value.reason == "IDENTITY_REFUSED"
    with pytest.raises(Refusal, match=r"below 1\.3"):
        identity_in(found | {"peer_uri": [uri], "ssl_tls_version": [b"TLSv1.2"]})


def test_no_certificate_can_name_the_hub_as_owner() -> None:
    with pytest.raises(InvalidIdentity):
        parse(HUB)


@pytest.mark.promise("tls.origin-bound")
def test_before_its_hello_a_stream_may_name_nothing() -> None:
    mine, theirs = b"m" * 16, b"t" * 16
    vouched = Vouched(who(Role.EDGE))
    compare = m.CompareIds("site", mine, (1,))
    with pytest.raises(Refusal):
        vouched.check(compare)
    vouched.admit(frozenset({mine}))
    vouched.check(compare)
    with pytest.raises(Refusal) as caught:
        vouched.check(m.VoidRange("site", theirs, 1, 1, "TRIMMED", ()))
    assert caught.value.reason == "ORIGIN_NOT_YOURS"
    Vouched(None).check(m.VoidRange("site", theirs, 1, 1, "TRIMMED", ()))
