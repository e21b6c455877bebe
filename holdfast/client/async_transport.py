"""Sending calls over grpc.aio. No decisions: those are in `attempts` and `watching`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self

import grpc

from holdfast.client.attempts import Attempts, luck
from holdfast.client.call import Call, Steps, T, serialize
from holdfast.client.commits import Bookmark, Event
from holdfast.client.failures import ConnectionLost, failure, not_connected
from holdfast.client.security import Security
from holdfast.client.watching import WATCH, WatchState
from holdfast.errors import HoldfastError
from holdfast.v1.state_service_pb2 import WatchResponse


class AsyncTransport:
    """One channel to one door, opened at its first use, inside the loop that uses it."""

    def __init__(
        self, target: str, connect_timeout_s: float, security: Security | None = None
    ) -> None:
        self.target = target
        self._security = security or Security()
        self._outdated: list[grpc.aio.Channel] = []
        self._connect_timeout_s = connect_timeout_s
        self._channel: grpc.aio.Channel | None = None
        self._connected = False

    async def close(self) -> None:
        """Ends all calls. The next use opens a new channel."""
        channel, self._channel, self._connected = self._channel, None, False
        outdated, self._outdated = self._outdated, []
        for each in (*outdated, channel):
            if each is not None:
                await each.close()

    async def run(self, steps: Steps[T]) -> T:
        """Does an operation: sends its calls, gives it the answers, returns its result."""
        try:
            call = next(steps)
            while True:
                try:
                    answer = await self.call(call)
                except HoldfastError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    async def call(self, call: Call) -> Any:
        """The answer to a call, after as many attempts as `attempts` allows."""
        attempts = Attempts(call, time.monotonic())
        while True:
            try:
                channel = await self._connect(attempts.left_s(time.monotonic()))
                left_s = attempts.left_s(time.monotonic())
                return await self._send(channel, call, left_s)
            except HoldfastError as error:
                delay_s = attempts.again(error, time.monotonic(), luck())
            await asyncio.sleep(delay_s)

    async def events(self, state: WatchState) -> AsyncGenerator[Event, None]:
        """The events of a watch, across connections, until it is closed."""
        while True:
            error = None
            try:
                async with aclosing(self._connection_of(state)) as events:
                    async for event in events:
                        yield event
            except HoldfastError as caught:
                error = caught
            await asyncio.sleep(state.again(error, luck()))

    async def _connection_of(self, state: WatchState) -> AsyncGenerator[Event, None]:
        """The events of one connection. Ends, or raises, as the connection does."""
        channel = await self._connect(self._connect_timeout_s)
        open_stream = channel.unary_stream(WATCH.path, serialize, WatchResponse.FromString)
        stream = open_stream(state.request())
        try:
            async for response in stream:
                event = state.receive(response)
                if event is not None:
                    yield event
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from None
        finally:
            stream.cancel()

    async def _send(self, channel: grpc.aio.Channel, call: Call, timeout_s: float) -> Any:
        send = channel.unary_unary(call.method.path, serialize, call.method.response.FromString)
        try:
            return await send(call.request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from None

    async def _connect(self, timeout_s: float) -> grpc.aio.Channel:
        """The channel, connected. Raises Unavailable if it cannot be: then nothing was sent."""
        if self._channel is not None and not self._connected and self._security.changed():
            # Others may wait on it yet: it ends with the client, or with the next one.
            for each in self._outdated:
                await each.close()
            self._outdated, self._channel = [self._channel], None
        if self._channel is None:
            self._channel = self._opened()
        if not self._connected:
            timeout_s = min(timeout_s, self._connect_timeout_s)
            try:
                async with asyncio.timeout(timeout_s):
                    await self._channel.channel_ready()
            except TimeoutError:
                raise not_connected(self.target, timeout_s) from None
            self._connected = True
        return self._channel

    def _opened(self) -> grpc.aio.Channel:
        credentials, options = self._security.credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(self.target, options)
        return grpc.aio.secure_channel(self.target, credentials, options)

    def _failure(self, error: grpc.aio.AioRpcError) -> HoldfastError:
        told = failure(error.code(), error.details(), error.trailing_metadata())
        if isinstance(told, ConnectionLost):
            self._connected = False
        return told


class AsyncWatch:
    """Events in order, without end: iterate over it, inside `async with` if you may leave early.

    The connection is made anew by itself. Raises Compacted when the place to go on from is gone,
    and PreconditionFailed when the history that was watched was replaced.
    """

    def __init__(self, transport: AsyncTransport, state: WatchState, *, bookmarks: bool) -> None:
        self._state = state
        self._bookmarks = bookmarks
        self._events = transport.events(state)
        self._early: list[Event] = []

    @property
    def resume_token(self) -> bytes:
        """Hand it to `watch(resume=...)` to go on after the newest event, in any process."""
        return self._state.resume_token

    async def started(self) -> None:
        """Returns when the door watches: nothing that happens from now on will be missed."""
        while not self._state.resume_token:
            self._early.append(await anext(self._events))

    async def close(self) -> None:
        """Ends it."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            event = self._early.pop(0) if self._early else await anext(self._events)
            if self._bookmarks or not isinstance(event, Bookmark):
                return event
