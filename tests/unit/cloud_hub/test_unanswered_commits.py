"""COMMIT was sent and the connection was lost: it is found out whether it happened, and nothing is
lost or done twice either way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloud_hub import change_log, hub
from cloud_hub.storage.driver import Driver, StorageUnavailable, Work
from cloud_hub.storage.sqlite import SqliteDriver
from cloud_hub.submissions import Pushed, Receipt, Requested
from cloud_hub.transaction import SETTLINGS
from holdfast.host.door import Refusal
from sync import codec
from sync import messages as m
from sync.batch import batch_of
from sync.commit import Actor, ActorKind, Commit, Kind, Op
from sync.reduce import Add, Put
from tests.edges import TestClock, ids

SPACE = "site"
ANN = Actor("ann", ActorKind.HUMAN)
A = b"origin-of-edge-a"
pytestmark = pytest.mark.promise("hub.commit-unanswered")


class Unanswered:
    """A database that loses its answers to COMMIT: those in `lost` by number, with whether the
    commit happened; None: there was no connection, and so nothing began."""

    def __init__(self, driver: Driver) -> None:
        self.driver, self.lost = driver, dict[int, bool | None]()
        self.writes = 0

    async def write(self, work: Work[Any]) -> Any:
        number, self.writes = self.writes, self.writes + 1
        if number not in self.lost:
            return await self.driver.write(work)
        happens = self.lost[number]
        if happens is None:
            raise StorageUnavailable("no connection")

        async def undone(tx: Any) -> None:
            await work(tx)
            raise StorageUnavailable("lost", outcome_unknown=True)

        if happens:
            await self.driver.write(work)
            raise StorageUnavailable("lost", outcome_unknown=True)
        await self.driver.write(undone)
        return None

    async def read(self, work: Work[Any]) -> Any:
        return await self.driver.read(work)

    async def answer(self) -> None:
        await self.driver.answer()

    async def close(self) -> None:
        await self.driver.close()

    def loses(self, *happened: bool | None) -> None:
        """From the next write on."""
        self.lost = {self.writes + n: each for n, each in enumerate(happened)}


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[tuple[hub.Hub, Unanswered]]:
    clock = TestClock()
    driver = Unanswered(await SqliteDriver.open(tmp_path / "hub.db", clock.wall_ms()))
    try:
        found = await hub.assembled(hub.HubSettings("", tmp_path), driver, clock, ids(1))
        await found.prepare()
        yield found, driver
        await found.ingest.close()
    finally:
        await driver.close()


async def _add(found: hub.Hub, by: int = 1) -> Receipt:
    """Not to be retried by its client: nothing but the hub can know whether it happened."""
    request = Requested(SPACE, (Add("parts", "1", b'{"n":%d}' % by),), ANN, bytes([by]) * 16)
    receipt = await found.ingest.submit(request)
    assert isinstance(receipt, Receipt)
    return receipt


async def _counter(found: hub.Hub) -> None:
    policy = Put("_policies", "parts", b'{"fields":{"n":"counter"}}')
    await found.ingest.submit(Requested(SPACE, (policy,), ANN, b"p" * 16, system=True))


@pytest.mark.parametrize("happened", [(True,), (False,), (False, True), (True, True)])
async def test_a_request_has_one_effect_and_its_answer(
    made: tuple[hub.Hub, Unanswered], happened: tuple[bool, ...]
) -> None:
    found, database = made
    await _counter(found)
    database.loses(*happened)
    receipt = await _add(found)
    assert receipt.position.revision == 2
    assert (await _add(found, 2)).position.revision == 3, "what is kept in memory is right"
    _, (record,) = await found.state._reads.get(SPACE, [("parts", "1")])
    assert record.value == b'{"n":3}'
    rows = await database.read(lambda tx: change_log.after(tx, SPACE, 0, 1 << 20, 100))
    assert [row.last_revision for row in rows] == [1, 2, 3]


@pytest.mark.parametrize("happened", [True, False])
async def test_a_push_has_one_effect_and_its_answer(
    made: tuple[hub.Hub, Unanswered], happened: bool
) -> None:
    found, database = made
    op = Op(Kind.CREATE, "parts", "1", b"{}")
    batch = batch_of(SPACE, A, 1, [Commit(b"i" * 16, 1, 0, 0, 1 << 16, ANN, (op,))])
    block = codec.encode_block(batch)
    push = m.Push(SPACE, A, 1, 1, codec.pack(block, "identity"), len(block))
    database.loses(happened)
    answer = await found.ingest.submit(Pushed(batch, push, "identity", "a"))
    assert isinstance(answer, m.PushResult)
    assert (answer.decided_seq, answer.position.revision) == (1, 1)


@pytest.mark.parametrize("lost", [[False] * SETTLINGS, [True, None], [False, None]])
async def test_what_cannot_be_found_out_is_told_as_unknown(
    made: tuple[hub.Hub, Unanswered], lost: list[bool | None]
) -> None:
    found, database = made
    await _counter(found)
    database.loses(*lost)
    with pytest.raises(Refusal) as refused:
        await _add(found)
    assert refused.value.reason == "OUTCOME_UNKNOWN"
    assert (await _add(found)).position.revision == (3 if lost[0] else 2)


async def test_what_never_began_is_not_unknown(made: tuple[hub.Hub, Unanswered]) -> None:
    found, database = made
    await _counter(found)
    database.loses(None)
    with pytest.raises(StorageUnavailable, match="no connection") as failed:
        await _add(found)
    assert not failed.value.outcome_unknown
