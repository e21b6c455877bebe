"""What the repositories keep and find again, on both databases."""

from __future__ import annotations

from functools import partial

import pytest

from cloud_hub import (
    change_log,
    commit_ids,
    conflicts,
    digests,
    epochs,
    fleet,
    forks,
    heads,
    meta,
    origins,
    policies,
    records,
)
from cloud_hub.change_log import LogDamaged, LogRow, StampMark
from cloud_hub.digests import Tally
from cloud_hub.fleet import Edge, EdgeCursor
from cloud_hub.forks import Sign
from cloud_hub.heads import Head
from cloud_hub.origins import Watermark
from cloud_hub.ownership import Ownership
from cloud_hub.storage.driver import Driver, StorageRefused, Transaction
from holdfast.host.refusal import Refusal
from holdfast.tls.identity import Identity, Role
from sync import codec
from sync.batch import Batch, Decided, batch_of
from sync.clock import stamp_at
from sync.commit import Actor, ActorKind, Commit, Kind
from sync.context import Part
from sync.digest import record_digest
from sync.policy import Policies, Priority, Rule
from sync.position import Position
from sync.working import Conflict
from tests.contract.conftest import FIRST_EPOCH, NOW_MS, ORIGIN
from tests.contract.hub_rows import ROBOT, TOKEN, log_row, record

HEAD = Head("site", 1, 7, TOKEN, 99)


# -- heads -------------------------------------------------------------------


async def test_a_space_begins_when_its_head_is_first_locked(driver: Driver) -> None:
    assert await driver.read(lambda tx: heads.read(tx, "site")) is None
    assert await driver.write(lambda tx: heads.lock(tx, "site")) == Head("site", 1, 0, b"", 0)
    await driver.write(lambda tx: heads.advance(tx, HEAD))
    assert await driver.write(lambda tx: heads.lock(tx, "site")) == HEAD
    assert await driver.read(lambda tx: heads.read(tx, "site")) == HEAD


async def test_heads_come_in_pages_by_name(driver: Driver) -> None:
    for space in ("b", "a", "B"):
        await driver.write(partial(heads.lock, space=space))
    first = await driver.read(lambda tx: heads.page(tx, "", 2))
    rest = await driver.read(lambda tx: heads.page(tx, first[-1].space, 2))
    assert [head.space for head in first + rest] == ["B", "a", "b"]
    found = await driver.read(lambda tx: heads.read_many(tx, ["a", "none"]))
    assert list(found) == ["a"]


# -- records -----------------------------------------------------------------

PART = Part(4, 1, 4, 4 << 16)


async def test_a_record_comes_back_as_it_was_saved(driver: Driver) -> None:
    wanted = {
        ("robots", "plain"): record(5),
        ("robots", "parts"): record(6, b'{"a":1,"nul\\u0000":2}', parts={"a": PART, "nul\0": PART}),
        ("robots", "gone"): record(7, deleted=True, gone=PART),
        ("robots", "again"): record(7, gone=PART),
        ("other", "plain"): record(9, b"{}"),
    }
    await driver.write(lambda tx: records.save(tx, "site", wanted))
    absent = ("robots", "absent")
    assert await driver.read(lambda tx: records.load(tx, "site", [*wanted, absent])) == wanted
    assert await driver.read(lambda tx: records.load(tx, "elsewhere", wanted)) == {}
    assert wanted["robots", "plain"].digest == record_digest("site", "robots", "k", 5, b'{"a":1}')


async def test_saving_again_replaces_everything(driver: Driver) -> None:
    key = ("robots", "r1")
    for stored in (record(5, parts={"a": PART}), record(6, b'{"b":2}'), record(9, deleted=True)):
        await driver.write(partial(records.save, space="site", records={key: stored}))
        assert await driver.read(lambda tx: records.get(tx, "site", *key)) == stored


async def test_a_deleted_record_has_no_digest(driver: Driver) -> None:
    wrong = record(5)
    wrong.working.deleted = True
    with pytest.raises(StorageRefused):
        await driver.write(lambda tx: records.save(tx, "site", {("robots", "r1"): wrong}))


KEYS = ["a", "a/1", "a/2", "a0", "b", "e\u0301", "\u00e9", "\ud7ff", "\ue000", "\U0010ffff"]


