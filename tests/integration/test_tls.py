"""A hub and edges that know each other by certificates: real handshakes, over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from edge_agent.credentials import EdgeCredentials
from edge_agent.daemon import EdgeAgent
from edge_agent.uplink import Address, secure
from holdfast import Client, TlsFiles, errors
from holdfast.tls.credentials import TlsRefused, dialling_context, load
from holdfast.tls.identity import Role
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge_pb
from holdfast.v1 import replication_service_pb2_grpc as rpc
from sync import codec
from sync import messages as m
from tests.certificates import Shop
from tests.house import PERSON, SPACE, House, until
from tests.integration.strangers import batch, create, hello, new_id, push

pytestmark = pytest.mark.integration

PART = f"{SPACE}/parts/7"


@dataclass
class Fort:
    """A house whose hub speaks TLS, and who issues its certificates."""

    home: House
    shop: Shop

    def address(self, files: TlsFiles) -> Address:
        return secure(f"127.0.0.1:{self.home.port}", EdgeCredentials(files))

    async def edge(self, name: str, files: TlsFiles | None = None) -> EdgeAgent:
        """An edge of a name, by default with the certificate of that name."""
        found = files or self.shop.files(Role.EDGE, name)
        return await self.home.start_edge(name, hub=self.address(found))

    async def link(self, name: str) -> str:
        """Where the link of an edge is, in the words of the interface."""
        status = await self.home.status(name)
        return edge_pb.LinkState.Name(status.link).removeprefix("LINK_STATE_")

    async def comes_to(self, name: str, link: str) -> edge_pb.GetEdgeStatusResponse:
        async def there() -> bool:
            return await self.link(name) == link

        await until(there)
        return await self.home.status(name)

    async def head(self) -> int:
        spaces = await self.home.hub_spaces()
        return spaces[SPACE].head.revision if SPACE in spaces else 0


@contextlib.asynccontextmanager
async def fort(**hub: Any) -> AsyncIterator[Fort]:
    with tempfile.TemporaryDirectory(prefix="hf-") as root:
        shop = Shop(Path(root) / "certs")
        home = House(Path(root))
        home.hub_tls = shop.files(Role.HUB, "hub", **hub)
        home.operator = shop.files(Role.OPERATOR, "ann")
        try:
            await home.start_hub()
            yield Fort(home, shop)
        finally:
            await home.close()


@pytest.mark.promise("tls.mutual")
async def test_an_edge_with_a_certificate_is_known_by_the_name_in_it() -> None:
    async with fort() as made:
        await made.edge("a", made.shop.files(Role.EDGE, "arm-3"))
        receipt = await made.home.at("a").put(PART, {"state": "gripped"})
        assert (await receipt.outcome()).kind == "applied"
        answer = await made.home.keeper("hub").request(
            "AdminService.ListEdges", admin.ListEdgesRequest()
        )
        assert isinstance(answer, admin.ListEdgesResponse)
        assert [edge.edge for edge in answer.edges] == ["arm-3"]
        await made.home.settled("a")


@pytest.mark.promise("rule.local-without-credentials")
@pytest.mark.parametrize("fault", ["expired", "wrong CA", "no file"])
async def test_without_credentials_local_work_goes_on_and_the_state_is_seen(fault: str) -> None:
    async with fort() as made:
        files = made.shop.files(Role.EDGE, "a")
        if fault == "expired":
            made.shop.files(Role.EDGE, "a", days=-1)
        elif fault == "wrong CA":
            made.shop.files(Role.EDGE, "a", authority=made.shop.other)
        else:
            made.shop.remove("edge-a.pem")
        agent = await made.edge("a", files)
        client = made.home.at("a")
        for n in range(3):
            await client.put(PART, {"n": n})
        found = await client.get(PART)
        assert found is not None
        assert found.value == {"n": 2}
        status = await made.comes_to("a", "NEEDS_AUTH")
        assert "NEEDS_AUTH" in status.alarms
        assert status.pending == 3
        assert {
            "expired": "it ended at",
            "wrong CA": "closes the connection when it has seen the certificate",
            "no file": "there is no such file",
        }[fault] in status.link_reason
        assert await made.head() == 0

        made.shop.files(Role.EDGE, "a")
        await agent.reload()
        status = await made.comes_to("a", "STREAMING")
        await made.home.settled("a")
        assert (await made.home.status("a")).alarms == []
        assert await made.head() == 3


@pytest.mark.promise("tls.mutual")
@pytest.mark.parametrize("fault", ["other CA", "other name"])
async def test_a_hub_that_is_not_known_is_told_nothing(fault: str) -> None:
    hosts = ("127.0.0.1",) if fault == "other CA" else ("hub.example",)
    async with fort(hosts=hosts) as made:
        made.home.operator = made.shop.files(
            Role.OPERATOR, "ann", hub_name="" if fault == "other CA" else "hub.example"
        )
        files = made.shop.files(Role.EDGE, "a")
        if fault == "other CA":
            mine = made.shop.put("mine.pem", made.shop.other.cert)
            files = TlsFiles(files.cert, files.key, mine)
        await made.edge("a", files)
        await made.home.at("a").put(PART, {"n": 1})

        async def distrusted() -> bool:
            return "HUB_NOT_TRUSTED" in (await made.home.status("a")).link_reason

        await until(distrusted)
        assert (await made.home.status("a")).pending == 1
        assert await made.head() == 0
        if fault == "other name":
            await made.home.end("a")
            del made.home.settings["a"]
            await made.edge("a", made.shop.files(Role.EDGE, "a", hub_name="hub.example"))
            await made.home.settled("a")


@pytest.mark.promise("tls.mutual")
async def test_without_a_certificate_nobody_is_heard() -> None:
    async with fort() as made:
        ca = made.shop.authority.cert
        target = f"127.0.0.1:{made.home.port}"
        for channel in (
            grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(ca)),
            grpc.aio.insecure_channel(target),
        ):
            async with channel:
                check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await check(b"", timeout=10)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.promise("tls.origin-bound")
async def test_another_identity_cannot_go_on_with_an_outbox() -> None:
    async with fort() as made:
        await made.edge("a")
        await (await made.home.at("a").put(PART, {"n": 1})).outcome()
        await made.home.settled("a")
        await made.home.end("a")
        del made.home.settings["a"]
        await made.edge("a", made.shop.files(Role.EDGE, "b"))
        await made.home.at("a").put(PART, {"n": 2})
        status = await made.comes_to("a", "NEEDS_AUTH")
        assert status.link_reason.startswith("ORIGIN_NOT_YOURS")
        assert "NEEDS_AUTH" in status.alarms
        assert await made.head() == 1
        assert status.pending == 1

        await made.home.end("a")  # the certificate of its own, and all is well
        del made.home.settings["a"]
        await made.edge("a")
        await made.home.settled("a")
        assert await made.head() == 2


@pytest.mark.promise("tls.origin-bound")
@pytest.mark.parametrize("message", ["hello", "push", "void", "compare"])
async def test_no_message_may_name_the_origin_of_another(message: str) -> None:
    async with fort() as made:
        agent = await made.edge("a")
        await (await made.home.at("a").put(PART, {"n": 1})).outcome()
        theirs, mine = agent.files.outbox.origin.id, new_id()
        said: dict[str, m.EdgeMessage] = {
            "hello": hello(theirs),
            "push": push(batch(theirs, create("stolen"), first_seq=2)),
            "void": m.VoidRange(SPACE, theirs, 2, 1, "TRIMMED", ()),
            "compare": m.CompareIds(SPACE, theirs, (1,)),
        }
        first: list[m.EdgeMessage] = (
            [] if message == "hello" else [hello(mine), m.Credit(1_000, 1 << 20)]
        )
        reason = await _told(made, made.shop.files(Role.EDGE, "b"), [*first, said[message]])
        assert reason == "ORIGIN_NOT_YOURS"
        assert await made.head() == 1
        assert await made.link("a") == "STREAMING"  # nobody has taken its stream's place
        await (await made.home.at("a").put(PART, {"n": 2})).outcome()


async def _told(made: Fort, files: TlsFiles, said: list[m.EdgeMessage]) -> str:
    """The reason of the goodbye that a party with these files is told for what it says."""
    found = load(files)
    credentials = grpc.ssl_channel_credentials(found.ca, found.key, found.cert)
    target = f"127.0.0.1:{made.home.port}"
    async with grpc.aio.secure_channel(target, credentials) as channel:
        call = rpc.ReplicationServiceStub(channel).Replicate(timeout=20)
        for each in said:
            await call.write(codec.edge_message_to(each))
        async for answer in call:
            if answer.HasField("goodbye"):
                return str(answer.goodbye.reason)
    return ""


@pytest.mark.promise("tls.origin-bound")
async def test_what_was_used_without_identities_belongs_to_the_first_that_comes_with_it() -> None:
    async with fort() as made:
        tls, made.home.hub_tls = made.home.hub_tls, None
        operator, made.home.operator = made.home.operator, None
        await made.home.end("hub")
        await made.home.start_hub()
        await made.home.start_edge("a")
        await (await made.home.at("a").put(PART, {"n": 1})).outcome()
        await made.home.end("a", "hub")
        del made.home.settings["a"]
        made.home._keepers.pop("hub", None)

        made.home.hub_tls, made.home.operator = tls, operator
        await made.home.start_hub()
        await made.edge("a")
        await (await made.home.at("a").put(PART, {"n": 2})).outcome()
        await made.home.end("a")
        del made.home.settings["a"]
        await made.edge("a", made.shop.files(Role.EDGE, "b"))
        status = await made.comes_to("a", "NEEDS_AUTH")
        assert status.link_reason.startswith("ORIGIN_NOT_YOURS")


@pytest.mark.promise("tls.mutual")
async def test_both_clients_speak_tls() -> None:
    async with fort() as made:
        files = made.shop.files(Role.CLIENT, "app")

        def blocking() -> object:
            with Client(f"127.0.0.1:{made.home.port}", PERSON, tls=files) as client:
                client.put(PART, {"n": 1})
                found = client.get(PART)
                return found and found.value

        assert await asyncio.to_thread(blocking) == {"n": 1}
        found = await made.home.at("hub", tls=files).get(PART)
        assert found is not None
        assert found.value == {"n": 1}


@pytest.mark.promise("tls.rights")
async def test_each_role_may_call_what_the_table_says() -> None:
    async with fort() as made:
        client = made.home.at("hub", tls=made.shop.files(Role.CLIENT, "app"))
        await client.put(PART, {"n": 1})
        found = await client.get(PART)
        assert found is not None
        with pytest.raises(errors.PermissionDenied, match="may be called by operator") as caught:
            await client.request("AdminService.ListSpaces", admin.ListSpacesRequest())
        assert caught.value.reason == "NOT_ALLOWED"
        assert await made.head() == 1  # an operator's
        edge = made.home.at("hub", tls=made.shop.files(Role.EDGE, "a"))
        with pytest.raises(errors.PermissionDenied):
            await edge.request("AdminService.GetHubStatus", admin.GetHubStatusRequest())
        abroad = Shop(made.shop.directory / "abroad", trust="elsewhere.example")
        abroad.authority = made.shop.authority
        abroad.trusts(made.shop.authority)
        made.shop.authority.trust = "elsewhere.example"
        stranger = made.home.at("hub", tls=abroad.files(Role.OPERATOR, "eve"))
        with pytest.raises(errors.PermissionDenied, match="domain") as caught:
            await stranger.request("AdminService.GetHubStatus", admin.GetHubStatusRequest())
        assert caught.value.reason == "IDENTITY_REFUSED"


@pytest.mark.promise("tls.rights")
async def test_an_operator_cannot_open_a_stream() -> None:
    async with fort() as made:
        await made.edge("a", made.shop.files(Role.OPERATOR, "ann"))
        status = await made.comes_to("a", "NEEDS_AUTH")
        assert status.link_reason.startswith("NOT_ALLOWED")


# -- new files -----------------------------------------------------------------------------------


def _serial(files: TlsFiles, port: int) -> str:
    """The serial number of the certificate that the hub shows."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        dialling_context(load(files)).wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        assert secured.version() == "TLSv1.3"
        return str((secured.getpeercert() or {})["serialNumber"])


