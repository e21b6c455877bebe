"""A replica is only a copy: set back, deleted or damaged, it comes again from the hub, and the
outbox makes neither more nor less of what was acknowledged."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from holdfast.errors import InvalidArgument
from tests.house import SPACE, House, house, until

pytestmark = pytest.mark.integration

COUNTER = f"{SPACE}/stock/bolts"


async def _write(home: House, name: str, mark: str, count: int) -> None:
    client = home.at(name)
    for index in range(count):
        await client.add(COUNTER, {"n": 1})
        await client.put(f"{SPACE}/parts/{mark}-{index % 3}", {"by": mark, "turn": index})


async def _counted(home: House, total: int) -> None:
    await home.settled()
    for name in home.running:
        counter = await home.at(name).get(COUNTER)
        assert counter is not None
        assert (name, counter.value) == (name, {"n": total})


def _copy(data: Path, backup: Path) -> None:
    backup.mkdir()
    for file in data.glob("replica.db*"):
        shutil.copy2(file, backup / file.name)


def _set_back(data: Path, backup: Path) -> None:
    _delete(data)
    for file in backup.iterdir():
        shutil.copy2(file, data / file.name)


def _delete(data: Path) -> None:
    for file in data.glob("replica.db*"):
        file.unlink()


def _flip(file: Path, seed: int, count: int = 40, skip: int = 0) -> None:
    """Other bytes than were written, all over the file."""
    luck = random.Random(seed)
    content = bytearray(file.read_bytes())
    for _ in range(count):
        content[luck.randrange(skip, len(content))] ^= 1 << luck.randrange(8)
    file.write_bytes(content)


@pytest.mark.promise("outbox.pending-by-watermark")
@pytest.mark.promise("merge.counters-exact")
@pytest.mark.promise("rule.cursor-with-changes")
async def test_a_replica_set_back_while_commits_are_pending() -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        await _write(home, "a", "early", 3)
        await home.settled()
        await home.end("a")
        _copy(home.root / "a", home.root / "backup")
        await home.start_edge("a")
        await _write(home, "a", "late", 3)
        await home.settled()
        await home.pause("a")
        await _write(home, "a", "pending", 3)
        await home.end("a")
        _set_back(home.root / "a", home.root / "backup")
        await home.start_edge("a")
        found = await home.at("a").get(COUNTER)
        assert found is not None
        assert found.value == {"n": 9}, "undecided commits are in the view at once"
        await home.resume("a")
        await _counted(home, 9)


@pytest.mark.promise("rule.rebuild-spares-outbox")
@pytest.mark.promise("rule.zero-has-a-reason")
async def test_a_deleted_replica_is_replayed_from_the_hub() -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        await _write(home, "b", "b", 4)
        await _write(home, "a", "a", 4)
        await home.settled()
        await home.end("a", "hub")
        _delete(home.root / "a")
        await home.start_edge("a")
        await _write(home, "a", "offline", 2)
        await home.start_hub()
        await _counted(home, 10)
        status = await home.status("a")
        assert dict(status.rebuilds) == {"REPLICA_MISSING": 1}, "it once began anew without a word"
        assert "REPLICA_MISSING" in status.alarms
        assert dict((await home.status("b")).rebuilds) == {}


@pytest.mark.promise("rule.rebuild-spares-outbox")
@pytest.mark.promise("rule.zero-has-a-reason")
@pytest.mark.promise("write.corrupt-store")
@pytest.mark.parametrize("what", ["header", "no database", "pages"])
async def test_a_damaged_replica_is_set_aside_and_built_anew(what: str) -> None:
    async with house("a", "b") as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.settled()
        await _write(home, "a", "a", 10)
        await home.settled()
        await home.pause("a")
        await _write(home, "a", "pending", 2)
        await home.end("a")
        replica = home.root / "a" / "replica.db"
        if what == "header":
            _flip(replica, 1, skip=0, count=4_000)
        elif what == "no database":
            replica.write_bytes(b"not a database at all" * 500)
        else:
            _flip(replica, 2, skip=4_096, count=4_000)
        await home.start_edge("a")
        client = home.at("a")
        for _ in range(3):
            await client.add(COUNTER, {"n": 1})
        await home.resume("a")
        await _counted(home, 15)
        status = await home.status("a")
        assert status.rebuilds["REPLICA_DAMAGED"] >= 1
        assert "REPLICA_DAMAGED" in status.alarms
        assert list((home.root / "a").glob("replica.db.damaged-*"))


@pytest.mark.promise("rule.digests")
async def test_a_replica_that_says_something_else_than_the_hub_raises_an_alarm() -> None:
    async with house("a", "b") as home:
        await _write_plain(home)
        await home.end("a")
        replica = sqlite3.connect(home.root / "a" / "replica.db")
        with replica:
            replica.execute("UPDATE digests SET digest = digest + 1 WHERE collection = 'parts'")
        replica.close()
        await home.start_edge("a")
        await home.at("b").put(f"{SPACE}/parts/more", {"n": 1})
        await until(lambda: _alarmed(home))


async def _write_plain(home: House) -> None:
    await home.at("a").put(f"{SPACE}/parts/1", {"n": 1})
    await home.settled()


async def _alarmed(home: House) -> bool:
    return "DIGEST_MISMATCH" in (await home.status("a")).alarms


@pytest.mark.promise("outbox.survives-power-loss")
@pytest.mark.promise("origin.gap")
@pytest.mark.promise("write.corrupt-store")
async def test_a_damaged_row_of_the_outbox_is_declared_lost_and_the_rest_goes_on() -> None:
    async with house("a", "b") as home:
        await home.settled()
        await home.pause("a")
        client = home.at("a")
        receipts = [await client.put(f"{SPACE}/parts/{i}", {"n": i}) for i in range(6)]
        await home.end("a")
        outbox = sqlite3.connect(home.root / "a" / "outbox.db")
        with outbox:
            payload = outbox.execute("SELECT payload FROM outbox WHERE seq = 3").fetchone()[0]
            other = payload.replace(b"2", b"7")
            assert other != payload
            outbox.execute("UPDATE outbox SET payload = ? WHERE seq = 3", (other,))
        outbox.close()
        await home.start_edge("a")
        await home.resume("a")
        await home.settled()
        for name in ("a", "hub"):
            found = await home.at(name).outcomes([one.op_id for one in receipts])
            kinds = [str(one.kind) for one in found]
            assert (name, kinds) == (name, ["applied"] * 2 + ["lost"] + ["applied"] * 3)
            assert found[2].reason == "OUTBOX_DAMAGED"
        assert "OUTBOX_DAMAGED" in (await home.status("a")).alarms
        there = {one.key async for one in home.at("b").list(f"{SPACE}/parts")}
        assert there == {"0", "1", "3", "4", "5"}


@pytest.mark.promise("write.eventual.offline")
async def test_an_addition_is_taken_before_any_policy_has_come() -> None:
    async with house() as home:
        await home.set_policy("stock", '{"fields":{"n":"counter"}}')
        await home.at("hub").add(COUNTER, {"n": 5})
        await home.end("hub")
        await home.start_edge("a")
        client = home.at("a")
        receipt = await client.add(COUNTER, {"n": 2})
        await home.start_hub()
        assert (await receipt.outcome()).kind in {"applied", "merged"}
        await _counted(home, 7)
        with pytest.raises(InvalidArgument) as refused:
            await client.add(f"{SPACE}/undeclared/1", {"n": 2})
        assert refused.value.reason == "RULE_MISMATCH"
