"""Both databases of the hub, each empty and at the newest schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cloud_hub import epochs, origins
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.storage.postgres import PostgresDriver
from cloud_hub.storage.sqlite import SqliteDriver

FIRST_EPOCH = b"e" * 16
ORIGIN = b"o" * 16
NOW_MS = 1_800_000_000_000

DATABASES = [
    "sqlite",
    "sqlite-inline",
    pytest.param("postgres", marks=pytest.mark.needs_postgres),
]


@asynccontextmanager
async def opened(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Driver]:
    driver: Driver
    if kind == "postgres":
        driver = await PostgresDriver.open(request.getfixturevalue("postgres_dsn"), NOW_MS)
    else:
        inline = kind == "sqlite-inline"
        driver = await SqliteDriver.open(tmp_path / "hub.db", NOW_MS, inline=inline)
    try:
        yield driver
    finally:
        await driver.close()


@pytest.fixture(params=DATABASES)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    """A driver whose database has its first epoch and the origin ORIGIN, which has the number 1."""

    async def begin(tx: Transaction) -> None:
        await epochs.begin(tx, FIRST_EPOCH, NOW_MS)
        assert await origins.register(tx, {ORIGIN: "robot"}) == {ORIGIN: 1}

    async with opened(request.param, request, tmp_path) as found:
        await found.write(begin)
        yield found


@pytest.fixture
async def postgres(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    """The same on PostgreSQL only."""
    async with opened("postgres", request, tmp_path) as found:
        await found.write(lambda tx: epochs.begin(tx, FIRST_EPOCH, NOW_MS))
        await found.write(lambda tx: origins.register(tx, {ORIGIN: "robot"}))
        yield found
