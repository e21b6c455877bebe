"""Sending calls over blocking gRPC, from any thread. No decisions: see `attempts`, `watching`."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
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


class BlockingTransport:
    """One channel to one door, opened at its first use. Safe for threads."""

    def __init__(
        self, target: str, connect_timeout_s: float, security: Security | None = None
    ) -> None:
        self.target = target
        self._security = security or Security()
        self._outdated: list[grpc.Channel] = []
        self.connect_timeout_s = connect_timeout_s
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._connected = False

    def close(self) -> None:
        """Ends all calls. The next use opens a new channel."""
        with self._lock:
            channel, self._channel, self._connected = self._channel, None, False
            outdated, self._outdated = self._outdated, []
        for each in (*outdated, channel):
            if each is not None:
                each.close()

    def run(self, steps: Steps[T]) -> T:
        """Does an operation: sends its calls, gives it the answers, returns its result."""
        try:
            call = next(steps)
            while True:
                try:
                    answer = self.call(call)
                except HoldfastError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    def call(self, call: Call) -> Any:
        """The answer to a call, after as many attempts as `attempts` allows."""
        attempts = Attempts(call, time.monotonic())
        while True:
            try:
                channel = self.connect(attempts.left_s(time.monotonic()))
                left_s = attempts.left_s(time.monotonic())
                return self._send(channel, call, left_s)
            except HoldfastError as error:
                delay_s = attempts.again(error, time.monotonic(), luck())
            time.sleep(delay_s)

    def _send(self, channel: grpc.Channel, call: Call, timeout_s: float) -> Any:
        send = channel.unary_unary(call.method.path, serialize, call.method.response.FromString)
        try:
            return send(call.request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise self.failure(error) from None

    def connect(self, timeout_s: float) -> grpc.Channel:
        """The channel, connected. Raises Unavailable if it cannot be: then nothing was sent."""
        with self._lock:
            if self._channel is not None and not self._connected and self._security.changed():
                # Others may wait on it yet: it ends with the client, or with the next one.
                for each in self._outdated:
                    each.close()
                self._outdated, self._channel = [self._channel], None
            if self._channel is None:
                self._channel = self._opened()
            channel, connected = self._channel, self._connected
        if not connected:
            self._await_ready(channel, min(timeout_s, self.connect_timeout_s))
        return channel

    def _opened(self) -> grpc.Channel:
        credentials, options = self._security.credentials()
        if credentials is None:
            return grpc.insecure_channel(self.target, options)
        return grpc.secure_channel(self.target, credentials, options)

    def _await_ready(self, channel: grpc.Channel, timeout_s: float) -> None:
        ready = grpc.channel_ready_future(channel)
        try:
            ready.result(timeout=timeout_s)
        except grpc.FutureTimeoutError:
            raise not_connected(self.target, timeout_s) from None
        finally:
            ready.cancel()
        with self._lock:
            self._connected = self._channel is channel

    def failure(self, error: grpc.RpcError) -> HoldfastError:
        """The exception for a call that failed."""
        told = failure(error.code(), error.details(), error.trailing_metadata())
        if isinstance(told, ConnectionLost):
            with self._lock:
                self._connected = False
        return told


class Watch:
    """Events in order, without end: iterate over it, inside `with` if you may leave early.

    The connection is made anew by itself. Raises Compacted when the place to go on from is gone,
    and PreconditionFailed when the history that was watched was replaced. One thread iterates; any
    thread may close it.
    """

    def __init__(self, transport: BlockingTransport, state: WatchState, *, bookmarks: bool) -> None:
        self._transport = transport
        self._state = state
        self._bookmarks = bookmarks
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._stream: Any = None
        self._events = self._all()
        self._early: list[Event] = []

    @property
    def resume_token(self) -> bytes:
        """Hand it to `watch(resume=...)` to go on after the newest event, in any process."""
        return self._state.resume_token

    def started(self) -> None:
        """Returns when the door watches: nothing that happens from now on will be missed."""
        while not self._state.resume_token:
            self._early.append(next(self._events))

    def close(self) -> None:
        """Ends it; an iteration that waits in another thread ends too."""
        self._closed.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while True:
            event = self._early.pop(0) if self._early else next(self._events)
            if self._bookmarks or not isinstance(event, Bookmark):
                return event

    def _all(self) -> Generator[Event, None, None]:
        """The events across connections."""
        while not self._closed.is_set():
            error = None
            try:
                yield from self._connection()
            except HoldfastError as caught:
                error = caught
            if not self._closed.is_set():
                self._closed.wait(self._state.again(error, luck()))

    def _connection(self) -> Generator[Event, None, None]:
        """The events of one connection. Ends, or raises, as the connection does."""
        channel = self._transport.connect(self._transport.connect_timeout_s)
        open_stream = channel.unary_stream(WATCH.path, serialize, WatchResponse.FromString)
        with self._lock:
            if self._closed.is_set():
                return
            stream = self._stream = open_stream(self._state.request())
        try:
            for response in stream:
                event = self._state.receive(response)
                if event is not None:
                    yield event
        except grpc.RpcError as error:
            raise self._transport.failure(error) from None
        finally:
            stream.cancel()
