"""A link that carries what an edge says at once, and what the hub decided only when it may.

Two people who type at once see each other's words late, and how late decides what they make of
them. A cable is cut or not: it cannot be as late as the network was on that day. So between an edge
and the hub stands somebody who speaks their protocol, and keeps the changes above a revision until
he is told to hand them on. Control messages overtake them, as they do in the stream itself.

Invariant: no change above `limit` reaches the edge, and changes keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import grpc

from holdfast.host.channels import client_options, server_options
from holdfast.v1 import replication_service_pb2 as pb
from holdfast.v1 import replication_service_pb2_grpc as rpc

HELD = {"changes", "bookmark"}


class _Way:
    """What is on its way to the edge in one stream."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[pb.ReplicateResponse | None] = asyncio.Queue()
        self._held: deque[pb.ReplicateResponse] = deque()

    def take(self, message: pb.ReplicateResponse, limit: int) -> None:
        if message.WhichOneof("message") in HELD:
            self._held.append(message)
            self.release(limit)
        else:
            self.sent.put_nowait(message)

    def release(self, limit: int) -> None:
        while self._held and _last(self._held[0]) <= limit:
            self.sent.put_nowait(self._held.popleft())


def _last(message: pb.ReplicateResponse) -> int:
    """The newest revision that a message tells of."""
    if message.WhichOneof("message") == "bookmark":
        return message.bookmark.revision
    return message.changes.first_revision + message.changes.count - 1


class HeldLink(rpc.ReplicationServiceServicer):
    """Stands between one edge and the hub at `target`."""

    def __init__(self, target: str, limit: int) -> None:
        self._target, self._limit = target, limit
        self._ways: set[_Way] = set()
        self._server = grpc.aio.server(options=server_options())
        rpc.add_ReplicationServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    def let(self, limit: int) -> None:
        """Hands on what was decided up to this revision."""
        self._limit = max(self._limit, limit)
        for way in self._ways:
            way.release(self._limit)

    async def Replicate(
        self, request_iterator: AsyncIterator[pb.ReplicateRequest], context: Any
    ) -> AsyncIterator[pb.ReplicateResponse]:
        async with grpc.aio.insecure_channel(self._target, options=client_options()) as channel:
            call = rpc.ReplicationServiceStub(channel).Replicate(request_iterator)
            way = _Way()
            self._ways.add(way)
            reading = asyncio.create_task(self._read(call, way))
            try:
                while (message := await way.sent.get()) is not None:
                    yield message
            finally:
                self._ways.discard(way)
                reading.cancel()
                call.cancel()

    async def _read(self, call: Any, way: _Way) -> None:
        try:
            async for message in call:
                way.take(message, self._limit)
        except grpc.aio.AioRpcError:
            pass  # the stream is over, which the edge is to notice
        finally:
            way.sent.put_nowait(None)
