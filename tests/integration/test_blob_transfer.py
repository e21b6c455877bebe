"""Contents of checkpoints between edges and hub: cut off and gone on with, missing, damaged."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from edge_agent.services.carrier import Carrier
from holdfast import AsyncClient, errors
from tests.house import PERSON, SPACE, House, house, until

pytestmark = pytest.mark.integration

HERE: dict[str, Any] = {"space": SPACE}
MB = 1 << 20


class Cut(grpc.aio.AioRpcError):
    """A connection that broke."""

    def __init__(self) -> None:
        nothing = grpc.aio.Metadata()
        super().__init__(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "cut")


@contextmanager
def line(carrier: Carrier, cuts: dict[str, list[int]]) -> Iterator[list[tuple[str, int]]]:
    """What is asked of the hub, with its size; the nth request of a name is cut off where `cuts`
    has it: the hub may have heard it, its answer does not come."""
    asked: list[tuple[str, int]] = []
    through = carrier._ask

    async def ask(name: str, request: Any) -> Any:
        asked.append((name, request.ByteSize()))
        nth = sum(one == name for one, _ in asked)
        answer = await through(name, request)
        if nth in cuts.get(name, ()):
            raise Cut
        return answer

    carrier._ask = ask  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        carrier._ask = through  # type: ignore[method-assign]


def carrier(home: House, name: str) -> Carrier:
    found: Carrier = home.running[name].daemon.carrier
    return found


async def sent(home: House, name: str) -> None:
    """The hub has all contents of an edge."""
    blobs = home.running[name].daemon.files.blobs

    async def done() -> bool:
        return await blobs.count_unsent() == 0

    await until(done)


async def save(client: AsyncClient, state: bytes, **options: Any) -> str:
    return (await client.checkpoints.save_checkpoint("t", state, **HERE, **options)).id


@pytest.mark.promise("checkpoint.transfer")
async def test_contents_go_on_where_they_were_cut_off() -> None:
    async with house("a", "b") as home:
        client = home.at("a")
        await home.pause("a")
        state = random.Random(3).randbytes(8 * MB)
        await save(client, state)
        with line(carrier(home, "a"), {"KeepBlobs": [2, 5], "FindMissing": [2]}) as asked:
            await home.resume("a")
            await sent(home, "a")
        kept = [size for name, size in asked if name == "KeepBlobs"]
        # The hub had what was in the messages whose answers did not come: nothing went twice.
        assert len(kept) == 8 and max(kept) < MB + 4096
        with line(carrier(home, "b"), {"FetchBlobs": [3]}):
            await home.settled()
            there = home.at("b", PERSON)
            with pytest.raises(errors.BlobPending):
                await there.checkpoints.load_checkpoint("t", **HERE)
            found = await there.checkpoints.load_checkpoint("t", **HERE)
        assert found.state == state


@pytest.mark.promise("checkpoint.transfer")
async def test_only_what_differs_travels() -> None:
    async with house("a", "b") as home:
        client, there = home.at("a"), home.at("b", PERSON)
        state = bytearray(random.Random(4).randbytes(200_000))
        await save(client, bytes(state))
        await sent(home, "a")
        await home.settled()
        await there.checkpoints.load_checkpoint("t", **HERE)
        with line(carrier(home, "a"), {}) as up, line(carrier(home, "b"), {}) as down:
            for step in range(5):
                state[step * 30_000] ^= 1
                await save(client, bytes(state))
            await sent(home, "a")
            await home.settled()
            assert (await there.checkpoints.load_checkpoint("t", **HERE)).state == bytes(state)
        assert sum(size for _, size in up) < 10_000
        assert 2 <= len(down) <= 3  # the newest, and what of its chain is not there
        chain = await home.running["b"].daemon.files.blobs.chain(SPACE, next(iter(
            (await there.checkpoints.load_checkpoint("t", **HERE)).parts["state"].chunks
        )))  # fmt: skip
        assert len(chain) == 6


@pytest.mark.promise("checkpoint.pending")
async def test_what_has_not_arrived_is_said_with_the_nearest_that_has() -> None:
    async with house("a", "b") as home:
        client = home.at("a")
        first = await save(client, random.Random(5).randbytes(100_000))
        await sent(home, "a")
        cut = {"FindMissing": list(range(1, 10_000))}  # contents of the second never leave
        with line(carrier(home, "a"), cut), line(carrier(home, "b"), {}):
            second = await save(client, random.Random(6).randbytes(100_000))
            third = await save(client, b"small")
            await home.settled()
            for name in ("hub", "b"):
                there = home.at(name, PERSON)
                with pytest.raises(errors.BlobPending) as pending:
                    await there.checkpoints.load_checkpoint("t", second, **HERE)
                assert pending.value.metadata["nearest"] == first
                assert pending.value.retry_after_s
                await there.checkpoints.load_checkpoint("t", first, **HERE)
                found = await there.checkpoints.load_checkpoint("t", third, **HERE)
                assert found.state == b"small"
        await sent(home, "a")
        for name in ("hub", "b"):
            await home.at(name, PERSON).checkpoints.load_checkpoint("t", second, **HERE)


async def spoil(home: House, name: str, chunk: bytes) -> None:
    """A bit of a stored chunk flips."""
    files = home.running[name].daemon.files
    bad = (
        "UPDATE blobs SET packed ="
        " CAST(substr(packed, 1, 40) || x'00' || substr(packed, 42) AS BLOB)"
    )
    await files.blobs.file.transaction(lambda c: c.execute(f"{bad} WHERE name = ?", (chunk,)))
    home.running[name].daemon.carrier.contents._recent.clear()


@pytest.mark.promise("checkpoint.pending")
async def test_a_damaged_content_is_named_and_others_go_on() -> None:
    async with house("a") as home:
        client = home.at("a")
        await home.pause("a")
        ids = [await save(client, bytes([n]) * 20_000 + random.Random(n).randbytes(30_000))
               for n in range(3)]  # fmt: skip
        last = await client.checkpoints.load_checkpoint("t", **HERE)
        await spoil(home, "a", last.parts["state"].chunks[0])
        with pytest.raises(errors.DataLoss) as damaged:
            await client.checkpoints.load_checkpoint("t", **HERE)
        assert damaged.value.reason == "BLOB_DAMAGED"
        assert damaged.value.metadata["nearest"] == ids[1]
        # Nothing is packed upon it, and it holds up nothing on its way to the hub.
        await save(client, b"more" * 9_000)
        await home.resume("a")
        await home.settled()

        async def there() -> bool:
            at_hub = home.at("hub", PERSON)
            try:
                found = await at_hub.checkpoints.load_checkpoint("t", **HERE)
            except errors.BlobPending:
                return False
            return bool(found.state == b"more" * 9_000)

        await until(there)
        with pytest.raises(errors.BlobPending) as pending:
            await home.at("hub").checkpoints.load_checkpoint("t", ids[2], **HERE)
        assert pending.value.metadata["nearest"] == ids[1]
        assert "BLOBS_DAMAGED" in (await home.status("a")).alarms


async def test_a_damaged_file_is_set_aside_and_what_the_hub_has_comes_back() -> None:
    async with house("a") as home:
        client = home.at("a")
        state = random.Random(9).randbytes(300_000)
        await save(client, state)
        await sent(home, "a")
        await home.settled()
        await home.end("a")
        (home.root / "a" / "blobs.db").write_bytes(b"not a database" * 500)
        await home.start_edge("a")
        assert "BLOBS_DAMAGED" in (await home.status("a")).alarms
        assert (home.root / "a" / "blobs.db.damaged-1").exists()
        await home.settled()
        assert (await client.checkpoints.load_checkpoint("t", **HERE)).state == state


async def test_a_hub_in_a_new_epoch_is_asked_again_what_it_has() -> None:
    async with house("a") as home:
        client = home.at("a")
        await save(client, random.Random(10).randbytes(100_000))
        await sent(home, "a")
        blobs = home.running["a"].daemon.files.blobs
        await home.running["a"].daemon.files.set_setting("blobs_epoch", "another")
        with line(carrier(home, "a"), {}) as asked:
            await save(client, random.Random(11).randbytes(100_000))
            await sent(home, "a")
        assert await blobs.count_unsent() == 0
        assert [name for name, _ in asked] == ["FindMissing", "KeepBlobs"]


async def test_what_was_passed_over_holds_up_nothing_in_a_new_epoch() -> None:
    """What had been sent before it, and was to be sent again, was taken for passed, too."""
    async with house("a") as home:
        client, files = home.at("a"), home.running["a"].daemon.files
        await home.pause("a")
        for number in range(3):
            await save(client, random.Random(number).randbytes(30_000))
        last = await client.checkpoints.load_checkpoint("t", **HERE)
        await spoil(home, "a", last.parts["state"].chunks[0])
        await home.resume("a")

        async def all_but_one() -> bool:
            return await files.blobs.count_unsent() == 1

        await until(all_but_one)
        await files.set_setting("blobs_epoch", "another")
        await save(client, random.Random(12).randbytes(30_000))
        await until(all_but_one)
