"""The frame around servicers, over a real socket: every way a call can go wrong gets its status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from holdfast.host.door import Refusal, UnknownMethods, add_service
from holdfast.host.refusal import DETAILS_KEY, MAX_TRAILER_BYTES, refusal_for
from holdfast.reasons import DOMAIN, REASONS
from holdfast.v1 import replication_service_pb2 as replication
from holdfast.v1 import state_service_pb2 as state
from sync.workflow import TransitionNotAllowed, fire

STATE = "/holdfast.v1.StateService/"
REPLICATE = "/holdfast.v1.ReplicationService/Replicate"


class Servicer:
    """Does what the space's name asks for."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def Get(self, request: state.GetRequest, context: Any) -> state.GetResponse:
        await self._behave(request.space, context)
        return state.GetResponse(answer=state.Answer(session_token=b"token"))

    async def Watch(
        self, request: state.WatchRequest, context: Any
    ) -> AsyncIterator[state.WatchResponse]:
        yield state.WatchResponse(resume_token=b"1")
        await self._behave(request.space, context)
        yield state.WatchResponse(resume_token=b"2")

    async def Replicate(
        self, requests: AsyncIterator[replication.ReplicateRequest], context: Any
    ) -> AsyncIterator[replication.ReplicateResponse]:
        async for request in requests:
            await self._behave(request.hello.edge, context)
            yield replication.ReplicateResponse(welcome=replication.Welcome(hub="hub"))

    async def _behave(self, what: str, context: Any) -> None:
        if what == "refuse":
            raise Refusal("REVISION_MISMATCH", "it is at 7", metadata={"revision": "7"})
        if what == "foreseen":
            raise Foreseen("the disk is full")
        if what == "bug":
            raise RuntimeError("password=hunter2")
        if what == "abort":
            await context.abort(grpc.StatusCode.ABORTED, "by itself")
        if what == "hang":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise


class Writer:
    """Streams by writing instead of yielding."""

    async def Watch(self, request: state.WatchRequest, context: Any) -> None:
        await context.write(state.WatchResponse(resume_token=b"1"))
        raise Refusal("TOO_SLOW")


class Foreseen(Exception):
    reason = "DISK_FULL"


@pytest.fixture
async def servicer() -> Servicer:
    return Servicer()


@asynccontextmanager
async def serving(path: Path, servicer: object) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server of both services."""
    server = grpc.aio.server()
    add_service(server, state.DESCRIPTOR.services_by_name["StateService"], servicer)
    services = replication.DESCRIPTOR.services_by_name
    add_service(server, services["ReplicationService"], servicer)
    server.add_generic_rpc_handlers((UnknownMethods(),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{path}") as opened:
            yield opened
    finally:
        await server.stop(0)


@pytest.fixture
async def channel(tmp_path: Path, servicer: Servicer) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(tmp_path / "door.sock", servicer) as opened:
        yield opened


def call(channel: Any, method: str, space: str | bytes) -> Any:
    """A call of Get or Watch; bytes are sent as they are."""
    data = space if isinstance(space, bytes) else state.GetRequest(space=space).SerializeToString()
    if method == "Watch":
        return channel.unary_stream(STATE + method)(data)
    return channel.unary_unary(STATE + method)(data)


def opened_stream(channel: Any) -> Any:
    return channel.stream_stream(REPLICATE)()


async def ended(ending: Any) -> None:
    if not hasattr(ending, "read"):
        await ending
        return
    while await ending.read() is not grpc.aio.EOF:
        pass


async def refused(ending: Any) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo, Any]:
    """The status, its ErrorInfo and its RetryInfo (or None) of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ended(ending)
    error = caught.value
    trailers: dict[str, Any] = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers[DETAILS_KEY])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    info, retry = error_details_pb2.ErrorInfo(), None
    assert status.details[0].Unpack(info)
    if len(status.details) > 1:
        retry = error_details_pb2.RetryInfo()
        assert status.details[1].Unpack(retry)
    assert info.domain == DOMAIN
    return error.code(), info, retry


async def test_what_goes_well_passes_through(channel: grpc.aio.Channel) -> None:
    answer = state.GetResponse.FromString(await call(channel, "Get", "fine"))
    assert answer.answer.session_token == b"token"
    tokens = [
        state.WatchResponse.FromString(data).resume_token
        async for data in call(channel, "Watch", "fine")
    ]
    assert tokens == [b"1", b"2"]


@pytest.mark.parametrize("method", ["Get", "Watch"])
async def test_a_refusal_is_a_status_with_its_reason(
    channel: grpc.aio.Channel, method: str
) -> None:
    code, info, retry = await refused(call(channel, method, "refuse"))
    assert (code, info.reason) == (grpc.StatusCode.ABORTED, "REVISION_MISMATCH")
    assert info.metadata["revision"] == "7"
    assert info.metadata["remedy"] == REASONS["REVISION_MISMATCH"].remedy
    assert retry is None


