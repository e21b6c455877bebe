"""The seam itself: transactions, sets of rows, refusals, on both databases."""

from __future__ import annotations

import asyncio

import pytest

from cloud_hub import commit_ids, heads, meta, origins, records
from cloud_hub.storage.driver import Driver, StorageRefused, Transaction
from tests.contract.conftest import ORIGIN
from tests.contract.hub_rows import record


async def test_work_answers_what_it_returns(driver: Driver) -> None:
    async def work(tx: Transaction) -> int:
        return (await heads.lock(tx, "site")).revision + 41

    assert await driver.write(work) == 41
    assert await driver.read(lambda tx: heads.read(tx, "site")) is not None


async def test_an_error_in_work_leaves_nothing(driver: Driver) -> None:
    async def work(tx: Transaction) -> None:
        await heads.lock(tx, "site")
        await records.save(tx, "site", {("robots", "r1"): record()})
        raise LookupError("the work's own")

    with pytest.raises(LookupError):
        await driver.write(work)
    assert await driver.read(lambda tx: heads.read(tx, "site")) is None
    assert await driver.read(lambda tx: records.get(tx, "site", "robots", "r1")) is None


async def test_a_refused_statement_leaves_nothing_and_the_next_transaction_works(
    driver: Driver,
) -> None:
    async def work(tx: Transaction) -> None:
        await heads.lock(tx, "site")
        await heads.advance(tx, heads.Head("site", 1, 1, b"too short", 0))

    with pytest.raises(StorageRefused):
        await driver.write(work)
    assert await driver.read(lambda tx: heads.read(tx, "site")) is None
    await driver.write(lambda tx: heads.lock(tx, "site"))
    assert await driver.read(lambda tx: heads.read(tx, "site")) is not None


async def test_a_set_of_more_than_ten_thousand_rows(driver: Driver) -> None:
    many = {("robots", f"r{i:05d}"): record(i + 1) for i in range(10_123)}
    await driver.write(lambda tx: records.save(tx, "site", many))
    assert await driver.read(lambda tx: records.load(tx, "site", many)) == many


async def test_empty_sets_are_nothing(driver: Driver) -> None:
    async def work(tx: Transaction) -> None:
        await records.save(tx, "site", {})
        await commit_ids.insert(tx, "site", {}, 0)
        assert await records.load(tx, "site", ()) == {}
        assert await origins.numbers(tx, ()) == {}

    await driver.write(work)


async def test_a_read_is_of_one_moment(driver: Driver) -> None:
    """Also while others commit; SQLite's work cannot wait half-way, so there it holds trivially."""
    await driver.write(lambda tx: records.save(tx, "site", {("robots", "r1"): record(1)}))

    async def work(tx: Transaction) -> tuple[object, object]:
        before = await records.get(tx, "site", "robots", "r1")
        return before, await records.get(tx, "site", "robots", "r1")

    later = {("robots", "r1"): record(2)}
    (one, other), _ = await asyncio.gather(
        driver.read(work), driver.write(lambda tx: records.save(tx, "site", later))
    )
    assert one == other


async def test_writing_in_a_read_is_a_mistake(driver: Driver) -> None:
    with pytest.raises(AssertionError):
        await driver.read(lambda tx: records.save(tx, "site", {("robots", "r1"): record()}))


@pytest.mark.parametrize(
    "key", ["a\u0301", "\u202e", "\U0001f916/\uffff", "'; --", "%_\\", "\u00e9" * 256]
)
async def test_odd_text_is_kept_as_it_is(driver: Driver, key: str) -> None:
    await driver.write(lambda tx: records.save(tx, "site", {("robots", key): record()}))
    assert await driver.read(lambda tx: records.get(tx, "site", "robots", key)) == record()


@pytest.mark.parametrize("key", ["nul\0", "\0", "", "\ud800", "x" * 513, "\u00e9" * 257])
async def test_text_that_one_database_refuses_is_refused_by_both(driver: Driver, key: str) -> None:
    with pytest.raises(StorageRefused):
        await driver.write(lambda tx: records.save(tx, "site", {("robots", key): record()}))
    assert await driver.read(lambda tx: records.page(tx, "site", "robots", "", "", 10)) == []


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
async def test_an_integer_beyond_64_bits_is_refused(driver: Driver, number: int) -> None:
    ids = {b"i" * 16: number}
    with pytest.raises(StorageRefused):
        await driver.write(lambda tx: commit_ids.insert(tx, "site", ids, 0))


async def test_bytes_are_kept_as_they_are(driver: Driver) -> None:
    identity = meta.Identity(bytes(16), bytes(range(32)))
    assert await driver.write(lambda tx: meta.identify(tx, identity)) == identity


async def test_writers_of_one_space_leave_no_gap(driver: Driver) -> None:
    """Each takes the next revision; between reading the head and writing it nobody gets in."""

    async def work(tx: Transaction) -> int:
        head = await heads.lock(tx, "site")
        revision = head.revision + 1
        await records.save(tx, "site", {("robots", f"r{revision}"): record(revision)})
        await heads.advance(tx, heads.Head("site", 1, revision, revision.to_bytes(16, "big"), 0))
        return revision

    given = await asyncio.gather(*(driver.write(work) for _ in range(60)))
    assert sorted(given) == list(range(1, 61))


async def test_who_locks_in_another_order_gets_through_as_well(driver: Driver) -> None:
    """That may deadlock; the driver runs the work of one of them again."""

    async def work(tx: Transaction, spaces: tuple[str, str]) -> None:
        for space in spaces:
            head = await heads.lock(tx, space)
            token = b"%016d" % (head.revision + 1)
            await heads.advance(tx, heads.Head(space, 1, head.revision + 1, token, 0))

    for _ in range(5):
        await asyncio.gather(
            driver.write(lambda tx: work(tx, ("a", "b"))),
            driver.write(lambda tx: work(tx, ("b", "a"))),
        )
    found = await driver.read(lambda tx: heads.page(tx, "", 10))
    assert [(head.space, head.revision) for head in found] == [("a", 10), ("b", 10)]


async def test_two_who_register_the_same_origins_agree(driver: Driver) -> None:
    ids = [bytes([i]) * 16 for i in range(20)]
    forth, back = dict.fromkeys(ids, ""), dict.fromkeys(reversed(ids), "robot")
    one, other = await asyncio.gather(
        driver.write(lambda tx: origins.register(tx, forth)),
        driver.write(lambda tx: origins.register(tx, back)),
    )
    assert one == other
    assert len(set(one.values())) == 20
    assert ORIGIN not in one
