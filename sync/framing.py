"""Blocks of values as they travel: packed, and unpacked never beyond what the receiver allows.

A compressed frame is a claim by a stranger. Thirteen bytes may claim exabytes, and the library
believes the claim before any limit given to it. So the header is judged first: a frame must state
its size, within the limit, and only then is memory taken, that much and no more. Nothing may stand
before or after the one frame.

zstandard has no wheel for some small machines. Without it only "identity" is offered, which copies.
An empty block is no bytes in every codec: of a frame that claims to be empty the library reads no
further than the claim, so it could hide anything.

Invariant: decompress returns at most `limit` bytes, and takes no more memory than that and one
window.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

try:
    import zstandard
except ImportError:
    HAVE_ZSTD = False
else:
    HAVE_ZSTD = True

IDENTITY = "identity"
ZSTD = "zstd"

# The fastest: a higher level saves little on small values, and compressing is on every path.
LEVEL = 1
# What the format's specification asks every decoder to bear. Level 1 uses at most 512 KiB.
MAX_WINDOW_BYTES = 8 * 1024 * 1024
# A stream uses one dictionary, and a fleet two while it changes over. Beyond, begin anew.
MAX_CACHED_DICTIONARIES = 4

_MAGIC = b"\x28\xb5\x2f\xfd"
_UNKNOWN_SIZE = 2**64 - 1

FrameReason = Literal[
    "FRAME_TOO_LARGE", "FRAME_CORRUPT", "CODEC_UNKNOWN", "DICTIONARY_UNKNOWN", "DICTIONARY_CORRUPT"
]


class FrameRefused(ValueError):
    """A block that was not unpacked, or cannot be packed so; `reason` is for programs."""

    def __init__(self, reason: FrameReason, message: str) -> None:
        super().__init__(reason, message)
        self._reason: FrameReason = reason

    @property
    def reason(self) -> FrameReason:
        return self._reason

    def __str__(self) -> str:
        return str(self.args[1])


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A trained zstd dictionary, shared by both ends beforehand and named in each frame by `id`.

    Raises FrameRefused: DICTIONARY_CORRUPT if `content` is no such dictionary or carries another
    id, CODEC_UNKNOWN without zstandard.
    """

    id: int
    content: bytes

    def __post_init__(self) -> None:
        _require_zstd()
        try:
            content = _content(self)
            carried = content.dict_id()
            # Only use builds its tables, and only that notices damage.
            zstandard.ZstdCompressor(level=LEVEL, dict_data=content).compress(b" ")
        except zstandard.ZstdError:
            carried = 0
        if carried == 0 or carried != self.id:
            raise FrameRefused(
                "DICTIONARY_CORRUPT", f"not the trained zstd dictionary {self.id}; fetch it again"
            )


def available_codecs() -> tuple[str, ...]:
    """What this process can unpack, best first: what it offers in its hello."""
    return (ZSTD, IDENTITY) if HAVE_ZSTD else (IDENTITY,)


def compress(block: bytes, codec: str, *, dictionary: Dictionary | None = None) -> bytes:
    """The block as it travels. Raises FrameRefused CODEC_UNKNOWN."""
    _require(codec)
    if codec == IDENTITY or not block:
        return block
    return _compressor(dictionary).compress(block)


