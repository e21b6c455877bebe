"""When a commit leaves the outbox: decided, safely in a replica on disk, and out of the window."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_agent import retention
from edge_agent.retention import sweep
from tests.edges import SPACE, DictHub, Edge, TestClock, edge_at

DAY_MS = 24 * 3_600_000


async def rows(edge: Edge) -> int:
    return await edge.files.in_outbox(
        lambda c: c.execute("SELECT count(*) FROM outbox").fetchone()[0]
    )


@pytest.mark.promise("outbox.trim")
async def test_undecided_commits_never_leave_however_old(tmp_path: Path) -> None:
    clock = TestClock()
    async with edge_at(tmp_path, clock=clock) as edge:
        for n in range(5):
            await edge.put(f"k{n}", b"{}")
        clock.wall += 400 * DAY_MS
        assert await sweep(edge.files, force=True) == 0
        assert await rows(edge) == 5


@pytest.mark.promise("outbox.trim")
async def test_decided_commits_stay_for_the_window(tmp_path: Path) -> None:
    clock, hub = TestClock(), DictHub()
    async with edge_at(tmp_path, clock=clock) as edge:
        await edge.put("old", b"{}")
        clock.wall += 5 * DAY_MS
        await edge.put("new", b"{}")
        await edge.sync(hub)
        assert await sweep(edge.files, force=True) == 0
        clock.wall += 3 * DAY_MS
        assert await sweep(edge.files, force=True) == 1, "eight days old, and three"
        assert await rows(edge) == 1
        clock.wall += 5 * DAY_MS
        assert await sweep(edge.files, force=True) == 1
        assert await rows(edge) == 0
        await edge.put("after", b"{}")
        assert (await edge.sync(hub)).equal


@pytest.mark.promise("outbox.trim")
async def test_an_outbox_beyond_its_size_lets_go_of_what_is_decided_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = DictHub()
    monkeypatch.setattr(retention, "WINDOW_BYTES", 100)
    async with edge_at(tmp_path) as edge:
        for n in range(5):
            await edge.put(f"k{n}", b"{}")
        await edge.sync(hub)
        await edge.put("pending", b"{}")
        assert await sweep(edge.files, force=True) == 5
        assert await rows(edge) == 1


@pytest.mark.promise("outbox.trim")
async def test_only_what_a_replica_on_disk_contains_may_go(tmp_path: Path) -> None:
    """Loss of power takes back what of the replica was not copied and synced."""
    clock, hub = TestClock(), DictHub()
    async with edge_at(tmp_path / "edge", clock=clock) as edge:
        for n in range(5):
            await edge.put(f"k{n}", b"{}")
        await edge.sync(hub)
        clock.wall += 30 * DAY_MS
        assert await sweep(edge.files) == 0, "decided, and not safe yet: no checkpoint was due"
        assert await rows(edge) == 5
        assert await sweep(edge.files, force=True) == 5
        # The file without its log is what a loss of power may leave.
        kept = tmp_path / "kept"
        kept.mkdir()
        for name in ("outbox.db", "outbox.db-wal", "replica.db"):
            if (tmp_path / "edge" / name).exists():
                shutil.copy(tmp_path / "edge" / name, kept / name)
    async with edge_at(kept, seed=2, clock=clock) as edge:
        standing = await edge.reads.standing(SPACE)
        assert standing.cursor.revision == hub.head
        assert await edge.state() == hub.state()
        assert (await edge.sync(hub)).equal
