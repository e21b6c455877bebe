"""A stream leaves the registry whatever becomes of its call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from cloud_hub.meter import Meter
from cloud_hub.services.replication import ReplicationService, Stream
from holdfast.host.clock import BootClock


class _Context:
    """A call without certificates, whose edge has gone."""

    def auth_context(self) -> dict[str, Any]:
        return {}


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


async def test_a_call_that_is_cancelled_while_its_stream_leaves_leaves_all_the_same() -> None:
    """GRPC cancels the call of an edge that was killed, often after the stream has seen its end:
    the edge then counted as connected for ever."""
    left: list[object] = []

    async def leave(stream: object) -> None:
        left.append(stream)

    service = ReplicationService(
        None, None, None, SimpleNamespace(leave=leave, meter=Meter()),  # type: ignore[arg-type]
        BootClock(), None, lambda: 0.5,  # type: ignore[arg-type]
    )  # fmt: skip
    stream = Stream(service, _Context())  # type: ignore[arg-type]
    undecided: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    stream._undecided.add(undecided)
    running = asyncio.create_task(stream.run(_nothing()))
    for _ in range(20):
        await asyncio.sleep(0)
    assert stream._closed is not None
    running.cancel()
    await asyncio.wait({running}, timeout=5)
    assert left == [], "what it has sent is still undecided"
    undecided.set_result(None)
    for _ in range(100):
        await asyncio.sleep(0)
    assert left == [stream]