def decompress(
    data: bytes, codec: str, limit: int, *, dictionary: Dictionary | None = None
) -> bytes:
    """The block that `compress` was given, at most `limit` bytes.

    `dictionary` is the one agreed on; frames made without it are read as well. Raises FrameRefused:
    FRAME_TOO_LARGE, FRAME_CORRUPT, CODEC_UNKNOWN, DICTIONARY_UNKNOWN.
    """
    _require(codec)
    if codec == IDENTITY or not data:
        if len(data) > limit:
            raise _too_large(len(data), limit)
        return data
    named = _check_header(data, limit)
    if named and (dictionary is None or dictionary.id != named):
        raise FrameRefused(
            "DICTIONARY_UNKNOWN", f"made with dictionary {named}; agree on it in the hello first"
        )
    try:
        # The size is stated, so the library unpacks into exactly that much and refuses a byte more.
        context = _decompressor(dictionary if named else None)
        return context.decompress(data, limit, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _corrupt(str(error)) from None


def compress_upon(content: bytes, base: bytes, *, level: int = 3) -> bytes:
    """What differs from `base`, which the receiver has: a zstd frame with it as raw dictionary.

    Raises FrameRefused CODEC_UNKNOWN. `content` is not empty.
    """
    _require_zstd()
    return zstandard.ZstdCompressor(level=level, dict_data=_raw(base)).compress(content)


def decompress_upon(data: bytes, base: bytes, limit: int) -> bytes:
    """The content that `compress_upon` was given with this base, at most `limit` bytes.

    A frame does not tell its base: upon another it gives other bytes, so the caller has to compare
    a hash. Raises FrameRefused: FRAME_TOO_LARGE, FRAME_CORRUPT, CODEC_UNKNOWN, DICTIONARY_UNKNOWN.
    """
    _require_zstd()
    if named := _check_header(data, limit):
        raise FrameRefused("DICTIONARY_UNKNOWN", f"made with dictionary {named}, not upon a base")
    try:
        context = zstandard.ZstdDecompressor(dict_data=_raw(base), max_window_size=MAX_WINDOW_BYTES)
        return context.decompress(data, limit, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _corrupt(str(error)) from None


def _check_header(data: bytes, limit: int) -> int:
    """The id of the frame's dictionary, 0 for none, once its claims are within the limit."""
    # Skippable frames have another magic: they hold no block, and their size means something else.
    if data[:4] != _MAGIC:
        raise _corrupt("no zstd frame")
    try:
        header = zstandard.get_frame_parameters(data)
    except zstandard.ZstdError as error:
        raise _corrupt(str(error)) from None
    if header.content_size in (0, _UNKNOWN_SIZE):
        raise _corrupt("a frame must state its size, and an empty block is no bytes")
    if header.content_size > limit:
        raise _too_large(header.content_size, limit)
    if header.window_size > max(limit, MAX_WINDOW_BYTES):
        raise _too_large(header.window_size, limit)
    return header.dict_id


class _Contexts(threading.local):
    """zstd's working memory, kept because making it costs more than packing a small frame.

    One set per thread: a context serves one call at a time, and the library releases the lock of
    the interpreter while it works.
    """

    def __init__(self) -> None:
        self.packing: dict[Dictionary | None, zstandard.ZstdCompressor] = {}
        self.unpacking: dict[Dictionary | None, zstandard.ZstdDecompressor] = {}


_contexts = _Contexts()


def _compressor(dictionary: Dictionary | None) -> zstandard.ZstdCompressor:
    kept = _contexts.packing
    found = kept.get(dictionary)
    if found is None:
        if len(kept) > MAX_CACHED_DICTIONARIES:
            kept.clear()
        found = kept[dictionary] = zstandard.ZstdCompressor(
            level=LEVEL, dict_data=None if dictionary is None else _content(dictionary)
        )
    return found


def _decompressor(dictionary: Dictionary | None) -> zstandard.ZstdDecompressor:
    kept = _contexts.unpacking
    found = kept.get(dictionary)
    if found is None:
        if len(kept) > MAX_CACHED_DICTIONARIES:
            kept.clear()
        found = kept[dictionary] = zstandard.ZstdDecompressor(
            dict_data=None if dictionary is None else _content(dictionary),
            max_window_size=MAX_WINDOW_BYTES,
        )
    return found


def _content(dictionary: Dictionary) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(dictionary.content)


def _raw(base: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _require(codec: str) -> None:
    if codec == ZSTD:
        _require_zstd()
    elif codec != IDENTITY:
        raise FrameRefused(
            "CODEC_UNKNOWN", f"codec {codec[:20]!r}; use one of {', '.join(available_codecs())}"
        )


def _require_zstd() -> None:
    if not HAVE_ZSTD:
        raise FrameRefused(
            "CODEC_UNKNOWN", "zstd is not installed here; use identity, or install zstandard"
        )


def _too_large(size: int, limit: int) -> FrameRefused:
    return FrameRefused(
        "FRAME_TOO_LARGE", f"{size} bytes unpacked, at most {limit}; send smaller batches"
    )


def _corrupt(detail: str) -> FrameRefused:
    return FrameRefused("FRAME_CORRUPT", f"{detail}; send the block again")
