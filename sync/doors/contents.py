"""Contents of checkpoints at a door: chunks that are packed into its store, and read from it again.

A chunk is packed upon the chunk that was in its place before, whose content is often still in
memory: the newest few are remembered with their blobs. That they are right is not a matter of
trust: a content is known by its hash, and a store refuses a blob whose base has moved meanwhile;
then it is packed whole.

What is not in the store of an edge is fetched from the hub when it is read. Long work is done
aside, in another thread, so that others are answered meanwhile.

Invariant: `read` returns the content of the name it was asked for, or refuses; what `put` has
returned is durable.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from sync import chains
from sync.blobs import MAX_KEPT_BYTES, BaseMoved, Blobs
from sync.chains import MAX_DEPTH, Base, Blob, ChainRefused
from sync.contents import Part, PartDamaged

T = TypeVar("T")

RECENT_BYTES = 4 << 20
"""Of contents that are remembered: the last states of some dozen threads, or the last chunks of a
large one. An edge has little memory."""

ASIDE_BYTES = 256 << 10
"""From so many bytes on, packing is done aside: it takes about a millisecond, as long as a request,
while going aside costs a tenth of that."""


class Aside(Protocol):
    """Does something in another thread."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


class Fetch(Protocol):
    """Has blobs brought to the store from where they are; returns when that was tried."""

    async def __call__(self, space: str, thread: str, names: Collection[bytes], /) -> None: ...


async def _nowhere(_space: str, _thread: str, _names: Collection[bytes]) -> None:
    return


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk that is to be kept, and the name of the one that was in its place."""

    content: bytes
    upon: bytes | None = None


@dataclass(slots=True)
class Contents:
    """What one door has. `fetch` brings what is not here."""

    blobs: Blobs
    aside: Aside
    fetch: Fetch = _nowhere
    _recent: OrderedDict[tuple[str, bytes], Base] = field(default_factory=OrderedDict)
    _recent_bytes: int = 0

    # -- keeping ---------------------------------------------------------------

    async def put(self, space: str, thread: str, pieces: Sequence[Piece]) -> int:
        """Keeps chunks for a thread, durably. Returns how many bytes were stored for those that
        were not here. Raises what the store does."""
        stored = 0
        for group in _groups(pieces):
            try:
                stored += await self._put(space, thread, group)
            except BaseMoved:
                self._forget(space)
                stored += await self._put(space, thread, [Piece(one.content) for one in group])
        return stored

    async def _put(self, space: str, thread: str, pieces: Sequence[Piece]) -> int:
        named = {chains.name_of(one.content): one for one in pieces}
        known = await self.blobs.known(space, list(named))
        packed: list[Blob] = []
        for name, piece in named.items():
            if name not in known:
                base = await self._base(space, piece.upon) if piece.upon else None
                packed.append(await self._packed(piece.content, base))
        if packed:
            await self.blobs.keep(space, thread, packed)
        if known:
            await self.blobs.use(space, thread, list(known))
        for blob in packed:
            self._remember(space, Base(blob, named[blob.name].content))
        return sum(len(blob.packed) for blob in packed)

    async def _packed(self, content: bytes, base: Base | None) -> Blob:
        if len(content) < ASIDE_BYTES:
            return chains.pack(content, base)
        return await self.aside(lambda: chains.pack(content, base))

    async def _base(self, space: str, name: bytes) -> Base | None:
        """A chunk to pack another upon; None if it cannot be read here."""
        recent = self._recall(space, name)
        if recent is not None:
            return recent
        try:
            return await self._read(space, name)
        except ChainRefused:
            return None

    async def admit(self, space: str, thread: str, blobs: Sequence[Blob]) -> list[bytes]:
        """Keeps blobs that came from elsewhere, packed as they are, once they are known to be what
        they say. Returns the names of those that cannot stand here: they are to come whole, or with
        what they stand upon. Raises ChainRefused BLOB_DAMAGED."""
        unfit: list[bytes] = []
        placed: list[Blob] = []
        for blob in blobs:
            base = await self._base(space, blob.base) if blob.base else None
            if blob.base and (base is None or base.blob.depth >= MAX_DEPTH):
                unfit.append(blob.name)
                continue
            depth, keyframe = 0, len(blob.packed)
            if base is not None:
                depth, keyframe = base.blob.depth + 1, base.blob.keyframe
            stands = replace(blob, depth=depth, keyframe=keyframe)
            content = await self._unpacked(stands, base)
            self._remember(space, Base(stands, content))
            placed.append(stands)
        try:
            if placed:
                await self.blobs.keep(space, thread, placed)
        except BaseMoved:
            self._forget(space)
            return [blob.name for blob in blobs]
        return unfit

    async def _unpacked(self, blob: Blob, base: Base | None) -> bytes:
        below = None if base is None else base.content
        if blob.size < ASIDE_BYTES:
            return chains.unpack(blob, below)
        return await self.aside(lambda: chains.unpack(blob, below))

    # -- reading ---------------------------------------------------------------

    async def read(self, space: str, thread: str, name: bytes) -> bytes:
        """The content of a chunk, from elsewhere if it is not here. Raises ChainRefused."""
        recent = self._recall(space, name)
        if recent is not None:
            return recent.content
        try:
            found = await self._read(space, name)
        except ChainRefused as refused:
            if refused.reason != "BLOB_PENDING":
                raise
            await self.fetch(space, thread, [name])
            found = await self._read(space, name)
        self._remember(space, found)
        return found.content

    async def part(self, space: str, thread: str, part: Part) -> bytes:
        """All bytes of a part. Raises ChainRefused, PartDamaged."""
        if not part.chunks:
            return part.inline
        found = b"".join([await self.read(space, thread, name) for name in part.chunks])
        if (len(found), chains.name_of(found)) != (part.size, part.hash):
            raise PartDamaged(f"what is together no part of the hash {part.hash.hex()}")
        return found

    async def _read(self, space: str, name: bytes) -> Base:
        chain = await self.blobs.chain(space, name)
        held = {blob.name: blob for blob in chain}
        if sum(blob.size for blob in chain) < ASIDE_BYTES:
            content = chains.read(name, held.get)
        else:
            content = await self.aside(lambda: chains.read(name, held.get))
        return Base(held[name], content)

    # -- what is remembered ----------------------------------------------------

    def _recall(self, space: str, name: bytes) -> Base | None:
        found = self._recent.get((space, name))
        if found is not None:
            self._recent.move_to_end((space, name))
        return found

    def _remember(self, space: str, base: Base) -> None:
        key = (space, base.blob.name)
        if key in self._recent:
            return
        self._recent[key] = base
        self._recent_bytes += _weight(base)
        while self._recent_bytes > RECENT_BYTES:
            _, gone = self._recent.popitem(last=False)
            self._recent_bytes -= _weight(gone)

    def _forget(self, space: str) -> None:
        for key in [key for key in self._recent if key[0] == space]:
            self._recent_bytes -= _weight(self._recent.pop(key))


def _weight(base: Base) -> int:
    return len(base.content) + len(base.blob.packed)


def _groups(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """What is kept in one transaction each."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        if group and size + len(piece.content) > MAX_KEPT_BYTES:
            yield group
            group, size = [], 0
        group.append(piece)
        size += len(piece.content)
    if group:
        yield group
