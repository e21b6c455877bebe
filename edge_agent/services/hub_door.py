"""The hub's own door, for requests that this edge hands on as they are.

A request that is handed on is answered by the hub, in its words: status, reason and details come
back unchanged, so an agent need not know who answered. The channel is to the process of the hub
that the link is with, and another one when the link has moved or has other credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from edge_agent.uplink import Address
from holdfast.host.refusal import DETAILS_KEY, Refusal
from holdfast.v1 import state_service_pb2_grpc as rpc

Context = grpc.aio.ServicerContext[Any, Any]


AGAIN_SECONDS = 0.2
"""Between attempts of a commit: the hub is near, or another process of it will be found."""

LEAVING_SECONDS = 5.0
"""For what is still on its way to a process that the link has left."""


class HubDoor:
    """Hands requests on to the hub, at the address that it is at now."""

    def __init__(self, address: Callable[[], Address]) -> None:
        self._address = address
        self._channel: tuple[Address, object, grpc.aio.Channel] | None = None

    async def call(self, name: str, request: Any, seconds: float, context: Context) -> Any:
        """The hub's answer to a request of StateService; its refusal ends the call of `context`.

        Raises Refusal HUB_UNREACHABLE, DEADLINE_PASSED.
        """
        method = getattr(rpc.StateServiceStub(await self.channel()), name)
        try:
            return await method(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            trailers = error.trailing_metadata() or ()
            details = error.details() or ""
            told = tuple((key, value) for key, value in trailers if key == DETAILS_KEY)
            if told:
                await context.abort(error.code(), details, told)
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Refusal("DEADLINE_PASSED", "the hub has not answered in time") from error
            raise Refusal("HUB_UNREACHABLE", details) from error

    async def commit(self, request: Any, seconds: float, context: Context) -> Any:
        """The hub's answer to a commit, which has an id: while no answer comes it is sent again.

        Raises Refusal OUTCOME_UNKNOWN, since an attempt without an answer may have arrived.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while True:
            try:
                return await self.call("Commit", request, ends - loop.time(), context)
            except Refusal as lost:
                if ends - loop.time() > 2 * AGAIN_SECONDS:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                metadata = {"commit_id": request.commit_id.hex()}
                raise Refusal("OUTCOME_UNKNOWN", lost.message, metadata=metadata) from lost

    async def close(self) -> None:
        """Ends what is on its way."""
        if self._channel is not None:
            await self._channel[2].close()

    async def channel(self) -> grpc.aio.Channel:
        """The channel to where the hub is now."""
        address, left = self._address(), self._channel
        version = address.version
        if left is None or left[0] is not address or left[1] is not version:
            self._channel = (address, version, address.connect())
            if left is not None:
                await left[2].close(LEAVING_SECONDS)
        assert self._channel is not None
        return self._channel[2]
