"""Requests that an edge hands on to the hub's own door, over the same link as its stream.

Invariant: what the hub refuses arrives as gRPC would bring it, reason and all; whatever is lost on
the way is UNAVAILABLE, or ends with the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

from holdfast.host.refusal import Refusal
from tests.simulation.doors import DeadlineContext

if TYPE_CHECKING:
    from tests.simulation.network import Link, Served

Code = grpc.StatusCode


def failed(code: grpc.StatusCode, why: str, trailers: Any = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details=why
    )


async def asked(
    link: Link, hub: Callable[[], Served | None], method: str, data: bytes, seconds: float,
    make: Callable[[bytes], Any],
) -> bytes:  # fmt: skip
    """The hub's answer. `make` reads the request. Raises AioRpcError."""
    loop = link.loop
    ends = loop.time() + seconds
    await asyncio.sleep(min(link.latency_s(), seconds))
    if link.hangs or link.stalled:
        await asyncio.sleep(max(0.0, ends - loop.time()))
        raise failed(Code.DEADLINE_EXCEEDED, "no answer")
    served = hub()
    process = served.process if served is not None else None
    if link.down or served is None or process is None or not process.alive or not served.up:
        raise failed(Code.UNAVAILABLE, "connection refused")
    context = DeadlineContext(loop, ends - loop.time())
    work = process.spawn(getattr(served.service, method)(make(data), context), f"{method}@hub")
    await asyncio.wait(
        [work, process.died], timeout=ends - loop.time(), return_when=asyncio.FIRST_COMPLETED
    )
    if not process.alive:
        raise failed(Code.UNAVAILABLE, "connection reset")
    if not work.done():
        work.cancel()
        raise failed(Code.DEADLINE_EXCEEDED, "no answer")
    await asyncio.sleep(link.latency_s())
    return _answer(work)


def _answer(work: asyncio.Task[Any]) -> bytes:
    if work.cancelled():
        raise failed(Code.UNAVAILABLE, "cancelled")
    error = work.exception()
    if isinstance(error, Refusal):
        raise failed(error.status, error.details, error.trailers())
    if error is not None:
        raise error
    answer: bytes = work.result().SerializeToString()
    return answer
