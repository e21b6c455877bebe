"""What the stores of blobs keep and find again: one suite for the hub's databases and the edge's
file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_hub.blobs import HubBlobs
from edge_agent.blobs import PRAGMAS, EdgeBlobs
from holdfast.host.sqlite import Database
from sync import chains
from sync.blobs import BaseMoved, Blobs, standing_of
from sync.chains import Base, Blob
from tests.contract.conftest import DATABASES, NOW_MS, opened


@pytest.fixture(params=[*DATABASES, "edge"])
async def store(request: Any, tmp_path: Path) -> AsyncIterator[Blobs]:
    if request.param == "edge":
        found = await EdgeBlobs.prepared(await Database.open(tmp_path / "b.db", PRAGMAS), NOW_MS)
        yield found
        await found.close()
        return
    async with opened(request.param, request, tmp_path) as driver:
        yield HubBlobs(driver)


def series(count: int, seed: bytes = b"", size: int = 3_000) -> list[tuple[bytes, Blob]]:
    """Contents that differ little from each other, each packed upon the one before."""
    content = b"".join(b"%d %b;" % (n * n, seed) for n in range(size))
    found: list[tuple[bytes, Blob]] = []
    for step in range(count):
        content = content[:-10] + b"step %5d" % step
        base = Base(found[-1][1], found[-1][0]) if found else None
        found.append((content, chains.pack(content, base)))
    return found


def only(pairs: Iterable[tuple[bytes, Blob]]) -> list[Blob]:
    return [blob for _, blob in pairs]


async def read(store: Blobs, name: bytes, space: str = "site") -> bytes:
    chain = {blob.name: blob for blob in await store.chain(space, name)}
    return chains.read(name, chain.get)


async def test_a_chain_comes_back_as_it_was_kept(store: Blobs) -> None:
    pairs = series(5)
    await store.keep("site", "t", only(pairs))
    for content, blob in pairs:
        assert await read(store, blob.name) == content
    assert await store.chain("site", pairs[3][1].name) == only(pairs)[3::-1]
    assert await store.chain("elsewhere", pairs[3][1].name) == []
    names = [blob.name for blob in only(pairs)]
    assert await store.known("site", [*names, b"?" * 32]) == {
        blob.name: standing_of(blob) for blob in only(pairs)
    }
    assert await store.known("site", []) == {}


async def test_equal_content_is_kept_once_and_needed_with_all_it_stands_on(store: Blobs) -> None:
    pairs = series(4)
    blobs = only(pairs)
    await store.keep("site", "first", blobs)
    whole = chains.pack(pairs[3][0])
    await store.keep("site", "second", [whole])  # it is there already, as a difference
    assert await store.chain("site", whole.name) == blobs[::-1]
    names = {blob.name for blob in blobs}
    assert set(await store.used("site", "second", b"")) == names
    assert await store.shared("site", "second", names) == names
    assert await store.use("site", "third", [blobs[1].name, b"?" * 32]) == {blobs[1].name}
    assert set(await store.used("site", "third", b"")) == {blobs[0].name, blobs[1].name}


async def test_what_is_needed_comes_in_the_order_of_names(store: Blobs) -> None:
    blobs = [blob for seed in (b"a", b"b", b"c") for blob in only(series(1, seed))]
    await store.keep("site", "t", blobs)
    found = list(await store.used("site", "t", b""))
    assert found == sorted(blob.name for blob in blobs)
    assert list(await store.used("site", "t", found[0])) == found[1:]
    assert await store.used("site", "other", b"") == {}


async def test_a_base_that_is_not_where_the_blob_says_is_refused(store: Blobs) -> None:
    first, second, third = only(series(3))
    with pytest.raises(BaseMoved):
        await store.keep("site", "t", [second])
    await store.keep("site", "t", [first])
    with pytest.raises(BaseMoved):
        await store.keep("site", "t", [replace(second, depth=2)])
    with pytest.raises(BaseMoved):
        await store.keep("site", "t", [second, replace(third, keyframe=third.keyframe + 1)])
    assert await store.known("site", [second.name]) == {}
    await store.keep("site", "t", [second, third])
    assert set(await store.used("site", "t", b"")) == {first.name, second.name, third.name}


async def test_what_nobody_needs_goes_and_what_others_need_stays(store: Blobs) -> None:
    pairs = series(4)
    blobs = only(pairs)
    await store.keep("site", "t", blobs)
    await store.keep("site", "other", blobs[:2])
    anew = chains.pack(pairs[3][0])
    gone = [blobs[2].name]
    await store.drop("site", "t", [anew], gone)
    assert await store.chain("site", anew.name) == [anew]
    assert await store.known("site", gone) == {}
    assert await read(store, blobs[1].name) == pairs[1][0]
    await store.drop("site", "t", [], [blob.name for blob in blobs])
    left = await store.known("site", [blob.name for blob in blobs])
    assert set(left) == {blobs[0].name, blobs[1].name}
    await store.drop("site", "other", [], list(left))
    assert await store.known("site", list(left)) == {}


async def test_what_others_need_is_not_packed_anew(store: Blobs) -> None:
    pairs = series(3)
    blobs = only(pairs)
    await store.keep("site", "t", blobs)
    await store.keep("site", "other", blobs)
    with pytest.raises(BaseMoved):
        await store.drop("site", "t", [chains.pack(pairs[2][0])], [blobs[0].name])
    assert await read(store, blobs[2].name) == pairs[2][0]
    assert set(await store.used("site", "t", b"")) == {blob.name for blob in blobs}
