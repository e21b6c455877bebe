"""What happens at the limit of a queue: a refusal by name, and nothing of it is stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cloud_hub import hub, ingest
from cloud_hub.storage.sqlite import SqliteDriver
from cloud_hub.submissions import Requested
from edge_agent import local_store
from holdfast.host.refusal import Refusal
from sync.batch import Batch
from sync.commit import Actor, ActorKind
from sync.reduce import Put
from tests.edges import TestClock, edge_at, ids

pytestmark = pytest.mark.promise("rule.limits")

ANN = Actor("ann", ActorKind.HUMAN)


async def test_more_commits_than_may_wait_at_an_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_store, "QUEUED_COMMITS", 5)
    async with edge_at(tmp_path) as edge:
        writes = [edge.put(f"k{n:02}", b"{}") for n in range(20)]
        answers = await asyncio.gather(*writes, return_exceptions=True)
        refused = [one.reason for one in answers if isinstance(one, Refusal)]
        assert refused == ["TOO_MANY_REQUESTS"] * 15
        (batch,) = await edge.undecided()
        assert isinstance(batch, Batch)
        assert len(batch) == len(await edge.state()) == 5
        await edge.put("again", b"{}")


async def test_more_commits_than_may_wait_at_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "QUEUE_COMMITS", 5)
    driver = await SqliteDriver.open(tmp_path / "hub.db", 0)
    try:
        made = await hub.assembled(hub.HubSettings("", tmp_path), driver, TestClock(), ids(1))
        waiting = [
            made.ingest.enqueue(
                Requested("site", (Put("parts", f"k{n}", b"{}"),), ANN, bytes([n]) * 16)
            )
            for n in range(20)
        ]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        refused = [one.reason for one in answers if isinstance(one, Refusal)]
        assert set(refused) == {"TOO_BUSY"}
        position = await made.state._reads.position("site")
        assert position.revision == 20 - len(refused) < 20
        await made.ingest.close()
    finally:
        await driver.close()
