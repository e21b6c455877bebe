"""What the channel arguments do, with real channels; times scaled down from those of production.

gRPC ignores what it does not know, so an argument is only proven by its effect. The intervals are
divided by SCALE and keep their relations to each other.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import grpc
import grpc.aio
import pytest

from holdfast.host.channels import MAX_MESSAGE_BYTES, Options, client_options, server_options

pytestmark = pytest.mark.integration

SCALE = 10
"""Ten seconds become one: the core sends no two pings on a stream within less."""

PATIENCE_S = 20
"""Far more than any of it takes; a wait this long is a failure."""

ECHO = "/test.Echo/Echo"
HOLD = "/test.Echo/Hold"


def scaled(options: Options) -> Options:
    intervals = ("keepalive_time_ms", "ping_timeout_ms", "min_ping_interval_without_data_ms")
    return tuple(
        (name, value // SCALE if name.endswith(intervals) else value) for name, value in options
    )


def without(options: Options, name: str) -> Options:
    found = tuple(option for option in options if option[0] != name)
    assert len(found) == len(options) - 1
    return found


async def echo(request: bytes, _: object) -> bytes:
    return request


async def hold(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
    await context.send_initial_metadata(())
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[int]:
    """A server's port."""
    server = grpc.aio.server(options=options)
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Hold": grpc.unary_stream_rpc_method_handler(hold),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def held(channel: grpc.aio.Channel) -> "grpc.aio.UnaryStreamCall[bytes, bytes]":
    stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(HOLD)
    return stream(b"")


async def end_of_idle_stream(port: int) -> grpc.StatusCode:
    options = scaled(client_options())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        return await held(channel).code()


@pytest.mark.parametrize("extra_bytes", [0, 1])
async def test_a_message_may_have_four_mebibytes_and_no_byte_more(extra_bytes: int) -> None:
    for client in (client_options(), without(client_options(), "grpc.max_send_message_length")):
        async with (
            serving(server_options()) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=client) as channel,
        ):
            message = bytes(MAX_MESSAGE_BYTES + extra_bytes)
            unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)
            call = unary(message, timeout=PATIENCE_S)
            assert await call.code() is (
                grpc.StatusCode.RESOURCE_EXHAUSTED if extra_bytes else grpc.StatusCode.OK
            )


async def test_an_idle_stream_outlives_its_pings() -> None:
    # Beside it runs what would be, were the server's argument absent or misspelt. That stream is
    # cut off for its pings; the other has pinged as often by then.
    absent = without(server_options(), "grpc.http2.min_ping_interval_without_data_ms")
    async with serving(scaled(server_options())) as port, serving(scaled(absent)) as bad_port:
        kept = asyncio.create_task(end_of_idle_stream(port))
        cut_off = asyncio.create_task(end_of_idle_stream(bad_port))
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait((kept, cut_off), return_when=asyncio.FIRST_COMPLETED)
        assert not kept.done()
        assert await cut_off is grpc.StatusCode.UNAVAILABLE
        kept.cancel()
        await asyncio.gather(kept, return_exceptions=True)


async def test_a_peer_that_falls_silent_is_noticed() -> None:
    frozen = asyncio.Event()
    async with (
        serving(server_options()) as port,
        silent_proxy(port, frozen.is_set) as proxy,
        grpc.aio.insecure_channel(
            f"127.0.0.1:{proxy}", options=scaled(client_options())
        ) as channel,
    ):
        call = held(channel)
        await call.initial_metadata()
        frozen.set()
        async with asyncio.timeout(PATIENCE_S):
            assert await call.code() is grpc.StatusCode.UNAVAILABLE


@contextlib.asynccontextmanager
async def silent_proxy(port: int, frozen: Callable[[], bool]) -> AsyncIterator[int]:
    """A way to the port that swallows every byte once frozen, as a cut network does; its own
    port."""
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if not frozen():
                    writer.write(data)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        for source, target in ((reader, far_writer), (far_reader, writer)):
            pumps.add(asyncio.create_task(pump(source, target)))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        # Closing a transport takes one more turn of the loop.
        await asyncio.sleep(0)
