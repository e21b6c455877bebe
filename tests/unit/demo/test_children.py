"""What is done with the daemons is told apart from what happens to them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from holdfast.demo.children import Child, ChildFailed, House


async def _sleeper(directory: Path) -> Child:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(60)"
    )
    return Child("edge-b", process, directory / "edge-b.log")


async def test_a_daemon_that_ended_is_named_though_its_broken_connection_was_seen_first(
    tmp_path: Path,
) -> None:
    child = await _sleeper(tmp_path)

    async def story() -> None:
        child.process.kill()
        raise ConnectionError("the socket is gone")

    with pytest.raises(ChildFailed, match="edge-b has ended by SIGKILL"):
        await House(tmp_path, "", (child,)).watched(story())


async def test_an_error_of_its_own_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.demo.children.NOTICE_SECONDS", 0.01)
    child = await _sleeper(tmp_path)

    async def story() -> None:
        raise ValueError("nobody has ended")

    try:
        with pytest.raises(ValueError, match="nobody has ended"):
            await House(tmp_path, "", (child,)).watched(story())
    finally:
        child.process.kill()
        await child.process.wait()


async def test_a_daemon_that_ends_ends_what_is_done_with_it(tmp_path: Path) -> None:
    child = await _sleeper(tmp_path)
    left = asyncio.Event()

    async def story() -> None:
        child.process.terminate()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    with pytest.raises(ChildFailed, match="SIGTERM"):
        await House(tmp_path, "", (child,)).watched(story())
    assert left.is_set()
