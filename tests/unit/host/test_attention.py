"""What is looked at again: once for each change, again after a failure, and never for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from holdfast.host import attention
from holdfast.host.attention import Attention


class Spaces:
    """Marks of spaces, and what was done in which."""

    def __init__(self) -> None:
        self.marks: dict[str, int] = {}
        self.looks: asyncio.Queue[str] = asyncio.Queue()
        self.done: list[tuple[str, int]] = []
        self.failures = 0

    async def look(self, space: str) -> int | None:
        self.looks.put_nowait(space)
        return self.marks.get(space)

    async def work(self, space: str) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("not now")
        self.done.append((space, self.marks[space]))


@asynccontextmanager
async def attending(spaces: Spaces, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Attention]:
    monkeypatch.setattr(attention, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(attention, "RETRY_SECONDS", 0.0)
    made = Attention(spaces.look, spaces.work)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def looked(spaces: Spaces, count: int) -> None:
    async with asyncio.timeout(10):
        for _ in range(count):
            await spaces.looks.get()
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_work_is_done_for_each_change_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = Spaces()
    async with attending(spaces, monkeypatch) as made:
        made.news("a")
        await looked(spaces, 1)
        assert spaces.done == []  # there is nothing to do
        spaces.marks["a"] = 1
        made.news("a")
        await looked(spaces, 1)
        made.news("a")
        await looked(spaces, 1)
        assert spaces.done == [("a", 1)]
        spaces.marks |= {"a": 2, "b": 7}
        made.news("b")
        made.news("a")
        await looked(spaces, 2)
        assert spaces.done == [("a", 1), ("a", 2), ("b", 7)]
        made.anew("b")
        await looked(spaces, 1)
        assert spaces.done[-1] == ("b", 7)
        assert len(spaces.done) == 4


async def test_what_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = Spaces()
    spaces.marks["a"], spaces.failures = 1, 2
    async with attending(spaces, monkeypatch) as made:
        made.news("a")
        await looked(spaces, 3)
        assert spaces.done == [("a", 1)]