@pytest.mark.promise("tls.reload")
async def test_a_renewed_certificate_of_the_hub_is_shown_from_the_next_handshake_on() -> None:
    async with fort() as made:
        files = made.shop.files(Role.CLIENT, "app")
        agent = await made.edge("a")
        before = await asyncio.to_thread(_serial, files, made.home.port)
        assert await asyncio.to_thread(_serial, files, made.home.port) == before
        made.shop.files(Role.HUB, "hub")
        assert await asyncio.to_thread(_serial, files, made.home.port) != before
        await (await made.home.at("a").put(PART, {"n": 1})).outcome()
        assert agent.uplink.state == "streaming"


@pytest.mark.promise("tls.reload")
async def test_a_broken_file_changes_nothing_and_is_an_alarm() -> None:
    async with fort() as made:
        files = made.shop.files(Role.CLIENT, "app")
        before = await asyncio.to_thread(_serial, files, made.home.port)
        assert made.home.hub_tls is not None
        made.shop.put(Path(made.home.hub_tls.cert).name, made.shop.authority.cert[:300])
        assert await asyncio.to_thread(_serial, files, made.home.port) == before
        hub = made.home.running["hub"].daemon
        assert hub.alarms() == ["TLS_FILE_UNUSABLE"]
        answer = await made.home.keeper("hub").request(
            "AdminService.GetHubStatus", admin.GetHubStatusRequest()
        )
        assert isinstance(answer, admin.GetHubStatusResponse)
        assert list(answer.alarms) == ["TLS_FILE_UNUSABLE"]
        made.shop.files(Role.HUB, "hub", days=-1)  # whole, and expired
        assert not hub.reload()
        assert hub.alarms() == ["TLS_FILE_UNUSABLE"]
        made.shop.files(Role.HUB, "hub")
        assert hub.reload()
        assert hub.alarms() == []
        assert await asyncio.to_thread(_serial, files, made.home.port) != before


