"""A hub that lost its history: edges offer what they still have, and name what they have not."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from edge_agent import retention
from tests.house import SPACE, house

pytestmark = pytest.mark.integration


async def test_an_edge_that_has_let_commits_go_does_not_stall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It could neither send what it had no longer nor anything behind it."""
    monkeypatch.setattr(retention, "WINDOW_MS", -1_000)
    async with house("a") as home:
        client = home.at("a")
        gone = [await client.put(f"{SPACE}/parts/{n}", {"n": n}) for n in range(3)]
        await home.settled()
        edge: Any = home.running["a"].daemon
        assert await retention.sweep(edge.files, force=True) == 3
        monkeypatch.setattr(retention, "WINDOW_MS", 10**9)
        await client.put(f"{SPACE}/parts/kept", {"n": 3})
        await home.settled()
        await home.end("hub")
        shutil.rmtree(home.root / "hub")
        await home.start_hub()
        await client.put(f"{SPACE}/parts/after", {"n": 4})
        await home.settled()
        found = {record.path async for record in home.at("hub").list(f"{SPACE}/parts")}
        assert found == {f"{SPACE}/parts/kept", f"{SPACE}/parts/after"}
        outcomes = await home.at("a").outcomes([receipt.op_id for receipt in gone])
        assert {(one.kind, one.reason) for one in outcomes} == {("lost", "WRITES_LOST")}
        assert "WRITES_LOST" in (await home.status("a")).alarms