async def test_an_error_with_a_reason_of_the_table_is_a_refusal(channel: grpc.aio.Channel) -> None:
    code, info, retry = await refused(call(channel, "Get", "foreseen"))
    assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL")
    assert retry.retry_delay.ToMilliseconds() == 5_000


@pytest.mark.parametrize("method", ["Get", "Watch"])
async def test_what_nobody_foresaw_is_told_by_an_id_only(
    channel: grpc.aio.Channel, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        code, info, _ = await refused(call(channel, method, "bug"))
    assert (code, info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "hunter2" not in str(info)
    assert f"[{info.metadata['incident']}]" in caplog.text
    assert "hunter2" in caplog.text


@pytest.mark.parametrize("method", ["Get", "Watch"])
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x02\xc3\x28"], ids=["wire", "utf-8"])
async def test_bytes_that_are_no_message_are_refused(
    channel: grpc.aio.Channel, method: str, data: bytes
) -> None:
    code, info, _ = await refused(call(channel, method, data))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


async def test_a_stream_of_requests_is_refused_where_it_breaks(channel: grpc.aio.Channel) -> None:
    hello = replication.ReplicateRequest(hello=replication.Hello(edge="fine"))
    stream = opened_stream(channel)
    await stream.write(hello.SerializeToString())
    assert replication.ReplicateResponse.FromString(await stream.read()).welcome.hub == "hub"
    await stream.write(b"\xff\xff\xff")
    _, info, _ = await refused(stream)
    assert info.reason == "MALFORMED_REQUEST"


async def test_a_stream_of_requests_may_be_refused(channel: grpc.aio.Channel) -> None:
    hello = replication.ReplicateRequest(hello=replication.Hello(edge="refuse"))
    stream = opened_stream(channel)
    await stream.write(hello.SerializeToString())
    _, info, _ = await refused(stream)
    assert info.reason == "REVISION_MISMATCH"


async def test_a_servicer_may_write_its_stream(tmp_path: Path) -> None:
    async with serving(tmp_path / "writer.sock", Writer()) as channel:
        watch = call(channel, "Watch", "any")
        assert state.WatchResponse.FromString(await watch.read()).resume_token == b"1"
        _, info, _ = await refused(watch)
        assert info.reason == "TOO_SLOW"
        _, info, _ = await refused(call(channel, "Get", "any"))
        assert info.reason == "NOT_IMPLEMENTED"


async def test_unknown_methods_have_a_reason_too(channel: Any) -> None:
    code, info, _ = await refused(channel.unary_unary("/holdfast.v1.Nothing/At")(b""))
    assert (code, info.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD")


async def test_a_servicer_may_end_the_call_itself(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, "Get", "abort")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.ABORTED, "by itself")


@pytest.mark.parametrize("method", ["Get", "Watch"])
async def test_cancellation_reaches_the_servicer(
    channel: grpc.aio.Channel, servicer: Servicer, method: str
) -> None:
    calling = call(channel, method, "hang")
    if method == "Watch":
        await calling.read()
    else:
        await asyncio.sleep(0.05)
    calling.cancel()
    await asyncio.wait_for(servicer.cancelled.wait(), 5)


async def test_texts_of_any_size_fit_the_trailers() -> None:
    for text in ("a" * 100_000, "\U0001f600" * 50_000, "\ud800" * 50_000):
        refusal = Refusal("WRITES_LOST", text, metadata={"seqs": text, "more": text, "empty": ""})
        sent = 3 * len(refusal.details.encode()) + len(refusal.trailers()[0][1]) * 4 // 3
        assert sent + 200 < MAX_TRAILER_BYTES
        info = error_details_pb2.ErrorInfo()
        status_pb2.Status.FromString(refusal.trailers()[0][1]).details[0].Unpack(info)
        assert info.metadata["truncated"] and info.metadata["remedy"]
        assert info.metadata["empty"] == ""


def test_reasons_of_others_are_not_ours() -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        b"\xff".decode()
    assert caught.value.reason
    assert refusal_for(caught.value) is None


def test_what_an_error_tells_programs_is_told() -> None:
    """The metadata of errors that are no Refusal was lost on the way."""
    with pytest.raises(TransitionNotAllowed) as caught:
        fire("pending", "resume")
    refusal = refusal_for(caught.value)
    assert refusal is not None
    assert refusal.metadata == {
        "state": "pending",
        "event": "resume",
        "allowed": "start,run,fail,cancel",
    }
