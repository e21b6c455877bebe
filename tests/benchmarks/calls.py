"""An agent at an edge's socket, without a client library: the same requests to product and bare."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from holdfast.host.channels import client_options
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as state
from holdfast.v1 import state_service_pb2_grpc as rpc
from tests.benchmarks import workload
from tests.benchmarks.workload import ACTOR, COLLECTION, SPACE

AUTHOR = record.Actor(id=ACTOR[0], kind=record.ACTOR_KIND_ROBOT)


@contextlib.asynccontextmanager
async def stub(path: Path | str) -> AsyncIterator[Any]:
    """The StateService behind a socket."""
    async with grpc.aio.insecure_channel(f"unix:{path}", options=client_options()) as channel:
        yield rpc.StateServiceStub(channel)


def commits(count: int, ops: int = 1, seed: int = 3) -> Iterator[state.CommitRequest]:
    """Requests of the standard work, `ops` puts in each; no key twice in one."""
    rng = random.Random(seed)
    changes = workload.drawn(2 * count * ops + workload.KEYS, seed)
    for _ in range(count):
        chosen: dict[str, bytes] = {}
        while len(chosen) < ops:
            name, value = next(changes) if ops == 1 else _any(rng)
            chosen[name] = value
        yield commit(chosen.items())


def _any(rng: random.Random) -> tuple[str, bytes]:
    number = rng.randrange(workload.KEYS)
    return workload.key(number), workload.value(rng, number)


def commit(changes: Any) -> state.CommitRequest:
    """One request that puts these."""
    ops = [
        record.Op(collection=COLLECTION, key=name, put=record.PutOp(json=value.decode()))
        for name, value in changes
    ]
    return state.CommitRequest(space=SPACE, ops=ops, actor=AUTHOR)


def gets(count: int, seed: int = 5) -> Iterator[state.GetRequest]:
    """Reads of the standard work."""
    for name, _ in workload.drawn(count, seed):
        yield state.GetRequest(space=SPACE, collection=COLLECTION, key=name)


async def timed(
    call: Callable[[Any], Awaitable[Any]], requests: Iterator[Any], callers: int
) -> tuple[float, list[float]]:
    """Calls with all requests, `callers` at once. Seconds in all, and of each call."""
    each: list[float] = []
    waiting = list(requests)[::-1]

    async def caller() -> None:
        while waiting:
            request = waiting.pop()
            began = time.perf_counter()
            await call(request)
            each.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(callers)])
    return time.perf_counter() - began, each


async def paced(
    call: Callable[[Any], Awaitable[Any]], requests: Iterator[Any], per_second: float
) -> None:
    """Calls at a steady rate, whether or not the ones before have been answered."""
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    tasks = []
    for number, request in enumerate(requests):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        tasks.append(loop.create_task(_called(call, request)))
    await asyncio.gather(*tasks)


async def _called(call: Callable[[Any], Awaitable[Any]], request: Any) -> None:
    await call(request)
