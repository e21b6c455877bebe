"""A replica whose file goes bad under a running edge: begun anew by itself, whoever met the damage
first."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from edge_agent import daemon
from holdfast.errors import DataLoss, HoldfastError
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


def _without_checks(path: Path, table: str, damage: str) -> None:
    """Does something to a table that its schema forbids, as a flipped bit does."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        (sql,) = file.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        for text in (sql.replace(" NOT NULL", "").replace("STRICT, ", ""), sql):
            file.execute("PRAGMA writable_schema = ON")
            file.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (text, table))
            file.execute("PRAGMA writable_schema = RESET")
            file.commit()
            if text != sql:
                file.execute(damage)
                file.commit()


@pytest.mark.parametrize(("table", "column"), [("own", "decided_seq"), ("records", "actor_id")])
async def test_a_value_that_nobody_wrote_is_damage(
    monkeypatch: pytest.MonkeyPatch, table: str, column: str
) -> None:
    """Where a bit had flipped a number read as NULL, which ended the daemon at every start."""
    monkeypatch.setattr(daemon, "SWEEP_SECONDS", 0.1)
    async with house("a") as home:
        for number in range(5):
            await home.at("a").put(f"{SPACE}/parts/{number}", {"n": number})
        await home.settled()
        await home.end("a")
        damage = f"UPDATE {table} SET {column} = NULL"
        _without_checks(home.root / "a" / "replica.db", table, damage)
        await home.start_edge("a")

        async def rebuilt() -> bool:
            with contextlib.suppress(HoldfastError):
                return (await home.status("a")).rebuilds == {"REPLICA_DAMAGED": 1}
            return False

        await until(rebuilt)
        await home.settled()
        found = await home.at("a").get(f"{SPACE}/parts/4")
        assert found is not None
        assert found.value == {"n": 4}


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
