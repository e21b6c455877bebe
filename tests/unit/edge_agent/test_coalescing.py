"""Which commits may be emptied because a later one overwrites them, and which may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sync.batch import Batch
from sync.commit import OutcomeKind, Precondition
from sync.reduce import Patch, Put
from tests.edges import DictHub, Edge, edge_at

pytestmark = pytest.mark.promise("coalesce.declared")

N1, N2 = b'{"n":1}', b'{"n":2}'


def put(key: str = "a", value: bytes = N1, collection: str = "telemetry") -> Put:
    return Put(collection, key, value)


@pytest.fixture
def hub() -> DictHub:
    made = DictHub()
    made.set_policy("telemetry", b'{"coalesce":true}')
    return made


@pytest.fixture
async def edge(tmp_path: Path, hub: DictHub) -> AsyncIterator[Edge]:
    async with edge_at(tmp_path) as opened:
        await opened.pull(hub)
        yield opened


async def emptied(edge: Edge) -> list[int]:
    """The seqs that were emptied."""
    return [
        batch.first_seq + index
        for batch in await edge.undecided()
        if isinstance(batch, Batch)
        for index in range(len(batch))
        if batch.extra(index).coalesced_by
    ]


async def test_a_commit_that_is_wholly_overwritten_is_emptied(edge: Edge, hub: DictHub) -> None:
    first = await edge.commit(put(), put("b"))
    last = await edge.commit(put(value=N2), put("b", N2), put("c"))
    (batch,) = await edge.undecided()
    assert isinstance(batch, Batch)
    assert batch.op_counts[0] == 0 or set(batch.kinds[: batch.op_counts[0]]) == {0}
    assert batch.commit_ids[0] == first.op_id.commit_id, "it keeps its seq and id"
    assert batch.extra(0).coalesced_by == last.op_id.seq
    assert (await edge.sync(hub)).equal
    outcome = hub.log[-1].outcome(0)
    assert (outcome.kind, outcome.by_seq) == (OutcomeKind.COALESCED, last.op_id.seq)
    assert hub.state()["telemetry", "a"] == hub.state()["telemetry", "b"] == N2


async def test_one_that_was_offered_is_not(edge: Edge) -> None:
    await edge.commit(put())
    await edge.undecided(offer=True)
    await edge.commit(put(value=N2))
    assert await emptied(edge) == []


async def test_one_that_is_overwritten_in_part_is_not(edge: Edge) -> None:
    await edge.commit(put(), put("b"))
    await edge.commit(put(value=N2))
    assert await emptied(edge) == []
    await edge.commit(put("d"))
    await edge.commit(Patch("telemetry", "d", N2))
    assert await emptied(edge) == [], "a patch leaves something of it"


async def test_one_with_a_precondition_is_not(edge: Edge) -> None:
    absent = Precondition("telemetry", "a", exists=False)
    await edge.commit(put(), preconditions=[absent])
    await edge.commit(put(value=N2))
    exists = Precondition("telemetry", "a", exists=True)
    await edge.commit(put(), preconditions=[exists])
    assert await emptied(edge) == []


async def test_where_no_policy_allows_it_nothing_is(edge: Edge) -> None:
    for value in (N1, N2):
        await edge.commit(put(value=value, collection="things"))
    await edge.commit(put("m"), put("m", collection="things"))
    await edge.commit(put("m", N2), put("m", N2, collection="things"))
    assert await emptied(edge) == []


async def test_a_crash_before_the_view_knew_of_an_emptied_commit(
    tmp_path: Path, hub: DictHub
) -> None:
    """The emptied commit's values came back beneath those of the one that had overwritten it."""
    hub.write(put(value=b'{"a":1}'))
    async with edge_at(tmp_path / "e") as edge:
        await edge.pull(hub)
        await edge.commit(put(value=b'{"a":2,"b":3}'))
        await edge.files.replica.checkpoint(truncate=True)
        before = (tmp_path / "e" / "replica.db").read_bytes()
        await edge.commit(put(value=b'{"a":1,"c":5}'))
        assert await emptied(edge) == [1]
    (tmp_path / "e" / "replica.db").write_bytes(before)
    async with edge_at(tmp_path / "e", seed=2) as edge:
        assert await edge.value("a", "telemetry") == b'{"a":1,"c":5}'
        assert (await edge.sync(hub)).equal
