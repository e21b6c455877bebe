"""Reading the view, and looking back from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import retrospect
from edge_agent.reads import ListQuery
from holdfast.host.refusal import Refusal
from sync.commit import Kind, OpId, OutcomeKind
from sync.filters import Filter
from sync.reduce import Delete, Patch, Put
from tests.edges import SPACE, DictHub, edge_at


async def test_a_list_is_the_hubs_records_with_pending_ones_on_top(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        for key in ("a1", "a3", "b1", "a\U0010ffff", "é"):
            hub.write(Put("things", key, b'{"k":1}'))
        await edge.pull(hub)
        await edge.put("a2", b'{"k":2}')
        await edge.commit(Delete("things", "a3"))
        read = await edge.reads.list(ListQuery(SPACE, "things"))
        assert [r.key for r in read.records] == ["a1", "a2", "a\U0010ffff", "b1", "é"]
        assert read.includes_pending
        read = await edge.reads.list(ListQuery(SPACE, "things", prefix="a"))
        assert [r.key for r in read.records] == ["a1", "a2", "a\U0010ffff"]
        read = await edge.reads.list(ListQuery(SPACE, "things", filter=Filter("value.k == 2")))
        assert [r.key for r in read.records] == ["a2"]


@pytest.mark.parametrize(("page", "scan"), [(1, 0), (2, 0), (3, 1), (100, 2), (7, 3)])
async def test_pages_cover_everything_once(tmp_path: Path, page: int, scan: int) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        for n in range(10):
            hub.write(Put("things", f"k{2 * n:02}", b"{}"))
        await edge.pull(hub)
        for n in range(10):
            await edge.put(f"k{2 * n + 1:02}", b"{}")
        found: list[str] = []
        token = ""
        for _ in range(50):
            query = ListQuery(SPACE, "things", page_size=page, scan_limit=scan, page_token=token)
            read = await edge.reads.list(query)
            found += [record.key for record in read.records]
            token = read.next_page
            if not token:
                break
        assert found == [f"k{n:02}" for n in range(20)]


async def test_bad_pages_are_refused(tmp_path: Path) -> None:
    async with edge_at(tmp_path) as edge:
        for query, reason in [
            (ListQuery(SPACE, "c", page_size=1_001), "PAGE_SIZE_INVALID"),
            (ListQuery(SPACE, "c", scan_limit=10_001), "SCAN_LIMIT_INVALID"),
            (ListQuery(SPACE, "c", page_token="!!!"), "PAGE_TOKEN_INVALID"),
            (ListQuery(SPACE, "c", page_token="Zm9v"), "PAGE_TOKEN_INVALID"),
        ]:
            with pytest.raises(Refusal) as refused:
                await edge.reads.list(query)
            assert refused.value.reason == reason
        with pytest.raises(Refusal) as refused:
            await edge.reads.get(SPACE, "things", "absent")
        assert refused.value.reason == "RECORD_NOT_FOUND"


async def test_a_records_history_is_walked_backwards(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        for n in range(5):
            await edge.commit(Patch("things", "a", b'{"n":%d}' % n), Put("things", f"b{n}", b"{}"))
            await edge.sync(hub)
        hub.write(Delete("things", "a"))
        await edge.pull(hub)
        first = await retrospect.history(edge.files, SPACE, "things", "a", 2)
        rest = await retrospect.history(
            edge.files, SPACE, "things", "a", before=first.next_revision
        )
        entries = first.entries + rest.entries
        assert [e.previous for e in entries] == [5, 4, 3, 2, 1, 0]
        assert [e.ops[0].kind for e in entries] == [Kind.DELETE, *[Kind.PATCH] * 4, Kind.CREATE]
        assert all(len(e.ops) == 1 for e in entries)
        assert rest.complete and rest.next_revision == 0
        assert entries[1].actor.id == "robot-1"


@pytest.mark.promise("outcome.told")
@pytest.mark.promise("coalesce.declared")
async def test_outcomes_of_pending_decided_and_unknown_commits(tmp_path: Path) -> None:
    hub = DictHub()
    hub.set_policy("telemetry", b'{"coalesce":true}')
    async with edge_at(tmp_path) as edge:
        await edge.pull(hub)
        one = await edge.commit(Put("telemetry", "a", b'{"m":1,"n":1}'))
        two = await edge.commit(Put("telemetry", "a", b'{"m":1,"n":2}'))
        chosen = await edge.commit(Put("things", "b", b"{}"), commit_id=b"c" * 16)
        unknown = OpId(b"u" * 16, 9, b"")
        asked = [one.op_id, two.op_id, OpId(b"", 0, b"c" * 16), unknown]
        before = await retrospect.outcomes(edge.files, SPACE, asked)
        kinds = [d.outcome.kind if d.outcome else None for d in before]
        assert kinds == [OutcomeKind.COALESCED, OutcomeKind.PENDING, OutcomeKind.PENDING, None]
        assert before[0].outcome is not None and before[0].outcome.by_seq == two.op_id.seq
        assert before[2].op_id == chosen.op_id
        assert before[3].unknown == "COMMIT_UNKNOWN"
        assert (await edge.sync(hub)).equal
        after = await retrospect.outcomes(edge.files, SPACE, asked)
        kinds = [d.outcome.kind if d.outcome else None for d in after]
        assert kinds == [OutcomeKind.COALESCED, OutcomeKind.APPLIED, OutcomeKind.APPLIED, None]
        assert after[1].position is not None and after[1].position.revision == 3
    assert hub.state()["telemetry", "a"] == b'{"m":1,"n":2}'
