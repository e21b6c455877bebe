"""Chunks in chains: small, read back to the byte or refused by the name of what is damaged."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import framing
from sync.chains import (
    CHUNK_BYTES,
    MAX_DEPTH,
    Base,
    Blob,
    ChainRefused,
    cut,
    lineage,
    name_of,
    pack,
    read,
    rebase,
    unpack,
)

BOMB = struct.pack("<IBQ", 0xFD2FB528, 0xC0, 2**60) + b"\x00" * 20
"""A frame of a few bytes that claims an exabyte."""


def steps(count: int, size: int, changed: int, seed: int = 1) -> list[bytes]:
    """States of a run as JSON has them: text, of which each step changes a part."""
    draw = random.Random(seed)
    state = bytearray(draw.randbytes(size // 2).hex().encode())
    made = [bytes(state)]
    while len(made) < count:
        at = draw.randrange(size - changed)
        state[at : at + changed] = draw.randbytes(changed // 2).hex().encode()
        made.append(bytes(state))
    return made


def chained(contents: list[bytes]) -> dict[bytes, Blob]:
    store: dict[bytes, Blob] = {}
    base: Base | None = None
    for content in contents:
        blob = store.setdefault(name_of(content), pack(content, base))
        base = Base(blob, content)
    return store


def refusal(call: Callable[[], object]) -> tuple[str, bytes]:
    with pytest.raises(ChainRefused) as caught:
        call()
    assert str(caught.value)
    return caught.value.reason, caught.value.name


def outcome(name: bytes, store: dict[bytes, Blob]) -> object:
    try:
        return read(name, store.get)
    except ChainRefused as error:
        return error.reason, error.name


def test_two_hundred_steps_take_half_a_megabyte_at_most() -> None:
    contents = steps(200, 50_000, 1_000)
    store = chained(contents)
    assert sum(len(blob.packed) for blob in store.values()) <= 500_000
    assert [read(name_of(content), store.get) for content in contents] == contents


def test_a_chain_ends_after_so_many_steps_and_begins_anew() -> None:
    contents = steps(2 * MAX_DEPTH + 5, 20_000, 100)
    store = chained(contents)
    depths = [store[name_of(content)].depth for content in contents]
    assert depths == [i % (MAX_DEPTH + 1) for i in range(len(contents))]
    assert len(lineage(name_of(contents[MAX_DEPTH]), store.get)) == MAX_DEPTH + 1


def test_a_difference_that_saves_too_little_is_kept_whole() -> None:
    first, second = steps(1, 20_000, 2)[0], steps(1, 20_000, 2, seed=2)[0]
    store = chained([first, second])
    assert store[name_of(second)].base is None


def test_equal_content_is_kept_once() -> None:
    first, second = steps(2, 20_000, 100)
    base = Base(pack(first), first)
    assert pack(first, base) is base.blob
    assert len(chained([first, second, first])) == 2


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5_000_000])
def test_a_content_is_cut_at_fixed_places(size: int) -> None:
    content = random.Random(size).randbytes(size)
    chunks = list(cut(content))
    assert b"".join(chunks) == content
    assert all(len(chunk) == CHUNK_BYTES for chunk in chunks[:-1])
    assert [read(name_of(c), {name_of(c): pack(c)}.get) for c in chunks] == chunks


def test_a_full_chunk_that_changed_a_little_is_small() -> None:
    content = random.Random(3).randbytes(CHUNK_BYTES)
    changed = content[:700_000] + b"!" * 100 + content[700_100:]
    blob = pack(changed, Base(pack(content), content))
    assert blob.base is not None
    assert len(blob.packed) < CHUNK_BYTES / 200
    assert unpack(blob, content) == changed


@pytest.mark.parametrize("size", [0, CHUNK_BYTES + 1])
def test_nothing_and_too_much_are_no_chunk(size: int) -> None:
    with pytest.raises(ValueError, match="a chunk has 1 to"):
        pack(b"x" * size)


def test_damage_is_named_where_it_is() -> None:
    contents = steps(6, 20_000, 100)
    store = chained(contents)
    names = [name_of(content) for content in contents]
    broken = store[names[2]]
    for at in range(0, len(broken.packed), 7):
        packed = bytearray(broken.packed)
        packed[at] ^= 0x55
        damaged = store | {names[2]: replace(broken, packed=bytes(packed))}
        assert read(names[1], damaged.get) == contents[1]
        # A bit that the format does not use changes nothing.
        assert outcome(names[5], damaged) in (contents[5], ("BLOB_DAMAGED", names[2]))
    truncated = store | {names[2]: replace(broken, packed=broken.packed[:-1])}
    assert refusal(lambda: read(names[5], truncated.get)) == ("BLOB_DAMAGED", names[2])


def test_another_content_under_a_name_is_damage() -> None:
    first, second = steps(2, 20_000, 100)
    wrong = replace(pack(second), name=name_of(first))
    store = {name_of(first): wrong}
    assert refusal(lambda: read(name_of(first), store.get)) == ("BLOB_DAMAGED", name_of(first))


def test_what_is_missing_is_named() -> None:
    contents = steps(6, 20_000, 100)
    store = chained(contents)
    gone = name_of(contents[1])
    del store[gone]
    assert refusal(lambda: read(name_of(contents[5]), store.get)) == ("BLOB_PENDING", gone)


def test_chains_that_cannot_be_are_refused() -> None:
    contents = steps(3, 20_000, 100)
    store = chained(contents)
    first, second, third = (store[name_of(content)] for content in contents)
    lies = {
        "a circle": {first.name: replace(first, base=third.name, depth=1)},
        "a keyframe in the air": {first.name: replace(first, depth=1)},
        "a base below the ground": {second.name: replace(second, depth=0)},
        "below zero": {third.name: replace(third, depth=-1)},
        "too deep": {third.name: replace(third, depth=MAX_DEPTH + 1)},
        "a step left out": {third.name: replace(third, depth=3)},
    }
    for lie in lies.values():
        damaged = store | lie
        assert refusal(lambda d=damaged: read(third.name, d.get))[0] == "BLOB_DAMAGED"  # type: ignore[misc]


@pytest.mark.parametrize("base", [None, b"base"])
def test_a_frame_that_claims_too_much_costs_nothing(base: bytes | None) -> None:
    content = b"content" * 100
    blob = replace(pack(content), packed=BOMB, size=2**60)
    assert refusal(lambda: unpack(blob, base)) == ("BLOB_DAMAGED", name_of(content))
    large = framing.compress(b"\0" * (CHUNK_BYTES + 1), framing.ZSTD)
    over = replace(blob, packed=large, size=CHUNK_BYTES + 1)
    assert refusal(lambda: unpack(over, base)) == ("BLOB_DAMAGED", name_of(content))


def test_without_zstd_all_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = steps(2, 20_000, 100)
    difference = pack(second, Base(pack(first), first))
    monkeypatch.setattr(framing, "HAVE_ZSTD", False)
    store = chained([first, second])
    assert [(b.codec, b.base, len(b.packed)) for b in store.values()] == [
        (framing.IDENTITY, None, 20_000)
    ] * 2
    assert read(name_of(second), store.get) == second
    # It is not damaged: another machine can read it.
    with pytest.raises(framing.FrameRefused) as caught:
        unpack(difference, first)
    assert caught.value.reason == "CODEC_UNKNOWN"


HISTORIES = st.lists(
    st.tuples(st.integers(0, 3_900), st.binary(min_size=1, max_size=100)), min_size=1, max_size=80
)


@settings(max_examples=40, deadline=None)
@given(HISTORIES, st.data())
def test_what_is_kept_reads_as_before_when_all_else_is_gone(
    edits: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    state = bytearray(random.Random(5).randbytes(4_000))
    contents = [bytes(state)]
    for at, put in edits:
        state[at : at + len(put)] = put
        contents.append(bytes(state))
    store = chained(contents)
    kept = frozenset(data.draw(st.sets(st.sampled_from(sorted(store)))))
    before = {name: read(name, store.get) for name in kept}
    anew = rebase(kept, store.get)
    left = {name: anew.get(name, store[name]) for name in kept}
    assert {name: read(name, left.get) for name in kept} == before
    assert rebase(kept, left.get) == {}
