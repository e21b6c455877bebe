"""Damaged files and failing disks: told by name, and never in the way of what is sound."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_agent import retrospect
from edge_agent.outbox_rows import DamagedRow, checksum
from holdfast.host.sqlite import DiskFull
from sync.batch import Batch
from sync.commit import OutcomeKind
from sync.messages import VoidRange
from sync.reduce import Put
from tests.edges import SPACE, DictHub, edge_at


def _alter(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def _set_aside(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.damaged-*"))


def _spoil_pages(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(8, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)


async def test_a_damaged_row_is_declared_lost_and_the_rest_goes_on(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        receipts = [await edge.put(f"k{n}", b'{"n":1}') for n in range(5)]
    _alter(tmp_path / "outbox.db", "UPDATE outbox SET payload = x'7b7d' WHERE seq = 3")
    (tmp_path / "replica.db").unlink()
    async with edge_at(tmp_path, seed=2) as edge:
        assert "OUTBOX_DAMAGED" in edge.files.alarms.names
        first, gone, rest = await edge.undecided()
        assert isinstance(first, Batch) and first.last_seq == 2
        assert isinstance(gone, VoidRange) and (gone.first_seq, gone.count) == (3, 1)
        assert gone.commit_ids == (receipts[2].op_id.commit_id,)
        assert isinstance(rest, Batch) and rest.first_seq == 4
        (told,) = await retrospect.outcomes(edge.files, SPACE, [receipts[2].op_id])
        assert told.outcome is not None
        assert (told.outcome.kind, told.outcome.reason) == (OutcomeKind.LOST, "OUTBOX_DAMAGED")
        assert (await edge.sync(hub)).equal
    assert set(hub.state()) == {("things", f"k{n}") for n in (0, 1, 3, 4)}


async def test_missing_rows_are_noticed(tmp_path: Path) -> None:
    async with edge_at(tmp_path) as edge:
        for n in range(5):
            await edge.put(f"k{n}", b'{"n":1}')
    _alter(tmp_path / "outbox.db", "DELETE FROM outbox WHERE seq IN (2, 3, 5)")
    async with edge_at(tmp_path, seed=2) as edge:
        outbox = edge.files.outbox
        with pytest.raises(DamagedRow):
            await edge.files.in_outbox(lambda c: outbox.read(c, SPACE, edge.origin, 1))
        damaged = DamagedRow(SPACE, 1, 2)
        gone = await edge.files.in_outbox(lambda c: outbox.void_damaged(c, damaged))
        assert (gone.first_seq, gone.count) == (2, 2)
        damaged = DamagedRow(SPACE, 1, 5)
        gone = await edge.files.in_outbox(lambda c: outbox.void_damaged(c, damaged))
        assert (gone.first_seq, gone.count) == (5, 1)


def test_the_checksum_covers_every_column() -> None:
    row = ("s", 1, 2, 0, b"i" * 16, 1, 2, 3, 4, "a", 1, None, 1, "c", "k", 3, b"{}")
    whole = checksum(row)
    others = ("t", 2, 3, 1, b"j" * 16, 2, 3, 4, 5, "b", 2, "{}", 2, "d", "l", 4, b"{ }")
    for index, other in enumerate(others):
        assert checksum((*row[:index], other, *row[index + 1 :])) != whole, index


async def test_a_damaged_replica_is_set_aside_and_the_outbox_goes_on(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b'{"n":1}')
        await edge.sync(hub)
        await edge.put("b", b'{"n":2}')
    (tmp_path / "replica.db").write_bytes(b"not a database" * 500)
    async with edge_at(tmp_path, seed=2) as edge:
        assert edge.files.rebuilds == {"REPLICA_DAMAGED": 1}
        assert _set_aside(tmp_path) == ["replica.db.damaged-1"]
        assert await edge.value("b") == b'{"n":2}'
        await edge.put("c", b'{"n":3}')
        assert (await edge.sync(hub)).equal
    assert len(hub.state()) == 3


async def test_pages_that_go_bad_while_it_runs(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        for n in range(300):
            await edge.put(f"k{n}", b'{"text":"%s"}' % (b"x" * 200))
    _spoil_pages(tmp_path / "replica.db")
    async with edge_at(tmp_path, seed=2) as edge:
        for n in range(0, 300, 50):
            await edge.put(f"k{n}", b'{"n":1}')
        assert edge.files.rebuilds == {"REPLICA_DAMAGED": 1}
        assert (await edge.sync(hub)).equal
        assert len(await edge.state()) == 300


async def test_at_most_two_damaged_replicas_are_kept(tmp_path: Path) -> None:
    for seed in range(1, 6):
        (tmp_path / "replica.db").write_bytes(b"not a database" * 500)
        async with edge_at(tmp_path, seed=seed) as edge:
            assert edge.files.rebuilds == {"REPLICA_DAMAGED": seed}
    assert _set_aside(tmp_path) == ["replica.db.damaged-4", "replica.db.damaged-5"]


@pytest.mark.promise("write.eventual.full")
@pytest.mark.promise("rule.disk-full-recovers")
async def test_a_full_disk_refuses_before_acknowledging(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b"{}")
        limit = await edge.files.in_outbox(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await edge.files.in_outbox(lambda c: c.execute(f"PRAGMA max_page_count = {limit}").close())
        big = b'{"text":"%s"}' % (b"x" * 50_000)
        with pytest.raises(DiskFull):
            await edge.commit(Put("things", "b", big))
        assert await edge.value("b") is None
        await edge.files.in_outbox(lambda c: c.execute("PRAGMA max_page_count = 1000000").close())
        await edge.commit(Put("things", "b", big))
        assert (await edge.sync(hub)).equal


async def test_a_commit_whose_view_cannot_be_written_is_durable_and_said_so(
    tmp_path: Path,
) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b"{}")
        limit = await edge.files.replica.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await edge.files.replica.run(
            lambda c: c.execute(f"PRAGMA max_page_count = {limit}").close()
        )
        receipt = await edge.commit(Put("things", "b", b'{"text":"%s"}' % (b"x" * 50_000)))
        assert not receipt.applied_locally
        with pytest.raises(DiskFull):
            await edge.put("c", b"{}")  # it could not be judged on a view that lacks b
        await edge.files.replica.run(lambda c: c.execute("PRAGMA max_page_count = 1000000").close())
        await edge.put("d", b"{}")
        assert (await edge.sync(hub)).equal
    assert set(hub.state()) == {("things", key) for key in "abd"}