@pytest.mark.promise("tls.reload")
async def test_a_ca_that_was_taken_away_lets_nobody_in_any_more() -> None:
    async with fort() as made:
        old = made.shop.files(Role.EDGE, "a")
        agent = await made.edge("a", old)
        await made.comes_to("a", "STREAMING")
        # The hub and its operator move to another CA; for a while both are trusted.
        made.shop.trusts(made.shop.authority, made.shop.other)
        made.home.operator = made.shop.files(Role.OPERATOR, "ann", authority=made.shop.other)
        made.shop.files(Role.HUB, "hub", authority=made.shop.other)
        await agent.reload()
        hub = made.home.running["hub"].daemon
        hub.reload()
        await (await made.home.at("a").put(PART, {"n": 1})).outcome()
        # Now the old one is taken away at the hub. The connection that stands is let go by its age.
        made.shop.trusts(made.shop.other)
        assert hub.reload()
        await made.home.at("a").put(PART, {"n": 2})
        await hub.streams.close("STREAM_AGED", "its time has come", 0)
        status = await made.comes_to("a", "NEEDS_AUTH")
        assert "closes the connection" in status.link_reason
        made.shop.files(Role.EDGE, "a", authority=made.shop.other)
        await agent.reload()
        await made.comes_to("a", "STREAMING")
        made.home._keepers.clear()
        await made.home.settled("a")