@pytest.mark.parametrize("prefix", ["", "a", "a/", "\u00e9", "\ud7ff", "\U0010ffff", "none"])
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pages_are_in_the_order_of_code_points(
    driver: Driver, prefix: str, limit: int
) -> None:
    wanted = {("robots", key): record() for key in reversed(KEYS)}
    wanted["robots2", "a"] = record()
    await driver.write(lambda tx: records.save(tx, "site", wanted))
    found: list[str] = []

    async def next_page(tx: Transaction) -> list[tuple[str, records.StoredRecord]]:
        after = found[-1] if found else ""
        return await records.page(tx, "site", "robots", prefix, after, limit)

    while page := await driver.read(next_page):
        assert len(page) <= limit
        found += [key for key, _ in page]
    assert found == sorted(key for key in KEYS if key.startswith(prefix))
    back: list[str] = []

    async def page_before(tx: Transaction) -> list[tuple[str, records.StoredRecord]]:
        before = back[-1] if back else ""
        return await records.page_back(tx, "site", "robots", prefix, before, limit)

    while page := await driver.read(page_before):
        assert len(page) <= limit
        back += [key for key, _ in page]
    assert back == found[::-1]


# -- the log -----------------------------------------------------------------


async def _log(driver: Driver, *rows: LogRow) -> None:
    await driver.write(lambda tx: change_log.append(tx, "site", rows))


async def test_a_row_is_found_by_any_revision_and_seq_in_it(driver: Driver) -> None:
    one, two = log_row(1, 3, seq=11), log_row(4, 4, seq=14)
    await _log(driver, one, two)

    async def look(tx: Transaction) -> None:
        assert [await change_log.at(tx, "site", r) for r in (1, 3, 4, 5)] == [one, one, two, None]
        found = [await change_log.of_seq(tx, "site", 1, seq) for seq in (10, 11, 13, 14, 15)]
        assert found == [None, one, one, two, None]
        assert await change_log.of_seq(tx, "site", 2, 11) is None
        assert await change_log.at(tx, "elsewhere", 1) is None

    await driver.read(look)


async def test_rows_after_a_revision_up_to_limits(driver: Driver) -> None:
    rows = [log_row(1, 10), log_row(11, 11), log_row(12, 12, size=1000), log_row(13, 20)]
    await _log(driver, *rows)

    async def after(revision: int, size: int = 10**9, commits: int = 10**9) -> list[LogRow]:
        return await driver.read(lambda tx: change_log.after(tx, "site", revision, size, commits))

    assert await after(0) == rows
    assert await after(5) == rows
    assert await after(10) == rows[1:]
    assert await after(20) == []
    assert await after(0, commits=11) == rows[:2]
    assert await after(0, commits=1) == rows[:1]
    assert await after(0, size=22) == rows[:2]
    assert await after(11, size=1) == rows[2:3], "one in any case"


async def test_a_second_decision_on_a_seq_or_revision_is_refused(driver: Driver) -> None:
    await _log(driver, log_row(1, 3))
    for twice in (log_row(1, 3, seq=50), log_row(4, 6, seq=1)):
        with pytest.raises(StorageRefused):
            await _log(driver, twice)


async def test_stamps_below_revisions(driver: Driver) -> None:
    await _log(driver, log_row(1, 3), log_row(4, 6))
    wanted = [0, 2, 3, 5, 6, 100]
    found = await driver.read(lambda tx: change_log.stamps_below(tx, "site", wanted))
    low, high = StampMark(3, 3 << 16), StampMark(6, 6 << 16)
    assert found == {3: low, 5: low, 6: high, 100: high}


async def test_a_batch_is_read_back_as_it_was_decided(driver: Driver) -> None:
    batch = Batch(
        "site", ORIGIN, 1, 1, (b"i" * 16,), (0,), (0,), (5,), (ROBOT,), (1,),
        ("robots",), ("r1",), bytes([Kind.CREATE]), (b'{"a":1}',),
    )  # fmt: skip
    decided = Decided(batch, 1, 1, (7,), (0,))
    rows = [log_row(1, 1).encoded_as(decided, name) for name in ("identity", "zstd")]
    for row in rows:
        assert row.decided("site") == decided
        assert row.block_bytes == len(codec.encode_block(batch))
        assert row.size == len(row.header) + len(row.block)
    await _log(driver, rows[1])
    found = await driver.read(lambda tx: change_log.at(tx, "site", 1))
    assert found is not None
    assert found.decided("site") == decided


