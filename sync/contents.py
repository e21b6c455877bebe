"""What a checkpoint holds: named parts, each typed bytes, as a manifest that fits a record.

A run's state changes in a few parts from step to step. A part that did not change is named by the
same hashes as before, and nothing of it is packed or sent again. A small part stands in the
manifest itself, where it costs less than a blob would. Types are tags for the program that wrote
them: nothing here looks into the bytes.

The hash of a part is over all of its bytes, so that a manifest whose chunks were exchanged is found
as well as a damaged chunk.

Invariant: `manifest_from(encode(parts)) == parts`, and `contents` gives the bytes that `described`
was given, or refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

import orjson

from sync.canonical_json import canonical
from sync.chains import CHUNK_BYTES, HASH_BYTES, cut, name_of

INLINE_BYTES = 1024
"""At most so much stands in the manifest: a blob's row and its request cost about as much."""

MAX_PART_BYTES = 256 * CHUNK_BYTES
"""Names of 256 chunks are 17 KB, so that the manifest of the largest part fits a record."""

MAX_PARTS = 256
"""As many as a program may have channels, and few enough to be looked at in every answer."""

MAX_NAME_CHARS = 128


class InvalidManifest(ValueError):
    """A manifest, or a part, that is none; the message says what is wrong."""


class PartDamaged(Exception):
    """A part whose chunks are each sound, and not together what its hash says."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its bytes stand in `inline`, or in the blobs `chunks`, in order, never in both."""

    tag: str
    size: int
    hash: bytes
    inline: bytes
    chunks: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.tag) > MAX_NAME_CHARS:
            raise InvalidManifest(f"a type tag has at most {MAX_NAME_CHARS} characters")
        if not 0 <= self.size <= MAX_PART_BYTES:
            raise InvalidManifest(f"a part has at most {MAX_PART_BYTES} bytes, not {self.size}")
        if any(len(name) != HASH_BYTES for name in (self.hash, *self.chunks)):
            raise InvalidManifest(f"a hash has {HASH_BYTES} bytes")
        within = self.size <= INLINE_BYTES
        due = 0 if within else -(-self.size // CHUNK_BYTES)
        if (len(self.inline), len(self.chunks)) != (self.size if within else 0, due):
            raise InvalidManifest(f"{self.size} bytes are not what stands in the part")


def described(content: bytes, tag: str = "") -> Part:
    """The part that these bytes are; its chunks are those of `chains.cut`."""
    whole = name_of(content)
    if len(content) <= INLINE_BYTES:
        return Part(tag, len(content), whole, content, ())
    return Part(tag, len(content), whole, b"", tuple(name_of(chunk) for chunk in cut(content)))


def contents(part: Part, read: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """The bytes of a part, chunk by chunk; `read` is `chains.read` upon a store.

    Only when it ends are they known to be right together: keep them aside until then. Raises
    PartDamaged, and what `read` raises.
    """
    seen, size = sha256(), 0
    for piece in map(read, part.chunks) if part.chunks else (part.inline,):
        seen.update(piece)
        size += len(piece)
        yield piece
    if (seen.digest(), size) != (part.hash, part.size):
        raise PartDamaged(f"{size} bytes are not what the hash {part.hash.hex()} says")


def new_blobs(after: Iterable[Part], before: Iterable[Part]) -> frozenset[bytes]:
    """What has to be kept for a step that was not kept for the one before."""
    known = {name for part in before for name in part.chunks}
    return frozenset(name for part in after for name in part.chunks) - known


def encode(parts: Mapping[str, Part]) -> bytes:
    """The manifest as canonical JSON. Raises InvalidManifest, and InvalidValue if it is too large
    for a record."""
    _check_names(parts)
    members = {name: members_of(part) for name, part in parts.items()}
    try:
        return canonical(orjson.dumps(members))
    except orjson.JSONEncodeError as error:
        raise InvalidManifest(f"names and tags are text: {error}") from None


def manifest_from(value: bytes) -> dict[str, Part]:
    """The parts that a manifest names. Raises InvalidManifest."""
    try:
        parts = {name: part_of(members) for name, members in orjson.loads(value).items()}
    except (AttributeError, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise InvalidManifest(f"no manifest: {error}") from None
    except ValueError as error:
        raise InvalidManifest(str(error)) from None
    _check_names(parts)
    return parts


def members_of(part: Part) -> dict[str, object]:
    """A part as it stands in a record."""
    held: dict[str, object] = {"tag": part.tag, "size": part.size, "sha256": part.hash.hex()}
    if part.chunks:
        held["chunks"] = [name.hex() for name in part.chunks]
    else:
        held["inline"] = part.inline.hex()
    return held


def part_of(members: Mapping[str, object]) -> Part:
    """A part from what stands in a record. Raises InvalidManifest, KeyError, TypeError,
    ValueError."""
    tag, size, chunks = members["tag"], members["size"], members.get("chunks", [])
    if not isinstance(tag, str) or type(size) is not int or not isinstance(chunks, list):
        raise InvalidManifest("a part has a tag, a size, and chunks or bytes")
    return Part(
        tag, size, _bytes(members["sha256"]), _bytes(members.get("inline", "")),
        tuple(map(_bytes, chunks)),
    )  # fmt: skip


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise InvalidManifest("hashes and bytes are written in hexadecimal digits")
    return bytes.fromhex(text)


def _check_names(parts: Mapping[str, Part]) -> None:
    if len(parts) > MAX_PARTS:
        raise InvalidManifest(f"at most {MAX_PARTS} parts, not {len(parts)}")
    if any(len(name) > MAX_NAME_CHARS for name in parts):
        raise InvalidManifest(f"the name of a part has at most {MAX_NAME_CHARS} characters")
