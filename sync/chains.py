"""Large contents in short chains: each chunk whole, or as what differs from an earlier one.

The steps of a long run differ little from each other, and each may be asked for. A content is cut
into chunks at fixed places; a chunk is kept as a blob under the SHA-256 of what it holds, so that
equal chunks are kept once and a transfer goes on at the chunk where it stopped. A blob is either
packed whole (a keyframe) or upon a base, which is the same chunk of an earlier step.

A chain ends after MAX_DEPTH steps, so a read takes one keyframe and so many differences at most. It
ends sooner when a difference is more than half as large as the keyframe that it stands upon: to
compare with that, and not with the content packed whole, saves packing each content twice.

What is read is hashed at every step: the first blob that is damaged is named, not the last one.

Invariant: `read` returns the content whose hash is the name it was asked for, or refuses; it reads
at most MAX_DEPTH + 1 blobs and unpacks at most CHUNK_BYTES at a time, whatever stands in the blobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

from sync import framing
from sync.framing import FrameRefused

CHUNK_BYTES = 1 << 20
"""A chunk fits a message, and packing one takes a few milliseconds: nobody waits long for it."""

MAX_DEPTH = 32
"""Differences upon one keyframe. Longer chains save little more, and every read pays for them."""

HASH_BYTES = 32

ChainReason = Literal["BLOB_DAMAGED", "BLOB_PENDING"]


class ChainRefused(Exception):
    """A content that cannot be read: `name` is the blob which is missing or damaged."""

    def __init__(self, reason: ChainReason, name: bytes, message: str) -> None:
        super().__init__(reason, name, message)
        self.reason: ChainReason = reason
        self.name = name

    def __str__(self) -> str:
        return str(self.args[2])


@dataclass(frozen=True, slots=True)
class Blob:
    """One chunk as it is kept.

    `name` is the hash of its content and `size` that content's length. Upon a `base` it stands
    `depth` steps above its keyframe, which has `keyframe` bytes; a keyframe has no base, depth 0.
    """

    name: bytes
    size: int
    codec: str
    base: bytes | None
    depth: int
    keyframe: int
    packed: bytes


@dataclass(frozen=True, slots=True)
class Base:
    """A blob upon which another may be packed, with its content."""

    blob: Blob
    content: bytes


Find = Callable[[bytes], Blob | None]


def name_of(content: bytes) -> bytes:
    """Under which name a content is kept."""
    return sha256(content).digest()


def cut(content: bytes) -> Iterator[bytes]:
    """The chunks of a content, in order; none of an empty one."""
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]


def pack(content: bytes, base: Base | None = None) -> Blob:
    """A chunk as it is to be kept: upon the base, if there is one and it is worth while."""
    if not 0 < len(content) <= CHUNK_BYTES:
        raise ValueError(f"a chunk has 1 to {CHUNK_BYTES} bytes, not {len(content)}")
    name = name_of(content)
    if base is not None and base.blob.name == name:
        return base.blob
    if base is not None and base.blob.depth < MAX_DEPTH and framing.HAVE_ZSTD:
        packed = framing.compress_upon(content, base.content)
        under = base.blob
        if 2 * len(packed) <= under.keyframe:
            return Blob(
                name, len(content), framing.ZSTD, under.name, under.depth + 1, under.keyframe,
                packed,
            )  # fmt: skip
    codec = framing.available_codecs()[0]
    packed = framing.compress(content, codec)
    return Blob(name, len(content), codec, None, 0, len(packed), packed)


def unpack(blob: Blob, base: bytes | None) -> bytes:
    """The content of a blob, upon that of its base. Raises ChainRefused BLOB_DAMAGED."""
    limit = min(blob.size, CHUNK_BYTES)
    try:
        if base is None:
            content = framing.decompress(blob.packed, blob.codec, limit)
        else:
            content = framing.decompress_upon(blob.packed, base, limit)
    except FrameRefused as error:
        if error.reason == "CODEC_UNKNOWN":
            raise
        raise _damaged(blob.name, str(error)) from None
    if name_of(content) != blob.name:
        raise _damaged(blob.name, "its content has another hash")
    return content


def read(name: bytes, find: Find) -> bytes:
    """The content of this name. Raises ChainRefused: BLOB_PENDING, BLOB_DAMAGED."""
    chain = lineage(name, find)
    content: bytes | None = None
    for blob in reversed(chain):
        content = unpack(blob, content)
    assert content is not None
    return content


def lineage(name: bytes, find: Find) -> list[Blob]:
    """A blob and those that it stands upon, the keyframe last.

    Raises ChainRefused: BLOB_PENDING if one is not there, BLOB_DAMAGED if they are no chain.
    """
    chain: list[Blob] = []
    wanted: bytes | None = name
    while wanted is not None:
        blob = find(wanted)
        if blob is None:
            raise ChainRefused("BLOB_PENDING", wanted, f"blob {wanted.hex()} is not here")
        # Depths fall by one from blob to blob, so a circle ends here as well as a chain too long.
        due = max(0, min(blob.depth, MAX_DEPTH)) if not chain else chain[-1].depth - 1
        if (blob.name, blob.depth, blob.base is None) != (wanted, due, due == 0):
            raise _damaged(wanted, "what is said of its place in a chain cannot be")
        chain.append(blob)
        wanted = blob.base
    return chain


def rebase(kept: frozenset[bytes], find: Find) -> dict[bytes, Blob]:
    """Blobs that stand upon others which are not kept, packed anew so that they can go.

    Each is packed upon the nearest kept one that it stood upon, or whole. Put in place of the old
    ones they read as before, with everything else removed; until then `find` has to answer with
    the old ones. What it returns is held in memory, so give it one series of chunks at a time.
    Raises ChainRefused as `read`.
    """
    chains = {name: [blob.name for blob in lineage(name, find)] for name in kept}
    anew: dict[bytes, Blob] = {}
    # A keyframe is the shortest chain, and what a blob stands upon comes before it.
    for name in sorted(kept, key=lambda name: (len(chains[name]), name)):
        (blob, *_) = lineage(name, find)
        ground = next((below for below in chains[name][1:] if below in kept), None)
        if ground is None:
            if blob.base is not None:
                anew[name] = pack(read(name, find))
            continue
        under = anew.get(ground) or lineage(ground, find)[0]
        if blob.base != ground:
            anew[name] = pack(read(name, find), Base(under, read(ground, find)))
        elif (blob.depth, blob.keyframe) != (under.depth + 1, under.keyframe):
            anew[name] = replace(blob, depth=under.depth + 1, keyframe=under.keyframe)
    return anew


def _damaged(name: bytes, detail: str) -> ChainRefused:
    return ChainRefused("BLOB_DAMAGED", name, f"blob {name.hex()} is damaged: {detail}")
