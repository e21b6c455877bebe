"""Frames, for any bytes: whole and within the limit, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.framing import IDENTITY, ZSTD, FrameRefused, compress, decompress

CODECS = st.sampled_from([IDENTITY, ZSTD])
BLOCKS = st.binary(max_size=300) | st.binary(min_size=1, max_size=4).map(lambda b: b * 2000)
LIMIT = 1000


@given(BLOCKS, CODECS)
def test_decompress_undoes_compress(block: bytes, codec: str) -> None:
    assert decompress(compress(block, codec), codec, len(block)) == block


def unpacks_within_the_limit_or_is_refused(data: bytes, codec: str) -> None:
    try:
        block = decompress(data, codec, LIMIT)
    except FrameRefused:
        return
    assert len(block) <= LIMIT


@given(st.binary(max_size=200), CODECS)
def test_random_bytes_are_refused_or_small(data: bytes, codec: str) -> None:
    unpacks_within_the_limit_or_is_refused(data, codec)


@given(st.binary(max_size=60))
def test_random_bytes_behind_the_magic_are_refused_or_small(data: bytes) -> None:
    unpacks_within_the_limit_or_is_refused(b"\x28\xb5\x2f\xfd" + data, ZSTD)


@given(BLOCKS.filter(bool), st.data())
def test_a_frame_with_a_byte_changed_is_refused_or_small(block: bytes, data: st.DataObject) -> None:
    packed = bytearray(compress(block, ZSTD))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    unpacks_within_the_limit_or_is_refused(bytes(packed), ZSTD)


@given(BLOCKS.filter(bool), st.data())
def test_a_frame_cut_short_is_never_a_block(block: bytes, data: st.DataObject) -> None:
    packed = compress(block, ZSTD)
    cut = packed[: data.draw(st.integers(1, len(packed) - 1))]
    with pytest.raises(FrameRefused) as caught:
        decompress(cut, ZSTD, len(block))
    assert caught.value.reason == "FRAME_CORRUPT"