def test_a_damaged_row_says_so() -> None:
    with pytest.raises(LogDamaged, match="site at revision 4"):
        log_row(4, 4).decided("site")


# -- origins -----------------------------------------------------------------


async def test_an_origin_keeps_its_number(driver: Driver) -> None:
    other = b"p" * 16
    given = await driver.write(lambda tx: origins.register(tx, {other: "", ORIGIN: "robot"}))
    assert given[ORIGIN] == 1
    again = await driver.write(lambda tx: origins.register(tx, {other: "arm", ORIGIN: ""}))
    assert again == given

    async def look(tx: Transaction) -> None:
        assert await origins.numbers(tx, [ORIGIN, b"?" * 16]) == {ORIGIN: 1}
        assert await origins.names(tx, [1, given[other], 99]) == {1: ORIGIN, given[other]: other}
        assert await origins.edges_of(tx, [ORIGIN, other]) == {ORIGIN: "robot", other: "arm"}

    await driver.read(look)


async def test_an_origin_belongs_to_whoever_claims_it_first(driver: Driver) -> None:
    mine, theirs, known = b"m" * 16, b"t" * 16, b"k" * 16
    await driver.write(lambda tx: origins.register(tx, {known: "arm"}))
    await driver.write(lambda tx: origins.claim(tx, [mine, known], "a", "uri-a"))
    await driver.write(lambda tx: origins.claim(tx, [mine, theirs], "b", "uri-b"))
    await driver.write(lambda tx: origins.register(tx, {mine: "renamed"}))

    async def look(tx: Transaction) -> None:
        found = await origins.identities(tx, [mine, theirs, known, b"?" * 16])
        assert found == {mine: "uri-a", known: "uri-a", theirs: "uri-b"}
        assert await origins.identities(tx, [ORIGIN]) == {}
        assert (await origins.edges_of(tx, [known]))[known] == "arm"

    await driver.read(look)


@pytest.mark.promise("tls.origin-bound")
async def test_a_claim_is_taken_whole_or_not_at_all(driver: Driver) -> None:
    ours, theirs, fresh = b"o" * 16, b"t" * 16, b"f" * 16
    ownership = Ownership(driver)
    a, b = (Identity("example.org", Role.EDGE, name) for name in "ab")
    await ownership.claim(a, [ours])
    await ownership.claim(b, [theirs])
    await ownership.claim(a, [ours])
    with pytest.raises(Refusal) as caught:
        await ownership.claim(a, [ours, fresh, theirs])
    assert caught.value.reason == "ORIGIN_NOT_YOURS"
    assert await driver.read(lambda tx: origins.identities(tx, [fresh])) == {}
    await ownership.claim_own(fresh)
    with pytest.raises(Refusal):
        await ownership.claim(a, [fresh])


async def test_watermarks(driver: Driver) -> None:
    marks = {1: Watermark(3, b"c" * 16, 3, 5)}
    await driver.write(lambda tx: origins.save_watermarks(tx, "site", marks))
    later = {1: Watermark(9, b"d" * 16, 8, 6)}
    await driver.write(lambda tx: origins.save_watermarks(tx, "site", later))
    await driver.write(lambda tx: origins.save_watermarks(tx, "lab", marks))
    assert await driver.read(lambda tx: origins.watermarks(tx, "site", [1, 2])) == later
    everywhere = await driver.read(lambda tx: origins.watermarks_everywhere(tx, 1))
    assert everywhere == {"site": later[1], "lab": marks[1]}


async def test_a_watermark_belongs_to_a_known_origin(driver: Driver) -> None:
    marks = {77: Watermark(3, b"c" * 16, 3, 5)}
    with pytest.raises(StorageRefused):
        await driver.write(lambda tx: origins.save_watermarks(tx, "site", marks))


# -- commit ids --------------------------------------------------------------


