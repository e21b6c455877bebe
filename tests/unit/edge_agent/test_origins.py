"""Copied and restored outboxes: noticed, and nothing acknowledged lost."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from edge_agent import reconcile, retrospect
from edge_agent.renaming import Move, renamed_context
from edge_agent.requests import Context
from sync.batch import Batch, Decided
from sync.commit import Extra, Kind, OpId, Outcome, OutcomeKind, Precondition, Version
from sync.reduce import Add, Delete, Patch, Put
from tests.edges import SPACE, DictHub, Edge, arrival, edge_at


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for name in ("outbox.db", "replica.db"):
        shutil.copy(source / name, target / name)


def _decided_once(hub: DictHub) -> bool:
    counts = Counter(id_ for one in hub.log for id_ in one.batch.commit_ids)
    return max(counts.values()) == 1


async def _number(edge: Edge, key: str) -> bytes | None:
    return await edge.value(key, "counts")


async def test_two_copies_of_one_outbox_both_reach_the_hub(tmp_path: Path) -> None:
    hub = DictHub()
    hub.set_policy("counts", b'{"fields":{"n":"counter"}}')
    first, second = tmp_path / "first", tmp_path / "second"
    async with edge_at(first) as edge:
        await edge.pull(hub)
        await edge.commit(Add("counts", "a", b'{"n":1}'))
        await edge.sync(hub)
        await edge.commit(Add("counts", "a", b'{"n":10}'))  # not sent: both copies have it
    _copy(first, second)
    async with edge_at(first, seed=2) as edge:
        await edge.commit(Add("counts", "a", b'{"n":100}'))
        await edge.sync(hub)
    async with edge_at(second, seed=3) as copy:
        old = copy.origin
        last = await copy.commit(Add("counts", "a", b'{"n":1000}'))
        seen = (await copy.reads.get(SPACE, "counts", "a")).context
        # The hub has seq 3 by another id; ids agree up to 2.
        await reconcile.take_new_origin(copy.files, "ORIGIN_COPIED", {(SPACE, old): 2})
        assert copy.origin != old
        assert await _number(copy, "a") == b'{"n":1011}'
        await copy.commit(Patch("things", "x", b'{"m":1}'), context=seen)
        marked = await copy.sync(hub)
        assert marked.equal
        assert await _number(copy, "a") == b'{"n":1111}'
        found = await retrospect.outcomes(copy.files, SPACE, [last.op_id])
        assert found[0].op_id == OpId(copy.origin, 1, last.op_id.commit_id)
        assert found[0].outcome is not None and found[0].outcome.kind is OutcomeKind.APPLIED
    assert _decided_once(hub)
    async with edge_at(first, seed=4) as edge:
        assert (await edge.sync(hub)).equal


async def test_yesterdays_outbox_takes_a_new_origin_before_its_first_write(
    tmp_path: Path,
) -> None:
    hub = DictHub()
    home, kept = tmp_path / "home", tmp_path / "kept"
    async with edge_at(home) as edge:
        await edge.put("a", b'{"n":1}')
    kept.mkdir()
    shutil.copy(home / "outbox.db", kept / "outbox.db")
    async with edge_at(home, seed=2) as edge:
        await edge.put("b", b'{"n":2}')
        await edge.sync(hub)
        old = edge.origin
    shutil.copy(kept / "outbox.db", home / "outbox.db")
    async with edge_at(home, seed=3) as edge:
        assert edge.origin != old
        assert "OUTBOX_RESTORED" in edge.files.alarms.names
        await edge.put("c", b'{"n":3}')
        assert (await edge.sync(hub)).equal
        assert set(hub.state()) == {("things", key) for key in "abc"}
    assert _decided_once(hub)


async def test_an_outbox_that_was_deleted_begins_as_another(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b'{"n":1}')
        await edge.sync(hub)
        await edge.put("gone", b'{"n":1}')
    (tmp_path / "outbox.db").unlink()
    async with edge_at(tmp_path, seed=7) as edge:
        assert set(await edge.state()) == {("things", "a")}
        await edge.put("b", b'{"n":2}')
        assert (await edge.sync(hub)).equal
        assert set(hub.state()) == {("things", "a"), ("things", "b")}


async def test_a_crash_between_renaming_and_the_view_is_repaired(tmp_path: Path) -> None:
    from edge_agent import renaming

    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        for n in range(4):
            await edge.put("a", b'{"n":%d}' % n)
        keep = {(SPACE, edge.origin): 1}
        await edge.files.in_outbox(
            lambda c: renaming.take_new_origin(
                c, edge.files.outbox, b"n" * 16, "ORIGIN_COPIED", keep
            )
        )
    async with edge_at(tmp_path, seed=2) as edge:
        assert await edge.value("a") == b'{"n":3}'
        older, newer = await edge.undecided()
        assert isinstance(older, Batch) and isinstance(newer, Batch)
        assert (len(older), len(newer), newer.first_seq) == (1, 3, 1)
        assert newer.seens == (0, 1, 2)
        assert newer.extras[0].seen == ((older.origin, 1),)
        read = await edge.reads.get(SPACE, "things", "a")
        assert read.context == Context(0, 0, ((older.origin, 1), (newer.origin, 3)))
        assert (await edge.sync(hub)).equal
        assert not any(one.outcomes for one in hub.log)


def test_contexts_follow_the_commits_they_name() -> None:
    old, older, new = b"o" * 16, b"p" * 16, b"n" * 16
    moves = {old: Move(keep=10, shift=-10), older: Move(keep=3, shift=5)}
    wanted = Precondition("c", "k", version=Version(1, 5, old, 12, pending=True))
    extra = Extra(seen=((older, 4), (b"x" * 16, 8)), preconditions=(wanted,))
    seen, after = renamed_context(old, 12, extra, moves, new)
    assert seen == 9, "the greater of old 12 and older 4 in the new origin's seqs"
    assert dict(after.seen) == {old: 10, older: 3, b"x" * 16: 8}
    assert after.preconditions[0].version == Version(1, 5, new, 2, pending=True)
    assert renamed_context(old, 9, Extra(), moves, new) == (0, Extra(seen=((old, 9),)))
    assert renamed_context(old, 0, Extra(), moves, new) == (0, Extra())


async def test_puts_survive_two_renamings(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        first = edge.origin
        receipts = [await edge.commit(Put("things", f"k{n}", b"{}")) for n in range(3)]
        await reconcile.take_new_origin(edge.files, "ORIGIN_COPIED", {(SPACE, first): 1})
        second = edge.origin
        await reconcile.take_new_origin(edge.files, "ORIGIN_COPIED", {(SPACE, second): 0})
        name = edge.files.outbox.present_name(SPACE, first, 3)
        assert name == (edge.origin, 2)
        assert (await edge.sync(hub)).equal
        found = await retrospect.outcomes(edge.files, SPACE, [r.op_id for r in receipts])
        assert [d.op_id.commit_id for d in found] == [r.op_id.commit_id for r in receipts]
    assert len(hub.state()) == 3


async def test_a_repeat_of_what_was_decided_elsewhere_has_no_effect_in_the_view(
    tmp_path: Path,
) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        hub.write(Put("things", "a", b'{"n":1}'))
        await edge.pull(hub)
        await edge.commit(Delete("things", "a"))
        await edge.put("a", b'{"m":2}')  # on top, and still pending
        (batch,) = await edge.undecided()
        assert isinstance(batch, Batch)
        empty = batch.slice(0, 1).with_ops(bytes([Kind.NONE]), (b"",))
        first = Outcome(OutcomeKind.APPLIED, by_origin=bytes(15) + b"x", by_seq=1)
        await edge.adopt([arrival(Decided(empty, 1, 2, (1 << 16,), (1,), {0: first}))])
        assert await edge.value("a") == b'{"m":2,"n":1}'


async def test_moved_commits_are_known_by_their_id(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b"{}")
        await reconcile.take_new_origin(edge.files, "ORIGIN_COPIED", {(SPACE, edge.origin): 0})
        (batch,) = await edge.undecided()
        assert isinstance(batch, Batch)
        assert batch.extra(0).retryable
        await edge.sync(hub)
