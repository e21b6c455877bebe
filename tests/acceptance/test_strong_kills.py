"""kill -9 in the middle of strong writes: whatever an author was told stays true, and the commit id
answers the first result: at the edge where it was sent, at another, and at the hub.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast import AsyncClient, OutcomeKind, errors
from tests.daemons import EdgeProcess, HubProcess, failpoints

pytestmark = pytest.mark.acceptance

PATH = "default/locks/dock"
SOON_S = 2.0
"""Until the author gives up: longer than a crash takes to be noticed here, whatever the load."""


@dataclass(slots=True)
class Site:
    """A hub and two edges as processes, and a client at each of their doors."""

    hub: HubProcess
    edges: dict[str, EdgeProcess]
    clients: dict[str, AsyncClient]

    async def linked(self) -> None:
        """Both edges are with the hub."""
        for name in self.edges:
            await self.clients[name].synced("default")

    async def write(self, door: str, commit_id: bytes, timeout_s: float = 20) -> Any:
        """The strong write, or its retry: the receipt, or the reason why there is none."""
        try:
            return await self.clients[door].put(
                PATH, {"by": "arm-1"}, level="strong", if_absent=True, commit_id=commit_id,
                timeout_s=timeout_s,
            )  # fmt: skip
        except errors.HoldfastError as error:
            return error.reason

    async def retried(self, commit_id: bytes) -> list[Any]:
        """What the three doors answer to a retry."""
        await self.linked()
        return [await self.write(door, commit_id) for door in ("a", "b", "hub")]

    async def revision(self) -> int:
        """Where the record is, zero for nowhere."""
        record = await self.clients["hub"].get(PATH)
        return 0 if record is None else record.version.revision


@asynccontextmanager
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    hub = HubProcess(tmp_path / "hub")
    with hub:
        edges = {name: EdgeProcess(hub.address, tmp_path / name) for name in "ab"}
        with edges["a"], edges["b"]:
            clients = {name: edge.client() for name, edge in edges.items()}
            clients["hub"] = hub.client()
            try:
                found = Site(hub, edges, clients)
                await found.linked()
                yield found
            finally:
                for client in clients.values():
                    await client.close()


async def armed(site: Site, rule: str) -> None:
    """The hub begins again, and dies at a place."""
    site.hub.stop()
    site.hub.environment = failpoints(rule)
    site.hub.start()
    await site.linked()


@pytest.mark.promise("write.strong.unknown")
@pytest.mark.promise("write.retry-same-id")
async def test_a_hub_that_dies_between_commit_and_answer(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        await armed(home, "hub.commit.after=crash")
        chosen = secrets.token_bytes(16)
        assert await home.write("a", chosen, SOON_S) == "OUTCOME_UNKNOWN"
        home.hub.wait()
        home.hub.environment = {}
        home.hub.start()
        found = await home.retried(chosen)
        assert [receipt.known.kind for receipt in found] == [OutcomeKind.APPLIED] * 3
        assert {receipt.op_id for receipt in found} == {found[0].op_id}
        assert {receipt.known.position.revision for receipt in found} == {await home.revision()}


@pytest.mark.promise("write.strong.unknown")
async def test_a_hub_that_dies_before_it_has_decided(tmp_path: Path) -> None:
    """Past the deadline the row is sent only to be refused, so it never appears."""
    async with site(tmp_path) as home:
        await armed(home, "hub.commit.before=crash")
        chosen = secrets.token_bytes(16)
        assert await home.write("a", chosen, SOON_S) == "OUTCOME_UNKNOWN"
        home.hub.wait()
        home.hub.environment = {}
        home.hub.start()
        assert await home.retried(chosen) == ["EXPIRED"] * 3
        assert await home.revision() == 0


@pytest.mark.promise("write.strong.unknown")
@pytest.mark.parametrize("place", ["edge.push.after", "edge.commit.outbox_written"])
async def test_an_edge_that_dies_with_the_write_on_its_way(tmp_path: Path, place: str) -> None:
    """Its author's library sends it again to the edge that has come back."""
    async with site(tmp_path) as home:
        edge = home.edges["a"]
        edge.stop()
        edge.environment = failpoints(f"{place}=crash@1")
        edge.start()
        await home.linked()
        chosen = secrets.token_bytes(16)
        writing = asyncio.create_task(home.write("a", chosen, 60))
        await asyncio.to_thread(edge.wait)
        edge.environment = {}
        edge.start()
        first = await writing
        found = [first, *await home.retried(chosen)]
        revision = await home.revision()
        if revision:  # it was live, by the first attempt or by the second
            assert {receipt.known.kind for receipt in found} == {OutcomeKind.APPLIED}
            assert {receipt.known.position.revision for receipt in found} == {revision}
        else:
            assert set(found) == {"EXPIRED"}
        history = await home.clients["hub"].history(PATH)
        assert len(history.entries) == bool(revision)
