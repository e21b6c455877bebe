"""Both clients behind one face, so that a test is written once.

The blocking client runs in threads; its methods are awaited here like those of the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from holdfast import AsyncClient, Client

KINDS = ("async", "blocking")


def client(kind: str, address: str, **options: Any) -> Any:
    """An AsyncClient, or a blocking one that can be awaited like it."""
    if kind == "async":
        return AsyncClient(address, **options)
    return InThread(Client(address, **options))


class InThread:
    """Every method of a blocking object as a coroutine, each call in a thread."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._blocking, name)
        if name in {"watch", "session"}:
            return lambda *args, **options: InThread(found(*args, **options))
        if name == "list":
            return lambda *args, **options: _stepped(iter(found(*args, **options)))
        return _awaitable(found) if callable(found) else found

    def __aiter__(self) -> AsyncIterator[Any]:
        return _stepped(iter(self._blocking))

    async def __aenter__(self) -> InThread:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._blocking.close)


def _awaitable(function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **options: Any) -> Any:
        result = await asyncio.to_thread(function, *args, **options)
        return InThreadReceipt(result) if hasattr(result, "outcome") else result

    return call


class InThreadReceipt(InThread):
    """A receipt whose outcome can be awaited."""


async def _stepped(iterator: Any) -> AsyncIterator[Any]:
    ended = object()
    while (item := await asyncio.to_thread(next, iterator, ended)) is not ended:
        yield item