async def test_commit_ids_keep_their_first_revision_and_expire_oldest_first(
    driver: Driver,
) -> None:
    ids = [bytes([i]) * 16 for i in range(10)]
    for i, name in enumerate(ids):
        await driver.write(
            partial(commit_ids.insert, space="site", revisions={name: i + 1}, decided_ms=1000 + i)
        )
    await driver.write(lambda tx: commit_ids.insert(tx, "site", {ids[9]: 99}, 5000))
    look = [ids[0], ids[9], b"?" * 16]
    found = await driver.read(lambda tx: commit_ids.lookup(tx, "site", look))
    assert found == {ids[0]: 1, ids[9]: 10}
    assert await driver.read(lambda tx: commit_ids.lookup(tx, "lab", look)) == {}
    assert await driver.write(lambda tx: commit_ids.expire(tx, 1008, 5)) == 5
    assert await driver.write(lambda tx: commit_ids.expire(tx, 1008, 5)) == 3
    assert await driver.write(lambda tx: commit_ids.expire(tx, 1008, 5)) == 0
    assert set(await driver.read(lambda tx: commit_ids.lookup(tx, "site", ids))) == set(ids[8:])


# -- conflicts ---------------------------------------------------------------


def _conflict(revision: int, kind: str = "concurrent", *, ours: bool = True) -> Conflict:
    return Conflict(
        index=0,
        revision=revision,
        collection="robots",
        key="r1",
        field="nul\0",
        kind=kind,
        ours=Part(1, 1, 1, 1) if ours else None,
        ours_value=b"1" if ours else None,
        theirs=Part(revision, 1, revision, 9),
        theirs_value=None if ours else b"2",
        winner="ours",
        algorithm="lww",
        reason="REASON" if kind == "rejected" else "",
    )


async def test_conflicts_newest_first(driver: Driver) -> None:
    found = [_conflict(5), _conflict(5, "rejected"), _conflict(6, ours=False)]
    commit = Commit(b"i" * 16, 5, 0, 0, stamp_at(1_000), Actor("ann", ActorKind.HUMAN), ())
    batch = batch_of("site", ORIGIN, 1, [commit])
    rows = conflicts.logged(Decided(batch, 1, 5, (9,), (), {}), found, 1_003)
    assert [row.place for row in rows] == [(5, 0), (5, 1), (6, 0)]
    assert len({row.id for row in rows}) == 3
    await driver.write(lambda tx: conflicts.insert(tx, "site", rows))

    async def look(tx: Transaction) -> None:
        first = await conflicts.page(tx, "site", conflicts.NEWEST, 2)
        assert first == [rows[2], rows[1]]
        assert await conflicts.page(tx, "site", first[-1].place, 2) == [rows[0]]
        waiting = await conflicts.page(tx, "site", conflicts.NEWEST, 9, open_only=True)
        assert waiting == [rows[1]]
        assert await conflicts.count(tx, "site") == conflicts.Counts(3, 1)
        assert await conflicts.count(tx, "lab") == conflicts.Counts(0, 0)

    await driver.read(look)


# -- digests, fleet, epochs, meta, policies ------------------------------------


async def test_digests_of_the_whole_range(driver: Driver) -> None:
    tallies = {"a": Tally(2**64 - 1, 3), "b": Tally(2**63, 1), "c": digests.NOTHING}
    await driver.write(lambda tx: digests.save(tx, "site", dict.fromkeys("abc", Tally(1, 1))))
    await driver.write(lambda tx: digests.save(tx, "site", tallies))
    assert await driver.read(lambda tx: digests.of_space(tx, "site")) == tallies
    assert await driver.read(lambda tx: digests.load(tx, "site", ["b", "?"])) == {"b": tallies["b"]}


async def test_the_fleet(driver: Driver) -> None:
    arm = Edge("arm", ORIGIN, NOW_MS, 3, 900, -20, ("disk_full", "nul\0"), "edge-agent 0.1")
    dock = Edge("dock", b"d" * 16, NOW_MS, software="odd\0")
    cursors = [EdgeCursor("arm", "site", 1, 8, 5), EdgeCursor("arm", "lab", 0, 0)]

    async def report(tx: Transaction) -> None:
        await fleet.save(tx, [dock, Edge("arm", ORIGIN, 1)])
        await fleet.save(tx, [arm])
        await fleet.save_cursors(tx, [EdgeCursor("arm", "site", 1, 2)])
        await fleet.save_cursors(tx, cursors)

    await driver.write(report)

    async def look(tx: Transaction) -> None:
        assert await fleet.page(tx, "", 1) == [arm]
        (other,) = await fleet.page(tx, "arm", 9)
        assert (other.name, other.software) == ("dock", "odd\ufffd")
        found = await fleet.cursors_of(tx, ["arm", "dock"])
        assert found == {"arm": cursors[::-1], "dock": []}

    await driver.read(look)


