"""Commits at an edge: durable, judged on what was seen, visible, and decided as they were shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge_agent.requests import Context
from holdfast.host.refusal import Refusal
from holdfast.host.sqlite import Database
from sync.batch import Batch
from sync.commit import Kind, Precondition, Version
from sync.messages import Scope
from sync.reduce import Add, Delete, Patch, Put
from tests.edges import SPACE, DictHub, edge_at


async def test_what_is_written_is_read_at_once_and_pending(tmp_path: Path) -> None:
    async with edge_at(tmp_path) as edge:
        receipt = await edge.put("a", b'{"n":1}')
        read = await edge.reads.get(SPACE, "things", "a")
    assert read.records[0].value == b'{"n":1}'
    assert read.records[0].version == Version(0, 0, edge.origin, 1, pending=True)
    assert read.includes_pending
    assert read.context == receipt.context == Context(0, 0, ((edge.origin, 1),))
    assert edge.pending == [frozenset({SPACE})]


@pytest.mark.promise("concurrent.put-is-difference")
async def test_a_put_is_reduced_to_what_differs(tmp_path: Path) -> None:
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b'{"n":1,"x":2}')
        await edge.put("a", b'{"n":5}')
        (batch,) = await edge.undecided()
    assert isinstance(batch, Batch)
    assert list(batch.kinds) == [Kind.CREATE, Kind.REMOVE, Kind.PATCH]
    assert batch.payloads[1:] == (b'["x"]', b'{"n":5}')
    assert batch.op_counts == (1, 2)
    assert batch.seens == (0, 1)


async def test_decided_as_written_leaves_nothing_pending(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b'{"n":1}')
        await edge.commit(Patch("things", "a", b'{"m":2}'))
        await edge.commit(Delete("things", "b"))
        marked = await edge.sync(hub)
        assert marked.equal
        assert await edge.state() == hub.state() == {("things", "a"): b'{"m":2,"n":1}'}
        read = await edge.reads.get(SPACE, "things", "a")
        assert not read.includes_pending
        assert read.context == Context(1, 3, ())
        assert read.records[0].version == Version(1, 2, edge.origin, 2)
        counts = await edge.files.replica.run(
            lambda c: [
                c.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("overlay", "pending")
            ]
        )
        assert counts == [0, 0]


@pytest.mark.promise("concurrent.default-context")
async def test_a_group_shares_one_transaction_and_later_ones_see_earlier_ones(
    tmp_path: Path,
) -> None:
    async with edge_at(tmp_path, opener=Database.open) as edge:
        before = edge.files.outbox_file.changes_since_checkpoint
        appended = []
        append = type(edge.files.outbox).append

        def spy(self: object, *args: object, **kwargs: object) -> None:
            appended.append(args)
            append(self, *args, **kwargs)  # type: ignore[arg-type]

        type(edge.files.outbox).append = spy  # type: ignore[method-assign]
        try:
            await asyncio.gather(
                *(edge.commit(Patch("things", "a", b'{"n%d":1}' % n)) for n in range(64))
            )
        finally:
            type(edge.files.outbox).append = append  # type: ignore[method-assign]
        assert len(appended) <= 2, "one for the first, one for all that queued behind it"
        assert edge.files.outbox_file.changes_since_checkpoint > before
        value = await edge.value("a")
        assert value is not None and value.count(b":1") == 64
        (batch,) = await edge.undecided()
        assert isinstance(batch, Batch)
        assert batch.seens == tuple(range(64)), "each has seen those before it"


@pytest.mark.promise("precondition.local")
async def test_a_refused_commit_leaves_no_trace_in_its_group(tmp_path: Path) -> None:
    async with edge_at(tmp_path) as edge:
        answers = await asyncio.gather(
            edge.put("a", b'{"n":1}'),
            edge.commit(Put("things", "a", b"{}"), preconditions=[_absent("a")]),
            edge.put("a", b'{"n":3}'),
            return_exceptions=True,
        )
        assert isinstance(answers[1], Refusal) and answers[1].reason == "REVISION_MISMATCH"
        assert answers[1].metadata["seq"] == "1"
        assert answers[1].metadata["pending"] == "true"
        (batch,) = await edge.undecided()
        assert isinstance(batch, Batch) and len(batch) == 2


def _absent(key: str) -> Precondition:
    return Precondition("things", key, exists=False)


@pytest.mark.promise("precondition.local")
async def test_preconditions_know_pending_and_decided_versions(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b'{"n":1}')
        pending = (await edge.reads.get(SPACE, "things", "a")).records[0].version
        at_pending = Precondition("things", "a", version=pending)
        await edge.commit(Patch("things", "a", b'{"n":2}'), preconditions=[at_pending])
        with pytest.raises(Refusal, match="version"):
            await edge.commit(Patch("things", "a", b'{"n":3}'), preconditions=[at_pending])
        await edge.sync(hub)
        decided = (await edge.reads.get(SPACE, "things", "a")).records[0].version
        at_decided = Precondition("things", "a", version=decided)
        await edge.commit(Patch("things", "a", b'{"n":4}'), preconditions=[at_decided])
        await edge.sync(hub)
        assert hub.state() == {("things", "a"): b'{"n":4}'}
        assert not any(d.outcomes for d in hub.log)


@pytest.mark.promise("put.stale-context")
async def test_a_put_on_an_outdated_read_is_refused_and_a_patch_merges(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b'{"n":1}')
        await edge.sync(hub)
        context = (await edge.reads.get(SPACE, "things", "a")).context
        hub.write(Patch("things", "a", b'{"m":7}'))
        await edge.pull(hub)
        with pytest.raises(Refusal) as refused:
            await edge.commit(Put("things", "a", b'{"n":2}'), context=context)
        assert refused.value.reason == "REVISION_MISMATCH"
        assert refused.value.metadata["revision"] == "2"
        await edge.commit(Patch("things", "a", b'{"n":2}'), context=context)
        await edge.sync(hub)
        assert hub.state() == {("things", "a"): b'{"m":7,"n":2}'}
        # Own pending commits that the author has not seen count too.
        context = (await edge.reads.get(SPACE, "things", "a")).context
        await edge.commit(Patch("things", "a", b'{"n":3}'))
        with pytest.raises(Refusal, match="changed"):
            await edge.commit(Put("things", "a", b'{"n":4}'), context=context)


@pytest.mark.promise("concurrent.same-edge")
async def test_two_agents_that_did_not_see_each_other_are_concurrent(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b'{"n":1}')
        context = (await edge.reads.get(SPACE, "things", "a")).context
        await edge.commit(Patch("things", "a", b'{"n":2}'), context=context)
        await edge.commit(Patch("things", "a", b'{"n":3}'), context=context)
        await edge.sync(hub)
    outcomes = [outcome.kind.name for decided in hub.log for outcome in decided.outcomes.values()]
    assert outcomes == ["MERGED"]


@pytest.mark.promise("write.retry-same-id")
@pytest.mark.promise("write.id-reused")
async def test_a_retry_answers_the_first_commit(tmp_path: Path) -> None:
    async with edge_at(tmp_path) as edge:
        name = b"r" * 16
        first, again = await asyncio.gather(
            edge.commit(Put("things", "a", b'{"n":1}'), commit_id=name),
            edge.commit(Put("things", "a", b'{"n":1}'), commit_id=name),
        )
        assert (first.repeated, again.repeated) == (False, True)
        assert again.op_id == first.op_id
    async with edge_at(tmp_path, seed=2) as edge:
        third = await edge.commit(Put("things", "a", b'{"n":1}'), commit_id=name)
        assert third.repeated and third.op_id == first.op_id
        with pytest.raises(Refusal) as refused:
            await edge.commit(Put("things", "a", b'{"n":2}'), commit_id=name)
        assert refused.value.reason == "COMMIT_ID_REUSED"


@pytest.mark.promise("counter.each-once")
@pytest.mark.promise("rule.policies-are-records")
async def test_counters_need_their_rule_and_are_never_doubled(tmp_path: Path) -> None:
    hub = DictHub()
    hub.write(Put("things", "a", b"{}"))
    async with edge_at(tmp_path) as edge:
        await edge.pull(hub)
        with pytest.raises(Refusal) as refused:
            await edge.commit(Add("counts", "a", b'{"n":1}'))
        assert refused.value.reason == "RULE_MISMATCH"
        hub.set_policy("counts", b'{"fields":{"n":"counter"}}')
        await edge.pull(hub)
        for _ in range(3):
            await edge.commit(Add("counts", "a", b'{"n":2}'))
        assert await edge.value("a", "counts") == b'{"n":6}'
        hub.write(Add("counts", "a", b'{"n":100}'))
        await edge.pull(hub)
        assert await edge.value("a", "counts") == b'{"n":106}'
        await edge.push(hub)
        await edge.push(hub)  # the acknowledgement was lost
        assert (await edge.sync(hub)).equal
        assert await edge.value("a", "counts") == b'{"n":106}'


async def test_outside_the_scope_nothing_is_taken(tmp_path: Path) -> None:
    scopes = {SPACE: Scope(whole=False, collections=frozenset({"things"}))}
    async with edge_at(tmp_path, scopes=scopes) as edge:
        await edge.put("a", b"{}")
        with pytest.raises(Refusal) as refused:
            await edge.put("a", b"{}", "others")
        assert refused.value.reason == "OUT_OF_SCOPE"
        with pytest.raises(Refusal):
            await edge.reads.get(SPACE, "others", "a")


@pytest.mark.promise("write.undeclared")
async def test_a_strict_space_takes_declared_collections_only(tmp_path: Path) -> None:
    hub = DictHub()
    hub.set_policy("@space", b'{"strict":true}')
    hub.set_policy("things", b"{}")
    async with edge_at(tmp_path) as edge:
        await edge.pull(hub)
        await edge.put("a", b"{}")
        with pytest.raises(Refusal) as refused:
            await edge.put("a", b"{}", "others")
        assert refused.value.reason == "UNDECLARED_COLLECTION"


@pytest.mark.promise("write.eventual.full")
async def test_a_full_outbox_refuses_and_recovers(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        edge.files.outbox.limit_bytes = 2_000

        async def fill() -> None:
            for n in range(100):
                await edge.put(f"k{n}", b'{"text":"%s"}' % (b"x" * 100))

        with pytest.raises(Refusal) as refused:
            await fill()
        assert refused.value.reason == "OUTBOX_FULL"
        await edge.sync(hub)
        edge.files.clock.wall += 8 * 24 * 3_600_000  # type: ignore[attr-defined]
        from edge_agent.retention import sweep

        assert await sweep(edge.files, force=True) > 0
        assert edge.files.outbox.size_bytes == 0
        await edge.put("again", b"{}")
        assert (await edge.sync(hub)).equal
