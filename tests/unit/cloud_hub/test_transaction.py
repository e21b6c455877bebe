"""What the hub keeps, on a real file: all of a transaction or none of it, and for how long."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_hub import change_log, commit_ids, conflicts, hub
from cloud_hub.hot import HotSpaces
from cloud_hub.storage.driver import StorageFull
from cloud_hub.storage.sqlite import SqliteDriver
from cloud_hub.submissions import Receipt, Requested
from holdfast.host.refusal import Refusal
from sync import messages as m
from sync.batch import Batch, batch_of
from sync.commit import Actor, ActorKind, Commit, Extra, Kind, Op, OutcomeKind
from sync.reduce import Delete, Put
from tests.edges import TestClock, ids
from tests.fleet import pushed

SPACE = "default"
ANN = Actor("ann", ActorKind.HUMAN)
A, B = b"a" * 16, b"b" * 16
DAY_MS = 24 * 3_600_000


class HubOnFile:
    """A hub without a door."""

    def __init__(self, made: hub.Hub, driver: SqliteDriver, clock: TestClock, path: Path) -> None:
        self.hub, self.driver, self.clock, self.path = made, driver, clock, path
        self._ids = ids(99)

    async def put(self, key: str, value: bytes = b"{}", commit_id: bytes = b"") -> Receipt:
        retryable = bool(commit_id)
        return await self.request(Put("parts", key, value), commit_id=commit_id, kept=retryable)

    async def request(
        self, *requests: Put | Delete, commit_id: bytes = b"", kept: bool = False
    ) -> Receipt:
        item = Requested(SPACE, requests, ANN, commit_id or self._ids(), retryable=kept)
        answer = await self.hub.ingest.submit(item)
        assert isinstance(answer, Receipt)
        return answer

    async def push(self, batch: Batch) -> m.PushResult | m.PushRefused:
        answer = await self.hub.ingest.submit(pushed(batch))
        assert isinstance(answer, m.PushResult | m.PushRefused)
        return answer

    def rows(self, table: str) -> list[tuple[object, ...]]:
        """A table as somebody else sees it who opens the file."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
        finally:
            connection.close()


@pytest.fixture
async def on_file(tmp_path: Path) -> AsyncIterator[HubOnFile]:
    clock, path = TestClock(), tmp_path / "hub.db"
    driver = await SqliteDriver.open(path, clock.wall_ms())
    try:
        made = await hub.assembled(hub.HubSettings("", tmp_path), driver, clock, ids(1))
        await made.prepare()
        yield HubOnFile(made, driver, clock, path)
        await made.ingest.close()
    finally:
        await driver.close()


def row(seq: int, value: str, base: int, origin: bytes, extra: Extra | None = None) -> Batch:
    kind = Kind.PATCH if base else Kind.CREATE
    op = Op(kind, "parts", "1", value.encode())
    name = origin[:8] + seq.to_bytes(8, "big")
    return batch_of(
        SPACE, origin, 1, [Commit(name, seq, base, 0, seq << 16, ANN, (op,), extra or Extra())]
    )


# -- conflicts ---------------------------------------------------------------------------------


@pytest.mark.promise("conflict.recorded")
@pytest.mark.promise("conflict.loser-kept")
async def test_a_conflict_has_both_versions_and_who_won_by_which_rule(on_file: HubOnFile) -> None:
    await on_file.push(row(1, '{"x":1}', 0, A))
    await on_file.push(row(2, '{"x":"mine"}', 1, A))
    await on_file.push(row(1, '{"x":"yours"}', 1, B))
    (found,) = await on_file.driver.read(lambda tx: conflicts.page(tx, SPACE, conflicts.NEWEST, 10))
    conflict = found.conflict
    assert (conflict.collection, conflict.key, conflict.field) == ("parts", "1", "x")
    assert (conflict.ours_value, conflict.theirs_value) == (b'"mine"', b'"yours"')
    assert conflict.ours is not None
    assert (conflict.ours.seq, conflict.theirs.seq) == (2, 1)
    assert conflict.ours.stamp and conflict.theirs.stamp
    assert (conflict.kind, conflict.algorithm, conflict.winner) == ("concurrent", "lww", "ours")
    assert (conflict.revision, found.state) == (3, "auto")


