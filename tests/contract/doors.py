"""Doors that clients are tried against: a hub's own, and an edge's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_hub.hub import HubSettings, started

KINDS = ("hub", "edge")


@dataclass(frozen=True, slots=True)
class Door:
    """Where StateService is, and where the hub is that orders what is written there."""

    kind: str
    address: str
    hub: str


@asynccontextmanager
async def opened(kind: str, directory: Path) -> AsyncIterator[Door]:
    """A door with nothing behind it yet."""
    async with started(HubSettings(listen="127.0.0.1:0", data=directory / "hub")) as hub:
        address = f"127.0.0.1:{hub.port}"
        try:
            if kind == "hub":
                yield Door(kind, address, address)
                return
            daemons = pytest.importorskip("tests.daemons", reason="no edge can be started yet")
            async with daemons.edge(hub=address, data=directory / "edge") as socket:
                yield Door(kind, f"unix:{socket}", address)
        finally:
            await hub.drain()
