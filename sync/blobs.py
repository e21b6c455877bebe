"""Stores of blobs: what both doors keep the contents of checkpoints in.

Equal chunks are kept once in a space, however many threads have them. Which thread needs which blob
is noted beside it, and with a blob also what it stands upon: so what nobody needs can go, whatever
stood upon it, and pruning one thread never takes anything from another.

A blob is kept only upon a base that stands where the blob says, because pruning may have packed
that base anew since it was looked at; whoever kept it packs it again (BaseMoved).

Invariant: for every blob in a store, all that it stands upon is there too, and is needed by
everybody who needs the blob.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sync.chains import Blob

MAX_KEPT_BYTES = 4 << 20
"""Packed blobs that are stored in one transaction: some tens of milliseconds of a disk."""

MAX_NAMES = 1_000
"""Names that are asked for at once."""


class BaseMoved(Exception):
    """A blob's base is not where the blob says, or not there: pack it anew."""

    def __init__(self, name: bytes) -> None:
        super().__init__(f"what blob {name.hex()} stands upon is not where it was")
        self.name = name


@dataclass(frozen=True, slots=True)
class Standing:
    """A blob that is in a store, without what is in it; `stored` is the size of that."""

    name: bytes
    size: int
    codec: str
    base: bytes | None
    depth: int
    keyframe: int
    stored: int


class Blobs(Protocol):
    """A store. All of it raises what its database does; `thread` is the key of a thread."""

    async def chain(self, space: str, name: bytes) -> list[Blob]:
        """A blob and what it stands upon, the keyframe last, all of one moment; as far as it is
        here, which is at most MAX_DEPTH + 1."""
        ...

    async def known(self, space: str, names: Collection[bytes]) -> dict[bytes, Standing]:
        """Those that are here, of at most MAX_NAMES."""
        ...

    async def keep(self, space: str, thread: str, blobs: Sequence[Blob]) -> None:
        """Stores those that are not here, and notes that the thread needs all of them: durable when
        it returns. A base comes before what stands upon it. Raises BaseMoved; then nothing was
        done."""
        ...

    async def use(self, space: str, thread: str, names: Collection[bytes]) -> frozenset[bytes]:
        """Notes that the thread needs those of these that are here; returns them."""
        ...

    async def used(self, space: str, thread: str, after: bytes) -> dict[bytes, Standing]:
        """What a thread needs, in the order of names, after one of them (empty: the first); at most
        MAX_NAMES."""
        ...

    async def drop(
        self, space: str, thread: str, anew: Sequence[Blob], gone: Collection[bytes]
    ) -> None:
        """Puts blobs in the place of those of their names, and notes that the thread needs no more
        what is gone; what nobody needs is deleted. All of it, or nothing."""
        ...

    async def shared(self, space: str, thread: str, names: Collection[bytes]) -> frozenset[bytes]:
        """Those of these that other threads need, too."""
        ...


def standing_of(blob: Blob) -> Standing:
    """How a blob stands once it is kept."""
    return Standing(
        blob.name, blob.size, blob.codec, blob.base, blob.depth, blob.keyframe, len(blob.packed)
    )


def fresh(blobs: Iterable[Blob], known: Mapping[bytes, Standing]) -> dict[bytes, Blob]:
    """Those that are not in a store of which this much is known, each upon a base that stands where
    the blob says. Raises BaseMoved."""
    stands, found = dict(known), dict[bytes, Blob]()
    for blob in blobs:
        if blob.name in stands:
            continue
        if blob.base is not None:
            under = stands.get(blob.base)
            due = None if under is None else (under.depth + 1, under.keyframe)
            if due != (blob.depth, blob.keyframe):
                raise BaseMoved(blob.name)
        stands[blob.name] = standing_of(blob)
        found[blob.name] = blob
    return found


def asked_of(blobs: Collection[Blob]) -> list[bytes]:
    """What has to be known of a store before blobs are kept there: they, and what they stand on."""
    names = {blob.name for blob in blobs}
    return sorted(names | {blob.base for blob in blobs if blob.base is not None})