@pytest.mark.promise("conflict.recorded")
async def test_state_and_conflict_are_written_together_or_not_at_all(
    on_file: HubOnFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_file.push(row(1, '{"x":1}', 0, A))
    await on_file.push(row(2, '{"x":2}', 1, A))
    tables = ("records", "log", "heads", "watermarks", "conflicts", "digests")
    before = {table: on_file.rows(table) for table in tables}

    async def fails(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(conflicts, "insert", fails)
        with pytest.raises(OSError, match="the disk is gone"):
            await on_file.push(row(1, '{"x":3}', 1, B))
    assert {table: on_file.rows(table) for table in tables} == before
    await on_file.push(row(1, '{"x":3}', 1, B))
    assert len(on_file.rows("conflicts")) == 1


@pytest.mark.promise("merge.bad-value-never-stalls")
@pytest.mark.promise("rule.rejected-is-decided")
async def test_what_no_rule_can_take_waits_in_the_inbox_and_stalls_nothing(
    on_file: HubOnFile,
) -> None:
    ops = [
        Op(Kind.CREATE, "parts", "1", b'{"n":"many"}'),
        Op(Kind.ADD, "parts", "1", b'{"n":1}'),
        Op(Kind.CREATE, "parts", "2", b"{}"),
    ]
    commits = [
        Commit(bytes([n]) * 16, n, 0, n - 1, n << 16, ANN, (op,), Extra())
        for n, op in enumerate(ops, start=1)
    ]
    answer = await on_file.push(batch_of(SPACE, A, 1, commits))
    assert isinstance(answer, m.PushResult)
    assert (answer.decided_seq, answer.position.revision) == (3, 3), "it takes a revision"
    (waits,) = await on_file.driver.read(
        lambda tx: conflicts.page(tx, SPACE, conflicts.NEWEST, 10, open_only=True)
    )
    assert (waits.conflict.theirs_value, waits.conflict.reason) == (b'{"n":1}', "NOT_AN_INTEGER")
    _, found = await on_file.hub.state._reads.get(SPACE, [("parts", "1"), ("parts", "2")])
    assert [one.value for one in found] == [b'{"n":"many"}', b"{}"]


# -- history -----------------------------------------------------------------------------------


@pytest.mark.promise("history.never-rewritten")
async def test_what_was_decided_stays_as_it_was_byte_by_byte(on_file: HubOnFile) -> None:
    await on_file.push(row(1, '{"x":1}', 0, A))
    await on_file.push(row(2, '{"x":2}', 1, A))
    await on_file.push(row(1, '{"x":3}', 1, B))
    log, known = on_file.rows("log"), on_file.rows("conflicts")
    assert len(log) == 3 and len(known) == 1
    await on_file.push(row(2, '{"x":4}', 1, B))
    await on_file.request(Delete("parts", "1"))
    await on_file.put("1", b'{"y":1}')
    on_file.clock.wall += 400 * DAY_MS
    await on_file.driver.write(on_file.hub._forget_old_ids)
    assert on_file.rows("log")[:3] == log
    assert [one for one in on_file.rows("conflicts") if one in known] == known


@pytest.mark.promise("rule.no-timed-tombstones")
@pytest.mark.promise("merge.deleted-stays-deleted")
async def test_a_tombstone_outlives_any_time(on_file: HubOnFile) -> None:
    await on_file.put("1", b'{"x":1}')
    await on_file.request(Delete("parts", "1"))
    before = on_file.rows("records")
    on_file.clock.wall += 20 * 365 * DAY_MS
    await on_file.driver.write(on_file.hub._forget_old_ids)
    await on_file.hub.streams.save()
    assert on_file.rows("records") == before
    # Someone who was away all that time does not bring it back.
    await on_file.push(row(1, '{"x":2}', 1, B))
    (record,) = [one for one in on_file.rows("records") if one[1] == "parts"]
    assert record == before[-1]


# -- retries -----------------------------------------------------------------------------------


@pytest.mark.promise("rule.retry-window")
async def test_a_chosen_commit_id_is_known_for_seven_days(on_file: HubOnFile) -> None:
    first = await on_file.put("1", b'{"x":1}', commit_id=b"c" * 16)
    await on_file.put("2", commit_id=b"d" * 16)
    op = Op(Kind.CREATE, "parts", "1", b'{"x":9}')
    for day in range(7):
        on_file.clock.wall = 1_700_000_000_000 + day * DAY_MS
        await on_file.driver.write(on_file.hub._forget_old_ids)
        assert await on_file.put("1", b'{"x":1}', commit_id=b"c" * 16) == first
        # Taken at an edge's door in the meantime it is decided, and has no effect.
        again = Commit(b"c" * 16, day + 1, 0, 0, 1, ANN, (op,), Extra(retryable=True))
        assert isinstance(await on_file.push(batch_of(SPACE, A, 1, [again])), m.PushResult)
    _, found = await on_file.hub.state._reads.get(SPACE, [("parts", "1")])
    assert found[0].value == b'{"x":1}'
    assert on_file.rows("conflicts") == []
    on_file.clock.wall = 1_700_000_000_000 + 8 * DAY_MS
    await on_file.driver.write(on_file.hub._forget_old_ids)
    left = await on_file.driver.read(lambda tx: commit_ids.lookup(tx, SPACE, [b"d" * 16]))
    assert left == {}, "the table is bounded"


@pytest.mark.promise("write.id-reused")
async def test_another_request_under_a_used_id_has_no_effect_at_the_hub(
    on_file: HubOnFile,
) -> None:
    first = await on_file.put("1", b'{"x":1}', commit_id=b"c" * 16)
    assert await on_file.put("2", b'{"y":1}', commit_id=b"c" * 16) == first
    assert [one[2] for one in on_file.rows("records")] == ["1"]


# -- the disk ----------------------------------------------------------------------------------


@pytest.mark.promise("rule.disk-full-recovers")
async def test_a_full_disk_refuses_by_name_and_ends_by_itself(on_file: HubOnFile) -> None:
    await on_file.put("1")
    writer = on_file.driver._writer
    pages = await writer.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await writer.run(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").close())
    big = b'{"text":"%s"}' % (b"x" * 200_000)
    before = on_file.rows("log")
    for _ in range(2):
        with pytest.raises(StorageFull) as refused:
            await on_file.put("2", big)
        assert refused.value.reason == "DISK_FULL"
        assert not await writer.run(lambda c: c.in_transaction)
    assert on_file.rows("log") == before
    assert on_file.hub.fanout.head(SPACE) is not None
    position, found = await on_file.hub.state._reads.get(SPACE, [("parts", "1")])
    assert (position.revision, len(found)) == (1, 1), "reading goes on"
    await writer.run(lambda c: c.execute("PRAGMA max_page_count = 1000000").close())
    assert (await on_file.put("2", big)).position.revision == 2


# -- commit, then answer, then tell others -----------------------------------------------------


@pytest.mark.promise("rule.commit-then-ack")
async def test_what_is_answered_or_told_is_on_disk(on_file: HubOnFile) -> None:
    """Seen from another connection, deletions too."""
    told: list[int] = []
    publish = on_file.hub.fanout.publish

    def telling(space: str, rows: object, head: object) -> None:
        told.append(len(on_file.rows("log")))
        publish(space, rows, head)  # type: ignore[arg-type]

    on_file.hub.fanout.publish = telling  # type: ignore[method-assign]
    requests: list[Put | Delete] = [Put("parts", "1", b"{}"), Delete("parts", "1")]
    for count, request in enumerate(requests, start=1):
        await on_file.request(request)
        assert len(on_file.rows("log")) == count
    assert told == [1, 2]


# -- the log has lost its beginning ------------------------------------------------------------


@pytest.mark.promise("resume.compacted")
async def test_a_state_that_the_log_no_longer_holds_is_compacted(on_file: HubOnFile) -> None:
    for n in range(4):
        await on_file.put("1", b'{"x":%d}' % n)

    await on_file.driver._writer.transaction(
        lambda c: c.execute("DELETE FROM log WHERE last_revision <= 2").close()
    )
    with pytest.raises(Refusal) as refused:
        await on_file.hub.state._reads.get(SPACE, [("parts", "1")], as_of=2)
    assert refused.value.reason == "COMPACTED"
    with pytest.raises(Refusal) as refused:
        await on_file.hub.state._reads.get(SPACE, [("parts", "1")], as_of=9)
    assert refused.value.reason == "FUTURE_REVISION"


# -- who is named, and who came before ---------------------------------------------------------


async def test_one_may_lose_against_a_deletion_by_somebody_who_is_not_in_the_group(
    on_file: HubOnFile,
) -> None:
    await on_file.push(row(1, '{"x":1}', 0, A))
    gone = Commit(b"deletes " * 2, 2, 1, 1, 2 << 16, ANN, (Op(Kind.DELETE, "parts", "1", b""),))
    await on_file.push(batch_of(SPACE, A, 1, [gone]))
    await on_file.put("1", b'{"y":1}')
    on_file.hub.ingest._transactor.hot = HotSpaces()  # nothing is kept from before
    answer = await on_file.push(row(1, '{"x":2}', 1, B))
    assert isinstance(answer, m.PushResult)
    assert answer.decided_seq == 1


async def test_commits_of_one_group_at_the_hubs_door_have_seen_each_other(
    on_file: HubOnFile,
) -> None:
    await on_file.put("1", b'{"x":1}')
    together = [on_file.put("1", b'{"x":%d}' % n) for n in (2, 3, 4)]
    receipts = await asyncio.gather(*together)
    assert {receipt.outcome.kind for receipt in receipts} == {OutcomeKind.APPLIED}
    rows = on_file.rows("conflicts")
    assert rows == []
    after = await on_file.driver.read(lambda tx: change_log.after(tx, SPACE, 0, 1 << 20, 100))
    stamps = [stamp for one in after for stamp in one.decided(SPACE).stamps]
    assert stamps == sorted(set(stamps))
