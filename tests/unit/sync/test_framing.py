"""Frames that are honest come back whole; every other is refused before it costs memory."""

from __future__ import annotations

import importlib.util
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import zstandard

from sync import framing
from sync.framing import (
    IDENTITY,
    MAX_CACHED_DICTIONARIES,
    ZSTD,
    Dictionary,
    FrameRefused,
    available_codecs,
    compress,
    decompress,
)

MAGIC = struct.pack("<I", 0xFD2FB528)
SAMPLES = [
    b'{"battery":%d,"id":"robot-%d","mode":"%s","speed":%d.5}'
    % (i % 100, i, (b"idle", b"drive", b"dock")[i % 3], i % 7)
    for i in range(2000)
]
BLOCK = b",".join(SAMPLES)


def trained(seed: int = 0) -> Dictionary:
    made = zstandard.train_dictionary(4096, [*SAMPLES[seed:]])
    return Dictionary(made.dict_id(), made.as_bytes())


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(FrameRefused) as caught:
        call()
    assert str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("codec", [IDENTITY, ZSTD])
@pytest.mark.parametrize("block", [b"", b"x", BLOCK, b"\0" * 20_000_000])
def test_a_block_comes_back_whole_at_exactly_its_size(codec: str, block: bytes) -> None:
    packed = compress(block, codec)
    assert decompress(packed, codec, len(block)) == block
    if block:
        assert refusal(lambda: decompress(packed, codec, len(block) - 1)) == "FRAME_TOO_LARGE"


def test_values_are_worth_compressing() -> None:
    assert len(compress(BLOCK, ZSTD)) < len(BLOCK) / 4


@pytest.mark.parametrize("claim", [7 * 10**18, 2**63, 2**64 - 2, 65])
def test_thirteen_bytes_that_claim_the_world_are_refused_unread(claim: int) -> None:
    bomb = MAGIC + b"\xe0" + struct.pack("<Q", claim)
    assert len(bomb) == 13
    assert refusal(lambda: decompress(bomb, ZSTD, 64)) == "FRAME_TOO_LARGE"


def test_a_bomb_of_good_form_is_refused_by_its_stated_size() -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(b"\0" * (64 << 20))
    assert len(bomb) < 8192
    assert refusal(lambda: decompress(bomb, ZSTD, 1 << 20)) == "FRAME_TOO_LARGE"


def test_a_window_beyond_what_a_decoder_must_bear_is_refused() -> None:
    window_of_1_gib = MAGIC + b"\x80" + bytes([20 << 3]) + struct.pack("<I", 100) + b"\x01\0\0"
    assert refusal(lambda: decompress(window_of_1_gib, ZSTD, 1000)) == "FRAME_TOO_LARGE"


def run_of(claimed: int, size: int) -> bytes:
    """A frame claiming `claimed` bytes whose one block is a run of `size`."""
    return MAGIC + b"\x20" + bytes([claimed]) + struct.pack("<I", size << 3 | 3)[:3] + b"a"


@pytest.mark.parametrize(
    "data",
    [
        b"\x28",
        MAGIC,
        b"no frame at all",
        run_of(5, 100),
        run_of(200, 100),
        run_of(0, 100),
        zstandard.ZstdCompressor().compress(b""),
        zstandard.ZstdCompressor().compress(b"") + b"hidden",
        zstandard.ZstdCompressor(write_content_size=False).compress(b"a" * 100),
        struct.pack("<II", 0x184D2A50, 5) + b"hello",
        struct.pack("<II", 0x184D2A50, 5) + b"hello" + compress(b"a", ZSTD),
        compress(b"a" * 50, ZSTD) + struct.pack("<II", 0x184D2A50, 5) + b"hello",
        compress(b"a" * 50, ZSTD) * 2,
        compress(b"a" * 50, ZSTD) + b"\0",
    ],
)
def test_what_is_not_one_honest_frame_is_corrupt(data: bytes) -> None:
    assert refusal(lambda: decompress(data, ZSTD, 1000)) == "FRAME_CORRUPT"


def test_every_truncation_is_noticed() -> None:
    packed = compress(BLOCK[:2000], ZSTD)
    for end in range(1, len(packed)):
        cut = partial(decompress, packed[:end], ZSTD, 1 << 20)
        assert refusal(cut) == "FRAME_CORRUPT"


def test_a_dictionary_makes_small_blocks_smaller_and_is_named_in_the_frame() -> None:
    dictionary = trained()
    packed = compress(SAMPLES[7], ZSTD, dictionary=dictionary)
    assert len(packed) < len(compress(SAMPLES[7], ZSTD))
    assert zstandard.get_frame_parameters(packed).dict_id == dictionary.id
    assert decompress(packed, ZSTD, 1000, dictionary=dictionary) == SAMPLES[7]
    assert decompress(compress(b"abc", ZSTD), ZSTD, 1000, dictionary=dictionary) == b"abc"


def test_a_frame_of_another_dictionary_is_refused() -> None:
    one, other = trained(), trained(seed=300)
    assert one.id != other.id
    packed = compress(SAMPLES[7], ZSTD, dictionary=one)
    assert refusal(lambda: decompress(packed, ZSTD, 1000)) == "DICTIONARY_UNKNOWN"
    assert refusal(lambda: decompress(packed, ZSTD, 1000, dictionary=other)) == "DICTIONARY_UNKNOWN"


def test_a_dictionary_that_is_none_or_not_itself_is_refused() -> None:
    good = trained()
    for id_, content in (
        (5, b"no dictionary"),
        (0, b"no dictionary"),
        (good.id + 1, good.content),
        (5, b"\x37\xa4\x30\xec\5\0\0\0junkjunk"),
        (good.id, good.content[:40]),
    ):
        assert refusal(partial(Dictionary, id_, content)) == "DICTIONARY_CORRUPT"


def test_few_dictionaries_are_remembered() -> None:
    for seed in range(MAX_CACHED_DICTIONARIES * 3):
        dictionary = trained(seed * 20)
        packed = compress(SAMPLES[0], ZSTD, dictionary=dictionary)
        assert decompress(packed, ZSTD, 1000, dictionary=dictionary) == SAMPLES[0]
    assert len(framing._contexts.packing) <= MAX_CACHED_DICTIONARIES + 1
    assert len(framing._contexts.unpacking) <= MAX_CACHED_DICTIONARIES + 1


def test_threads_do_not_share_working_memory() -> None:
    blocks = [bytes([i]) * 50_000 + BLOCK[i:] for i in range(64)]

    def there_and_back(block: bytes) -> bool:
        return decompress(compress(block, ZSTD), ZSTD, 1 << 20) == block

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(there_and_back, blocks))


def test_an_unknown_codec_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(FrameRefused, match="zstd, identity"):
        compress(b"a", "gzip")
    assert refusal(lambda: decompress(b"a", "gzip", 10)) == "CODEC_UNKNOWN"


def test_without_zstandard_only_copies_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_codecs() == (ZSTD, IDENTITY)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    spec = importlib.util.spec_from_file_location("framing_alone", framing.__file__)
    assert spec is not None
    assert spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "framing_alone", alone)
    spec.loader.exec_module(alone)
    assert alone.available_codecs() == (IDENTITY,)
    assert alone.decompress(alone.compress(b"a", IDENTITY), IDENTITY, 10) == b"a"
    for call in (
        partial(alone.compress, b"a", ZSTD),
        partial(alone.decompress, b"a", ZSTD, 10),
        partial(alone.Dictionary, 1, b"x"),
    ):
        with pytest.raises(alone.FrameRefused, match="install zstandard"):
            call()
