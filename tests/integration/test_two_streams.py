"""One edge with streams at two hub processes, the older half open: the newer stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from cloud_hub.hub import Hub, HubSettings, started
from holdfast.v1 import replication_service_pb2 as pb
from holdfast.v1 import replication_service_pb2_grpc as rpc
from tests.house import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.needs_postgres,
    pytest.mark.promise("hub.stream-fence"),
]

ORIGIN = b"o" * 16


class HalfOpen:
    """An edge that says hello and then nothing."""

    def __init__(self, hub: Hub) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{hub.port}")
        self._call = rpc.ReplicationServiceStub(self._channel).Replicate(self._requests())
        self._over = asyncio.Event()
        self.heard: list[pb.ReplicateResponse] = []
        self._listening = asyncio.create_task(self._listen())

    async def _requests(self) -> AsyncIterator[pb.ReplicateRequest]:
        hello = pb.Hello(protocol_versions=[1], edge="a", origin=ORIGIN, codecs=["identity"])
        yield pb.ReplicateRequest(hello=hello)
        await self._over.wait()

    async def _listen(self) -> None:
        async for response in self._call:
            self.heard.append(response)

    def heard_of(self, member: str) -> list[pb.ReplicateResponse]:
        return [each for each in self.heard if each.WhichOneof("message") == member]

    async def close(self) -> None:
        self._over.set()
        self._call.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._channel.close()


@pytest.mark.parametrize("notified", [True, False])
async def test_the_newer_stays_and_the_older_is_ended(postgres_dsn: str, notified: bool) -> None:
    settings = HubSettings("127.0.0.1:0", database=postgres_dsn, pooled=not notified)
    async with started(settings) as one, started(settings) as other:
        stop = asyncio.Event()
        running = [asyncio.create_task(hub.run(stop)) for hub in (one, other)]
        streams = [HalfOpen(one)]
        older = streams[0]
        try:
            await until(lambda: older.heard_of("welcome"))
            newer = HalfOpen(other)
            streams.append(newer)
            await until(lambda: newer.heard_of("welcome"))
            await until(lambda: older.heard_of("goodbye"))
            assert older.heard_of("goodbye")[0].goodbye.reason == "SUPERSEDED"
            assert not newer.heard_of("goodbye")
            await until(lambda: (one.streams.count, other.streams.count) == (0, 1))
        finally:
            for stream in streams:
                await stream.close()
            stop.set()
            await asyncio.gather(*running, return_exceptions=True)
