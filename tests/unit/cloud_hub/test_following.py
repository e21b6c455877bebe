"""Following other processes: a hint says where to look, and however many come, everything is looked
at in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloud_hub import following
from cloud_hub.following import Follower


class _Follower(Follower):
    """Counts its looks instead of reading a database."""

    def __init__(self) -> None:
        super().__init__(None, None, None, lambda _space, _head: None)  # type: ignore[arg-type]
        self.all = 0
        self.hinted: list[str] = []

    async def everything(self) -> None:
        self.all += 1

    async def catch_up(self, space: str) -> None:
        self.hinted.append(space)
        await asyncio.sleep(0)
        self.look(space)  # there is always more


async def test_hints_without_end_do_not_keep_it_from_looking_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "LISTENING_POLL_SECONDS", 0.01)
    follower = _Follower()
    running = asyncio.create_task(follower.run(lambda: True))
    follower.look("site")
    try:
        async with asyncio.timeout(20):
            await _until(follower)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert follower.hinted


async def _until(follower: Any) -> None:
    while follower.all < 3 or not follower.hinted:
        follower.look("site")
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(6))
async def test_a_hint_that_comes_together_with_the_end_does_not_keep_it(turns: int) -> None:
    """A hub that lost its connection to listen on in the moment of SIGTERM never ended."""
    follower = _Follower()
    running = asyncio.create_task(follower.run())
    await asyncio.sleep(0.05)
    follower.look_everywhere()
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=5)
    assert done
    assert running.cancelled()
