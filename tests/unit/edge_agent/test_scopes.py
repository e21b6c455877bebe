"""What an edge replicates is what it answers for; the rest it refuses, and never calls absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.reads import ListQuery
from edge_agent.requests import Write
from holdfast.host.refusal import Refusal
from sync.commit import Precondition
from sync.messages import Scope
from sync.reduce import Put
from tests.edges import ROBOT, SPACE, edge_at

SCOPES = {SPACE: Scope(whole=False, collections=frozenset({"things"}))}


@pytest.mark.promise("scope.read-refused")
async def test_a_read_not_wholly_inside_is_refused_and_never_not_found(tmp_path: Path) -> None:
    async with edge_at(tmp_path, scopes=SCOPES) as edge:
        await edge.put("a", b"{}")
        outside = [
            edge.reads.get(SPACE, "others", "a"),
            edge.reads.get("elsewhere", "things", "a"),
            edge.reads.batch_get(SPACE, [("things", "a"), ("others", "a")]),
            edge.reads.list(ListQuery(SPACE, "others")),
            edge.reads.list(ListQuery("elsewhere", "things")),
        ]
        for read in outside:
            with pytest.raises(Refusal) as refused:
                await read
            assert refused.value.reason == "OUT_OF_SCOPE"
        with pytest.raises(Refusal) as refused:
            await edge.reads.get(SPACE, "things", "b")
        assert refused.value.reason == "RECORD_NOT_FOUND", "inside, absent is absent"


@pytest.mark.promise("scope.write-refused")
async def test_a_write_outside_is_refused_and_nothing_of_it_is_stored(tmp_path: Path) -> None:
    async with edge_at(tmp_path, scopes=SCOPES) as edge:
        inside, outside = Put("things", "a", b"{}"), Put("others", "a", b"{}")
        for space, requests in [
            (SPACE, (outside,)),
            (SPACE, (inside, outside)),
            ("elsewhere", (inside,)),
        ]:
            with pytest.raises(Refusal) as refused:
                await edge.store.commit(Write(space, requests, ROBOT))
            assert refused.value.reason == "OUT_OF_SCOPE"
        assert await edge.state() == {}
        assert await edge.undecided() == []
        assert edge.files.outbox.size_bytes == 0


@pytest.mark.promise("scope.write-refused")
async def test_a_condition_outside_cannot_be_judged(tmp_path: Path) -> None:
    """Whether a record exists that is not replicated here, this edge does not know."""
    absent = Precondition("others", "a", exists=False)
    async with edge_at(tmp_path, scopes=SCOPES) as edge:
        with pytest.raises(Refusal) as refused:
            await edge.commit(Put("things", "a", b"{}"), preconditions=[absent])
        assert refused.value.reason == "OUT_OF_SCOPE"
        assert await edge.state() == {}
