"""Manifests: what was described is what is read, and a manifest that lies is refused."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.canonical_json import InvalidValue
from sync.chains import CHUNK_BYTES, Blob, cut, name_of, pack, read
from sync.contents import (
    INLINE_BYTES,
    MAX_NAME_CHARS,
    MAX_PART_BYTES,
    MAX_PARTS,
    InvalidManifest,
    Part,
    PartDamaged,
    contents,
    described,
    encode,
    manifest_from,
    new_blobs,
)

SIZES = st.sampled_from([0, 1, INLINE_BYTES, INLINE_BYTES + 1, CHUNK_BYTES, CHUNK_BYTES + 1])


def filled(size: int, byte: int) -> bytes:
    return bytes([byte]) * size


def kept(*contents: bytes) -> dict[bytes, Blob]:
    return {name_of(chunk): pack(chunk) for content in contents for chunk in cut(content)}


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=8), st.tuples(SIZES, st.integers(0, 255)), max_size=4))
def test_what_was_described_is_what_is_read(sizes: dict[str, tuple[int, int]]) -> None:
    state = {name: filled(*size) for name, size in sizes.items()}
    parts = manifest_from(encode({name: described(c, "raw") for name, c in state.items()}))
    store = kept(*state.values())
    loaded = {
        name: b"".join(contents(part, lambda wanted: read(wanted, store.get)))
        for name, part in parts.items()
    }
    assert loaded == state


def test_a_part_that_did_not_change_costs_nothing() -> None:
    large, other = filled(3 * CHUNK_BYTES, 1), filled(INLINE_BYTES + 1, 2)
    before = [described(large), described(other)]
    assert new_blobs(before, before) == frozenset()
    changed = large[:-1] + b"\x07"
    after = [described(changed), described(other)]
    assert new_blobs(after, before) == {name_of(changed[2 * CHUNK_BYTES :])}


def test_sound_chunks_in_another_order_are_found() -> None:
    content = filled(CHUNK_BYTES, 1) + filled(CHUNK_BYTES, 2)
    store = kept(content)
    part = described(content)
    exchanged = replace(part, chunks=part.chunks[::-1])
    with pytest.raises(PartDamaged):
        list(contents(exchanged, lambda wanted: read(wanted, store.get)))


def test_small_bytes_that_were_changed_are_found() -> None:
    with pytest.raises(PartDamaged):
        list(contents(replace(described(b"abc"), inline=b"abd"), lambda _: b""))


def test_the_largest_part_fits_a_record() -> None:
    names = tuple(bytes([i]) * 32 for i in range(256))
    part = Part("raw", MAX_PART_BYTES, bytes(32), b"", names)
    assert len(encode({"": part})) < 20_000
    with pytest.raises(InvalidManifest):
        replace(part, size=MAX_PART_BYTES + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 2}, {"size": True}, {"size": "3"}, {"size": -1}, {"tag": 1}, {"sha256": "00"},
        {"sha256": "zz"}, {"inline": 7}, {"inline": ""}, {"chunks": "ab"}, {"chunks": ["00" * 32]},
        {"tag": "t" * (MAX_NAME_CHARS + 1)},
    ],
)  # fmt: skip
def test_a_manifest_that_lies_is_refused(wrong: dict[str, object]) -> None:
    members = orjson.loads(encode({"": described(b"abc", "raw")}))[""]
    with pytest.raises(InvalidManifest):
        manifest_from(orjson.dumps({"": members | wrong}))


@pytest.mark.parametrize("value", [b"", b"[]", b"7", b'{"":7}', b'{"":{}}', b'{"":[]}', b"\xff"])
def test_what_is_no_manifest_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidManifest):
        manifest_from(value)


def test_names_and_their_number_have_limits() -> None:
    part = described(b"")
    with pytest.raises(InvalidManifest):
        encode({str(i): part for i in range(MAX_PARTS + 1)})
    with pytest.raises(InvalidManifest):
        encode({"n" * (MAX_NAME_CHARS + 1): part})


def test_more_than_fits_a_record_is_refused() -> None:
    large = described(filled(INLINE_BYTES, 0))
    with pytest.raises(InvalidValue) as caught:
        encode({str(i): large for i in range(MAX_PARTS)})
    assert caught.value.reason == "VALUE_TOO_LARGE"


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidManifest):
        encode({"\ud800": described(b"")})
