"""Calls as bytes, from a thread of their own: what a program that knows nothing of the interface
may send, and how it is answered.

The house lives in another thread with its loop, so that Hypothesis, which knows no coroutines, can
drive the calls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2

from holdfast.reasons import DOMAIN, REASONS
from tests.house import House, house

T = TypeVar("T")

CALL_SECONDS = 0.5
START_SECONDS = 20.0
OK = "OK"
WAITED = "WAITED"
"""A call that may last, and did."""

Made = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class RawHouse:
    """A house in another thread, with a channel to each door."""

    home: House
    loop: asyncio.AbstractEventLoop
    channels: dict[str, grpc.Channel]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that is run where the house lives."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(START_SECONDS)

    def unary(self, door: str, path: str, data: bytes) -> tuple[str, bytes]:
        """The reason for which a call is refused, or OK and its answer. Fails if it is refused
        without a reason of the table."""
        call: Any = self.channels[door].unary_unary(path)
        try:
            answer: bytes = call(data, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            return reason_of(error), b""
        return OK, answer

    def streamed(self, door: str, path: str, data: bytes) -> str:
        """The same for a call that is answered by a stream; it is left at its first answer."""
        call: Any = self.channels[door].unary_stream(path)
        responses = call(data, timeout=CALL_SECONDS)
        try:
            for _ in responses:
                responses.cancel()
                return OK
        except grpc.RpcError as error:
            return reason_of(error)
        return OK


def reason_of(error: Any) -> str:
    """The reason that a status carries."""
    code = error.code()
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        # What the client's own deadline ended has no words of the door.
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED, (code, error.details())
        return WAITED
    status = status_pb2.Status.FromString(details)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info), status
    assert info.domain == DOMAIN
    assert REASONS[info.reason].status == code.name, (info.reason, code)
    assert info.reason != "INTERNAL", status.message
    assert info.metadata["remedy"]
    return info.reason


@contextmanager
def raw_house() -> Iterator[RawHouse]:
    """A house with one edge "a", in another thread."""
    ready: list[House] = []
    begun, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def live() -> None:
        async with house("a") as home:
            ready.append(home)
            begun.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),), daemon=True)
    thread.start()
    try:
        assert begun.wait(START_SECONDS), "the house did not start"
        home = ready[0]
        addresses = {"edge": f"unix:{home.socket('a')}", "hub": f"127.0.0.1:{home.port}"}
        channels = {name: grpc.insecure_channel(at, _SIZES) for name, at in addresses.items()}
        yield RawHouse(home, loop, channels)
        for channel in channels.values():
            channel.close()
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS)
        loop.close()


_SIZES = [("grpc.max_send_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1)]
