"""A hub is killed between its commit and its reply. Whoever waited knows nothing. The same write
under the same commit id is told the first result, wherever it is asked for again, and has one
effect."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast import AsyncClient, Put
from holdfast.errors import OutcomeUnknown
from holdfast.v1 import edge_service_pb2 as edge_pb
from tests import convergence
from tests.daemons import EdgeProcess, HubProcess, failpoints

pytestmark = [pytest.mark.acceptance, pytest.mark.needs_postgres]

PATH = "default/parts/7"
COMMIT_ID = bytes(range(16))
PATIENCE_S = 4.0
"""The deadline of the write that is not answered."""

AGAIN_S = 60.0
"""Of the retry; edges may have to find a hub first."""


@dataclass
class House:
    """Two hub processes on one database, and two edges that know both. Only the first hub lives,
    and it dies when it has committed the first write."""

    hubs: list[HubProcess]
    edges: list[EdgeProcess]

    @property
    def doors(self) -> dict[str, EdgeProcess | HubProcess]:
        found: dict[str, EdgeProcess | HubProcess] = {
            f"hub {n}": hub for n, hub in enumerate(self.hubs, 1)
        }
        return found | {f"edge {n}": edge for n, edge in enumerate(self.edges, 1)}


@pytest.fixture
def home(postgres_dsn: str, tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        dying = failpoints("hub.commit.after=crash")
        first = HubProcess(tmp_path / "hub-1", database=postgres_dsn, environment=dying)
        other = HubProcess(tmp_path / "hub-2", database=postgres_dsn)
        stack.enter_context(first)
        stack.enter_context(other)
        other.kill()
        known = f"{first.address},{other.address}"
        edges = [EdgeProcess(known, tmp_path / name) for name in ("a", "b")]
        for edge in edges:
            edge.launch()
            stack.callback(edge.__exit__)
        for edge in edges:
            edge.wait_ready()
        yield House([first, other], edges)


async def _write(door: AsyncClient, timeout_s: float) -> tuple[int, str]:
    """The revision and what became of it."""
    receipt = await door.commit(
        [Put(PATH, {"n": 1})], level="strong", commit_id=COMMIT_ID, timeout_s=timeout_s
    )
    assert receipt.known.position is not None
    return receipt.known.position.revision, receipt.known.kind


async def _committed_and_not_told(home: House, at: str) -> None:
    async with home.doors[at].client() as door:
        if at.startswith("edge"):
            await _streaming(door)
        with pytest.raises(OutcomeUnknown) as unknown:
            await _write(door, PATIENCE_S)
    assert unknown.value.metadata["commit_id"] == COMMIT_ID.hex()
    first = home.hubs[0]
    assert first.wait() == -signal.SIGKILL
    first.environment = {}
    for hub in home.hubs:
        hub.start()


async def _streaming(edge: AsyncClient) -> None:
    async with asyncio.timeout(AGAIN_S):
        while (await convergence.edge_status(edge)).link != edge_pb.LINK_STATE_STREAMING:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.promise("write.retry-same-id")
@pytest.mark.promise("write.strong.unknown")
@pytest.mark.promise("hub.several-processes")
@pytest.mark.parametrize(
    ("at", "again_at"),
    [("edge 1", "edge 2"), ("hub 1", "edge 1")],
)
async def test_the_first_result_is_told_wherever_it_is_asked_for_again(
    home: House, at: str, again_at: str
) -> None:
    await _committed_and_not_told(home, at)
    for place in dict.fromkeys((again_at, *home.doors)):
        async with home.doors[place].client() as door:
            if place.startswith("edge"):
                await _streaming(door)
            told = await _write(door, AGAIN_S)
            assert told == await _in_the_log(home), place


async def _in_the_log(home: House) -> tuple[int, str]:
    """The one commit of the record."""
    async with home.hubs[1].client() as hub:
        (entry,) = (await hub.history(PATH)).entries
    assert entry.outcome.op_id.commit_id == COMMIT_ID
    assert entry.outcome.position is not None
    return entry.outcome.position.revision, entry.outcome.kind
