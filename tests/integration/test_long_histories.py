"""A record that is patched for ever: watching it needs none of its past."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cloud_hub import timeline
from cloud_hub.hub import HubSettings, started
from holdfast import AsyncClient
from holdfast.client import CommitEvent
from holdfast.errors import OutOfRange

PATH = "default/machines/m1"


@pytest.mark.promise("watch.resumable")
async def test_a_watch_at_the_head_needs_no_history_and_an_old_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MAX_STEPS", 5)
    settings = HubSettings("127.0.0.1:0", tmp_path / "hub")
    resume = b""
    async with started(settings) as hub, _client(hub.port) as client:
        await client.put(PATH, {"n": 0})
        for n in range(1, 20):
            await client.patch(PATH, {"n": n})
        watch = client.watch("default/machines")
        await watch.started()
        resume = watch.resume_token
        for n in range(20, 30):
            await client.patch(PATH, {"n": n})
        assert await _values(watch, 10) == list(range(20, 30))
        await hub.drain()
    async with started(settings) as hub, _client(hub.port) as client:
        with pytest.raises(OutOfRange) as told:
            await _values(client.watch("default/machines", resume=resume), 1)
        assert told.value.reason == "COMPACTED"
        await hub.drain()


def _client(port: int) -> AsyncClient:
    return AsyncClient(f"127.0.0.1:{port}", actor=("arm-3", "robot"))


async def _values(watch: object, count: int) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(20):
        async for event in watch:  # type: ignore[attr-defined]
            if isinstance(event, CommitEvent):
                seen += [change.record.value["n"] for change in event.changes]
            if len(seen) >= count:
                return seen
    return seen
