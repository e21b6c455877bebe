"""Groups in real transactions: what a process keeps of a space is what the database holds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cloud_hub import epochs, records
from cloud_hub.hot import KEPT_VALUE_BYTES
from cloud_hub.storage.driver import StorageUnavailable, Transaction
from cloud_hub.storage.sqlite import SqliteDriver
from cloud_hub.submissions import Pushed
from cloud_hub.transaction import Transactor
from holdfast.host.sqlite import MEMORY
from sync.batch import Batch, batch_of
from sync.clock import stamp_at
from sync.commit import Commit, Kind, Op
from tests.edges import TestClock, ids
from tests.fleet import HUB_ORIGIN, NOON_MS, ROBOT, SPACE, name_of, pushed

A = name_of("a")


@pytest.fixture
async def hub() -> AsyncIterator[Transactor]:
    driver = await SqliteDriver.open(MEMORY, NOON_MS, inline=True)
    await driver.write(lambda tx: epochs.begin(tx, name_of("epoch"), NOON_MS))
    yield Transactor(driver, TestClock(NOON_MS), HUB_ORIGIN, ids(1), "identity")
    await driver.close()


def commit(seq: int, *ops: Op) -> Pushed:
    claimed = stamp_at(NOON_MS)
    made = Commit(name_of(f"id{seq}"), seq, 0, seq - 1, claimed, ROBOT, ops)
    return _pushed(batch_of(SPACE, A, 1, [made]))


def _pushed(batch: Batch) -> Pushed:
    return pushed(batch)


def op(kind: Kind, key: str, payload: bytes) -> Op:
    return Op(kind, "robots", key, payload)


async def kept_is_true(hub: Transactor) -> None:
    kept = hub.hot._kept[SPACE].records

    async def work(tx: Transaction) -> None:
        assert kept == await records.load(tx, SPACE, list(kept))

    await hub._driver.read(work)


async def test_a_commit_rejected_halfway_leaves_nothing_in_what_is_kept(hub: Transactor) -> None:
    """Its first operations once stayed in the records kept for the next group."""
    create = op(Kind.CREATE, "x", b'{"t":"before"}'), op(Kind.CREATE, "y", b'{"n":"text"}')
    await hub.decide(SPACE, [commit(1, *create)])
    await kept_is_true(hub)
    half = op(Kind.PATCH, "x", b'{"t":"phantom"}'), op(Kind.ADD, "y", b'{"n":1}')
    await hub.decide(SPACE, [commit(2, *half)])
    await kept_is_true(hub)
    await hub.decide(SPACE, [commit(3, op(Kind.PATCH, "x", b'{"z":1}'))])
    await kept_is_true(hub)
    (record,) = [r for key, r in hub.hot._kept[SPACE].records.items() if key[1] == "x"]
    assert record.working.value == b'{"t":"before","z":1}'


async def test_a_group_that_fails_leaves_nothing_in_what_is_kept(
    hub: Transactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.decide(SPACE, [commit(1, op(Kind.CREATE, "x", b'{"n":1}'))])

    async def full(*_: object) -> None:
        raise StorageUnavailable("lost")

    with monkeypatch.context() as patched:
        patched.setattr("cloud_hub.heads.advance", full)
        with pytest.raises(StorageUnavailable):
            await hub.decide(SPACE, [commit(2, op(Kind.PATCH, "x", b'{"n":2}'))])
    await hub.decide(SPACE, [commit(2, op(Kind.PATCH, "x", b'{"m":3}'))])
    await kept_is_true(hub)
    assert hub.hot._kept[SPACE].records["robots", "x"].working.value == b'{"m":3,"n":1}'


async def test_large_records_are_not_kept(hub: Transactor) -> None:
    large = b'{"t":"%s"}' % (b"x" * KEPT_VALUE_BYTES)
    made = op(Kind.CREATE, "x", large), op(Kind.CREATE, "y", b"{}")
    await hub.decide(SPACE, [commit(1, *made)])
    assert set(hub.hot._kept[SPACE].records) == {("robots", "y")}
    await hub.decide(SPACE, [commit(2, op(Kind.PATCH, "x", b'{"t":1}'))])
    await kept_is_true(hub)
    assert set(hub.hot._kept[SPACE].records) == {("robots", "x"), ("robots", "y")}