@pytest.mark.promise("tls.reload")
async def test_an_edge_dials_with_its_renewed_certificate_while_it_streams() -> None:
    async with fort() as made:
        agent = await made.edge("a")
        client = made.home.at("a")
        await (await client.put(PART, {"n": 0})).outcome()
        first = agent.uplink._stream
        writing = asyncio.create_task(_writes(client, 50))
        made.shop.files(Role.EDGE, "a")
        assert await agent.reload()
        await writing
        await made.home.settled("a")
        assert agent.uplink._stream is not first
        assert await made.head() == 51
        assert (await made.home.status("a")).alarms == []
        made.shop.put("edge-a.key", b"half a k", 0o600)
        assert not await agent.reload()
        assert (await made.home.status("a")).alarms == ["TLS_FILE_UNUSABLE"]
        await (await client.put(PART, {"n": "on"})).outcome()


@pytest.mark.promise("tls.reload")
async def test_what_an_edge_hands_on_goes_by_its_present_certificate() -> None:
    async with fort() as made:
        files = made.shop.files(Role.EDGE, "a")
        made.shop.remove("edge-a.pem")
        agent = await made.edge("a", files)
        client = made.home.at("a")
        with pytest.raises(errors.HoldfastError) as caught:
            await client.put("elsewhere/parts/1", {"n": 1}, level="strong", timeout_s=2.0)
        assert caught.value.reason == "NEEDS_AUTH"
        for n in range(2):
            made.shop.files(Role.EDGE, "a")
            assert await agent.reload()
            await made.comes_to("a", "STREAMING")
            await client.put("elsewhere/parts/1", {"n": n}, level="strong")
        assert (await made.home.hub_spaces())["elsewhere"].head.revision == 2


async def _writes(client: Any, count: int) -> None:
    for n in range(count):
        await client.put(PART, {"n": n})


@pytest.mark.promise("tls.mutual")
async def test_a_hub_does_not_begin_with_what_it_cannot_use() -> None:
    with tempfile.TemporaryDirectory(prefix="hf-") as root:
        shop, home = Shop(Path(root) / "certs"), House(Path(root))
        home.hub_tls = shop.files(Role.HUB, "hub", days=-1)
        with pytest.raises(TlsRefused, match="it has expired"):
            await home.start_hub()


async def test_a_client_takes_up_a_renewed_certificate_when_it_connects_anew() -> None:
    async with fort() as made:
        made.shop.files(Role.CLIENT, "app", days=-1)
        files = TlsFiles(
            made.shop.directory / "client-app.pem",
            made.shop.directory / "client-app.key",
            made.shop.directory / "ca.pem",
        )
        client = made.home.at("hub", tls=files, connect_timeout_s=1.0)
        with pytest.raises(errors.Unavailable):
            await client.get(PART, timeout_s=1.0)
        made.shop.files(Role.CLIENT, "app")
        assert await client.get(PART) is None