async def test_a_new_epoch_forks_every_space_at_its_head(driver: Driver) -> None:
    async def work(tx: Transaction) -> None:
        first = await epochs.begin(tx, b"another id of it", NOW_MS)
        assert [(e.ordinal, e.id) for e in first.epochs] == [(1, FIRST_EPOCH)]
        for space in ("lab", "site"):
            await heads.lock(tx, space)
        await heads.advance(tx, HEAD)
        lineage = await epochs.declare(tx, b"2" * 16, NOW_MS, "a drill", "ann", if_needed=False)
        assert (lineage.present.ordinal, lineage.present.parent) == (2, 1)
        assert lineage.present.forks == {"lab": 0, "site": 7}
        assert lineage.effective(Position(1, "site", 9)) == 7
        assert (await heads.lock(tx, "site")).epoch == 2
        assert (await heads.lock(tx, "new")).epoch == 2
        assert await epochs.load(tx) == lineage
        for epoch_id, if_needed in ((b"2" * 16, False), (b"3" * 16, True)):
            again = await epochs.declare(tx, epoch_id, NOW_MS, "", "", if_needed=if_needed)
            assert again == lineage, "the same again, and one that nobody needs"
        entries = await epochs.listed(tx, 1, 10)
        assert [(e.ordinal, e.reason, e.actor) for e in entries] == [(2, "a drill", "ann")]

    await driver.write(work)


async def test_a_sign_of_another_history_stops_a_space_until_an_epoch_is_declared(
    driver: Driver,
) -> None:
    async def work(tx: Transaction) -> None:
        await heads.lock(tx, "site")
        await heads.advance(tx, HEAD)
        told = partial(forks.contradiction, tx, HEAD, "edge a")
        assert await told(1, 7, TOKEN) is None
        assert await told(0, 9, TOKEN) is None, "an older epoch has its fork"
        assert await told(1, 6, TOKEN) is None, "nothing is left to compare with"
        other, above, later = (
            await told(1, 7, b"x" * 16), await told(1, 9, TOKEN), await told(4, 5, TOKEN)
        )  # fmt: skip
        assert other == Sign("site", "edge a", 1, 7, 6)
        assert above == Sign("site", "edge a", 1, 9, 7)
        assert later == Sign("site", "edge a", 4, 5, 5)
        for sign in (other, above, later):
            await forks.stop(tx, sign, NOW_MS)
        stopped = await heads.lock(tx, "site")
        assert stopped.stopped == "fork"
        with pytest.raises(Refusal, match="site: the history"):
            stopped.going()
        lineage = await epochs.declare(tx, b"2" * 16, NOW_MS, "put back", "ann", if_needed=True)
        assert (lineage.present.ordinal, lineage.present.parent) == (5, 1), "not one known before"
        assert lineage.present.forks == {"site": 5}
        assert (await heads.lock(tx, "site")).going().epoch == 5
        await forks.stop(tx, other, NOW_MS)
        assert not (await heads.lock(tx, "site")).stopped, "that is settled"
        assert [sign.revision for sign in await forks.page(tx, forks.BEGINNING, 10)] == [7, 9, 5]

    await driver.write(work)


async def test_the_identity_is_given_once(driver: Driver) -> None:
    first = meta.Identity(b"a" * 16, b"s" * 32)
    assert await driver.write(lambda tx: meta.identify(tx, first)) == first
    other = meta.Identity(b"b" * 16, b"t" * 32)
    assert await driver.write(lambda tx: meta.identify(tx, other)) == first
    assert "s" * 8 not in repr(first)


async def test_policies_are_records(driver: Driver) -> None:
    assert await driver.read(lambda tx: policies.load(tx, "site")) == Policies()
    stored = {
        ("_policies", "counts"): record(1, b'{"rule":"counter"}'),
        ("_policies", "@space"): record(2, b'{"priority":"control"}'),
        ("_policies", "gone"): record(3, b'{"rule":"counter"}', deleted=True),
        ("robots", "r1"): record(4, b'{"rule":"counter"}'),
    }
    await driver.write(lambda tx: records.save(tx, "site", stored))
    found = await driver.read(lambda tx: policies.load(tx, "site"))
    assert found.space.priority is Priority.CONTROL
    assert list(found.collections) == ["counts"]
    assert found.of("counts").rule is Rule.COUNTER
