"""A long text or list in pages, so that a splice costs what it changes.

A page is some units of the document, and never changes: an edit puts others in the place of those
that it touches, so that documents which go different ways share the rest. How many bytes a page has
in a value, and a hash of them, is worked out once, when it is asked for.

The digest must not tell where pages begin, since that depends on how the document came to be. So
the hash of a page is its bytes as one number modulo a prime: the hash of a whole follows from the
hashes and lengths of its parts, whatever these are. 256 generates half of all residues, so the
order of pages counts; as other digests, it finds faults and proves nothing against somebody who
makes them.

Invariant: the document is the contents of the pages, one after the other; none is empty.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain

import orjson

from sync.splices import elements
from sync.transform import Content, Run, Splice, SpliceMismatch

LONG_BYTES = 32 << 10
"""A text or list longer than that, as it stands in a value, is worked on in pages. A shorter one is
copied, hashed and written as a whole in less time than pages would take."""

PAGE_BYTES = 16 << 10
"""A page is not longer: a few microseconds to edit, and 64 of them make the longest document."""

SMALL_UNITS = 512
"""A page of less is joined with one beside it, if both fit into one."""

PRIME = 309485009821345068724790747
"""2^88 + 9691. It and half of it are prime, so that the powers of 256 go through half of all
residues: no two places in a document of any length weigh the same."""

_SHAPE = struct.Struct(">?QQ12s")


class Page:
    """Some units of a document. `size` and `hash` are of its bytes as they stand in a value."""

    __slots__ = ("_hash", "_size", "content", "units")

    def __init__(self, content: Content) -> None:
        self.content, self.units = content, len(content)
        self._size = self._hash = -1

    @property
    def written(self) -> bytes:
        """A text without its quotes, elements with a comma each."""
        if isinstance(self.content, str):
            return orjson.dumps(self.content)[1:-1]
        return b"".join([element + b"," for element in self.content])

    @property
    def size(self) -> int:
        if self._size < 0:
            self._look()
        return self._size

    @property
    def hash(self) -> int:
        if self._hash < 0:
            self._look()
        return self._hash

    def _look(self) -> None:
        stream = self.written
        self._size, self._hash = len(stream), hash_of(stream)


class Pages:
    """One document."""

    __slots__ = ("_pages", "is_list", "units")

    def __init__(self, pages: list[Page], *, is_list: bool) -> None:
        self._pages, self.is_list = pages, is_list
        self.units = sum(page.units for page in pages)
        """Code points, or elements."""

    @classmethod
    def of(cls, content: Content) -> Pages:
        """A document that goes into pages."""
        whole = [Page(content)] if content else []
        return cls(list(_cut(whole)), is_list=isinstance(content, tuple))

    def copy(self) -> Pages:
        """One that goes another way."""
        return Pages(self._pages.copy(), is_list=self.is_list)

    @property
    def size(self) -> int:
        """Bytes of the member."""
        return sum(page.size for page in self._pages) + 2 - (self.is_list and bool(self._pages))

    @property
    def text(self) -> bytes:
        """The member, as it stands in a value."""
        stream = b"".join([page.written for page in self._pages])
        return b"[%s]" % stream[:-1] if self.is_list else b'"%s"' % stream

    @property
    def shape(self) -> bytes:
        """What a digest is of: kind, lengths and hash."""
        total, size = 0, 0
        for page in self._pages:
            total = (total * _shift(page.size) + page.hash) % PRIME
            size += page.size
        return _SHAPE.pack(self.is_list, self.units, size, total.to_bytes(12, "big"))

    def splice(self, edit: Splice) -> None:
        """Edits the document. Raises SpliceMismatch; then nothing has changed."""
        if edit.before != self.units:
            raise SpliceMismatch(f"written on {edit.before} units, where there are {self.units}")
        kind = tuple if self.is_list else str
        if any(not isinstance(run, int | kind) for run in edit.runs):
            raise SpliceMismatch("text is inserted into texts, elements into lists")
        self._pages = _Edited(self._pages).after(edit.runs)
        self.units = edit.after


class _Edited:
    """An edit on its way through the pages: `out` are those passed, as they are to be; `open` are
    pieces that go into one page, since an edit was there."""

    __slots__ = ("_at", "_off", "_open", "_pages", "out")

    def __init__(self, pages: list[Page]) -> None:
        self._pages = pages
        self._at = self._off = 0  # the page, and the place in it
        self._open: list[Content] = []
        self.out: list[Page] = []

    def after(self, runs: Iterable[Run]) -> list[Page]:
        """The pages after the edit."""
        for run in runs:
            if not isinstance(run, int):
                self._open.append(run)
            elif run > 0:
                self._retain(run)
            else:
                self._skip(-run)
        if self._off:
            self._retain(self._pages[self._at].units - self._off)
        self._pass(self._pages[self._at :])
        self._close()
        return self.out

    def _retain(self, left: int) -> None:
        left = self._within(left, keep=True)
        first = self._at
        left = self._whole(left)
        self._pass(self._pages[first : self._at])
        if left:
            self._within(left, keep=True)

    def _skip(self, left: int) -> None:
        left = self._within(left, keep=False)
        left = self._whole(left)  # unread
        if left:
            self._within(left, keep=False)

    def _within(self, left: int, *, keep: bool) -> int:
        """Units of a page that is not passed as a whole; returns how many are left."""
        page = self._pages[self._at] if self._off or left < self._units_at() else None
        if page is None:
            return left
        taken = min(left, page.units - self._off)
        if keep:
            self._open.append(page.content[self._off : self._off + taken])
        self._off += taken
        if self._off == page.units:
            self._at, self._off = self._at + 1, 0
        return left - taken

    def _units_at(self) -> int:
        return self._pages[self._at].units if self._at < len(self._pages) else 0

    def _whole(self, left: int) -> int:
        """Moves over whole pages; returns how many units are left."""
        pages, at, count = self._pages, self._at, len(self._pages)
        while left and at < count and pages[at].units <= left:
            left -= pages[at].units
            at += 1
        self._at = at
        return left

    def _pass(self, pages: list[Page]) -> None:
        """Pages that stay."""
        if pages:
            self._close()
            self._put(pages[0])
            self.out += pages[1:]

    def _close(self) -> None:
        if self._open:
            made = Page(_joined(self._open))
            self._open = []
            for page in _cut([made] if made.units else []):
                self._put(page)

    def _put(self, page: Page) -> None:
        """The next page, joined with the one before where one of them has become small."""
        last = self.out[-1] if self.out else None
        if (
            last is not None
            and min(last.units, page.units) < SMALL_UNITS
            and last.size + page.size <= PAGE_BYTES
        ):
            self.out[-1] = Page(_joined([last.content, page.content]))
        else:
            self.out.append(page)


def hash_of(stream: bytes) -> int:
    """The hash of bytes; `hash(a + b) = (hash(a) * 256^len(b) + hash(b)) % PRIME`."""
    total = 0
    for start in range(0, len(stream), PAGE_BYTES):
        part = stream[start : start + PAGE_BYTES]
        total = (total * _shift(len(part)) + int.from_bytes(part, "big")) % PRIME
    return total


def shape_of(member: bytes) -> bytes:
    """The shape of a text or list as it stands in a value."""
    is_list = member[:1] == b"["
    stream = member[1:-1] + b"," if is_list else member[1:-1]
    units = len(elements(member)) if is_list else len(orjson.loads(member))
    return _SHAPE.pack(is_list, units, len(stream), hash_of(stream).to_bytes(12, "big"))


def _cut(pages: Iterable[Page]) -> Iterator[Page]:
    """Pages in pieces that are not too long, if they have more than one unit."""
    for page in pages:
        if page.units == 1 or page.size <= PAGE_BYTES:
            yield page
            continue
        step = max(1, page.units * PAGE_BYTES // (2 * page.size))
        pieces = (page.content[at : at + step] for at in range(0, page.units, step))
        yield from _cut(map(Page, pieces))


def _joined(pieces: list[Content]) -> Content:
    if len(pieces) == 1:
        return pieces[0]
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if texts:
        return "".join(texts)
    return tuple(chain.from_iterable(piece for piece in pieces if not isinstance(piece, str)))


@lru_cache(maxsize=1 << 16)
def _shift(length: int) -> int:
    return pow(256, length, PRIME)
