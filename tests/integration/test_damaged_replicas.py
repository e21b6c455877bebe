"""A replica whose file goes bad under a running edge: begun anew by itself, whoever met the damage
first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_agent import daemon
from holdfast.errors import DataLoss
from holdfast.host.sqlite import DiskFailure
from tests.house import SPACE, house, until

pytestmark = pytest.mark.integration


def _spoil(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)


async def test_damage_that_only_readers_meet_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads, and writes with a session, were refused until somebody started the edge again."""
    monkeypatch.setattr(daemon, "SWEEP_SECONDS", 0.1)
    async with house("a", "b") as home:
        client = home.at("a")
        for number in range(50):
            await client.put(f"{SPACE}/parts/{number}", {"text": "x" * 500})
        await home.settled()
        edge: Any = home.running["a"].daemon
        await edge.files.replica.checkpoint(truncate=True)
        _spoil(home.root / "a" / "replica.db")

        async def reads() -> bool:
            try:
                return await client.get(f"{SPACE}/parts/7") is not None
            except DataLoss:
                return False

        await until(reads)
        await client.put(f"{SPACE}/parts/new", {"n": 1})
        await home.settled()
        assert (await home.status("a")).rebuilds == {"REPLICA_DAMAGED": 1}


async def test_a_greeting_that_cannot_be_composed_does_not_end_the_edge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full or failing disk at the moment of dialling once ended the whole daemon."""
    monkeypatch.setattr(daemon, "SWEEP_SECONDS", 0.1)
    async with house("a") as home:
        await home.at("a").put(f"{SPACE}/parts/1", {"n": 1})
        await home.settled()
        edge: Any = home.running["a"].daemon
        file, failures = edge.files.replica.file, [3]
        snapshot = file.snapshot

        async def failing(work: Any) -> Any:
            if failures[0]:
                failures[0] -= 1
                raise DiskFailure("the disk does not answer")
            return await snapshot(work)

        monkeypatch.setattr(file, "snapshot", failing)
        edge.uplink.begin_again("LINK_LOST")
        await until(lambda: not failures[0])
        await home.at("a").put(f"{SPACE}/parts/2", {"n": 2})
        await home.settled()
