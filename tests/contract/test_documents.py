"""Records with long texts, whose values are kept beside their rows, on both databases."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from cloud_hub import records, texts
from cloud_hub.records import StoredRecord
from cloud_hub.storage.driver import Driver, StorageCorrupt, Transaction
from sync.body import outline
from sync.context import Part
from sync.pages import LONG_BYTES
from sync.splices import Edits
from sync.texts import Edited, Texts
from sync.transform import splice
from tests.contract.hub_rows import record

KEY = ("notes", "n1")
LONG = b'{"body":"%s","n":1}' % (b"x" * (3 * LONG_BYTES))


class Writer:
    """Writes one record as the hub's transactions do."""

    def __init__(self, driver: Driver) -> None:
        self.driver, self.stored, self.revision = driver, record(1), 0

    async def save(self, edits: Edits | None = None) -> None:
        self.revision += 1
        part = Part(self.revision, 1, self.revision, self.revision << 16)
        working, made = self.stored.working, Texts()
        if edits is not None:
            working.spliced_by(part, edits)
            made.edited = [(KEY, Edited(name, part, edit)) for name, edit in edits.items()]
        working.written_by(part)
        saved = self.stored._replace(digest=1)

        async def work(tx: Transaction) -> None:
            await records.save(tx, "site", {KEY: saved})
            await texts.save(tx, "site", made)

        await self.driver.write(work)

    async def load(self) -> StoredRecord | None:
        return await self.driver.read(lambda tx: records.get(tx, "site", *KEY))

    async def places(self) -> tuple[int, int]:
        """Bytes in the record's row, and the revision of the value beside it (zero: none)."""
        names = ([KEY[0]], [KEY[1]])
        [row] = await self.driver.read(lambda tx: tx.fetch_by("records_load", names, "site"))
        beside = await self.driver.read(lambda tx: tx.fetch_by("documents_load", names, "site"))
        return len(row[-1]), beside[0][2] if beside and beside[0][3] else 0


async def test_a_splice_of_a_long_text_does_not_write_all_of_it(driver: Driver) -> None:
    writer = Writer(driver)
    writer.stored.working.body.replace(LONG)
    await writer.save()
    assert await writer.places() == (len(LONG), 0), "nobody has edited it yet"
    at = 0
    for step in range(100):
        length = writer.stored.working.length_of("body")
        await writer.save({"body": splice([step, "y", length - step])})
        row, beside = await writer.places()
        assert row == 0 and beside > 0
        at = max(at, writer.revision - beside)
        found = await writer.load()
        assert found is not None and found.working.value == writer.stored.working.value
        if step % 20 == 19:
            writer.stored = found  # as another process would go on
    assert 10 <= at <= 40, "all of it is written now and then, so that few edits are done anew"


async def test_what_is_written_in_another_way_ends_the_text_beside_the_row(driver: Driver) -> None:
    writer = Writer(driver)
    writer.stored.working.body.replace(LONG)
    await writer.save({"body": splice(["y", 3 * LONG_BYTES])})
    writer.stored.working.body.merge(b'{"n":2}')
    await writer.save()
    assert await writer.places() == (0, 2)
    writer.stored.working.body.merge(b'{"body":"short"}')
    await writer.save()
    assert (await writer.places())[1] == 0
    found = await writer.load()
    assert found is not None and found.working.value == b'{"body":"short","n":2}'


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_written_is_read_again(driver: Driver, seed: int) -> None:
    random, writer = Random(seed), Writer(driver)
    writer.stored.working.body.replace(LONG)
    for step in range(40):
        body = writer.stored.working.body
        choice = random.random()
        if choice < 0.75 and not writer.stored.working.deleted:
            length = writer.stored.working.length_of("body")
            at, gone = random.randint(0, length), random.choice((0, 0, 1, 200, 60_000))
            gone = min(gone, length - at)
            more = random.choice(("é", "a" * 30, "\n" * 20_000))
            both: Edits = {"body": splice([at, -gone, more, length - at - gone])}
            if random.random() < 0.3:
                both["list"] = splice([writer.stored.working.length_of("list"), (b"1", b'"b"')])
            await writer.save(both)
        elif choice < 0.85:
            body.merge(b'{"n":%d}' % step)
            writer.stored.working.deleted = False
            await writer.save()
        elif choice < 0.9:
            writer.stored.working.deleted = True
            await writer.driver.write(partial(_bury, stored=writer.stored))
            continue
        else:
            body.replace(LONG if random.random() < 0.7 else b'{"n":0}')
            writer.stored.working.deleted = False
            await writer.save()
        found = await writer.load()
        assert found is not None
        assert found.working.value == body.value
        assert found.working.body.outline == outline(body.value)
        if random.random() < 0.4:
            writer.stored = found


async def _bury(tx: Transaction, stored: StoredRecord) -> None:
    await records.save(tx, "site", {KEY: stored._replace(digest=0)})


async def test_a_value_that_is_not_there_is_damage_and_not_an_empty_record(driver: Driver) -> None:
    writer = Writer(driver)
    writer.stored.working.body.replace(LONG)
    await writer.save({"body": splice(["y", 3 * LONG_BYTES])})
    columns = ([KEY[0]], [KEY[1]], [1], [b""])
    await driver.write(lambda tx: tx.write_rows("documents_save", columns, "site"))
    with pytest.raises(StorageCorrupt, match="not there"):
        await writer.load()
