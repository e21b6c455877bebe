"""A long text or list in pages, of which a splice reads and writes those that it touches.

What is known of all pages (the index) is small: how many units each has, how many bytes, and a hash
of them. With it the length is known without any content, and so the hub decides splices before a
page is read. An edit is noted at the pages that it falls into; when these are loaded it is done
there, and pages that have grown are divided. A page that is deleted as a whole is never read.

The digest must not tell where pages begin, since that depends on how the document came to be. So
the hash of a page is its bytes as one number modulo a prime: the hash of a whole follows from the
hashes and lengths of its parts, whatever these are. Pages cut by content would make it a sum of
hashes, too, but an edit could move their borders in pages that it does not touch. 256 generates
half of all residues, so the order of pages counts; as other digests, it finds faults and proves
nothing against somebody who makes them.

Invariant: the document is the contents of the pages one after the other, each with its `todo` done.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import orjson

from sync.references import LONG_BYTES, Reference
from sync.splices import elements
from sync.transform import Content, Run, Splice, SpliceMismatch
from sync.values import InvalidValue

MAX_TEXT_BYTES = 8 << 20
"""Of one text or list, as it stands in a value: a book has a megabyte, and one answer has to carry
it."""

MAX_WHOLE_BYTES = MAX_TEXT_BYTES + (1 << 20)
"""Of a record with all of it, and of all records of one answer: what else is in it is small."""

PAGE_BYTES = 16 << 10
"""Beyond, a page is divided into halves: a few microseconds to edit, and a thousand of them, each
with its row and its line in the index, make the longest document."""

SMALL_UNITS = 512
"""A page that has shrunk to that is joined with one beside it, if both fit."""

PRIME = 309485009821345068724790747
"""2^88 + 9691. It and half of it are prime, so that the powers of 256 go through half of all
residues: no two places in a document of any length weigh the same."""

_ENTRY = struct.Struct(">IIQ12s")
_KINDS = {b"t": False, b"l": True}
_SHAPE = struct.Struct(">?QQ12s")


@dataclass(slots=True)
class Page:
    """`size` are the bytes of its units as they stand in a value, as long as something is to be
    done perhaps more; `hash` is of those. `todo` are edits: where, how much is deleted, and what is
    inserted. `content` is None while it is not loaded."""

    name: int
    units: int
    size: int
    hash: int
    content: Content | None = None
    todo: tuple[tuple[int, int, Content], ...] = ()
    dirty: bool = False

    def edit(self, at: int, deleted: int, inserted: Content) -> None:
        """Deletes and inserts at a place."""
        self.units += len(inserted) - deleted
        self.dirty = True
        if self.content is None:
            self.todo += ((at, deleted, inserted),)
            self.size += len(written(inserted))
            return
        gone = self.content[at : at + deleted]
        self.size += len(written(inserted)) - len(written(gone))
        self.content = _joined(self.content[:at], inserted, self.content[at + deleted :])

    def fill(self, content: Content) -> None:
        """The page is loaded: what was to be done is done."""
        self.content, todo, self.todo = content, self.todo, ()
        for at, deleted, inserted in todo:
            before, after = self.content[:at], self.content[at + deleted :]
            self.content = _joined(before, inserted, after)
        if todo:
            self.size = len(written(self.content))


@dataclass(slots=True)
class Changes:
    """Pages to be stored, by name, and names of those that are no more."""

    put: dict[int, bytes] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)


class Pages:
    """One document. `stored` are the names of the pages that a store has of it, `saved` is the
    index that it has."""

    __slots__ = ("is_list", "last_name", "pages", "saved", "stored")

    def __init__(
        self, pages: list[Page], *, is_list: bool, last_name: int, stored: Iterable[int] = (),
        saved: bytes = b"",
    ) -> None:  # fmt: skip
        self.pages, self.is_list, self.last_name = pages, is_list, last_name
        self.stored, self.saved = frozenset(stored), saved

    @classmethod
    def of(cls, content: Content, stored: Pages | None = None) -> Pages:
        """A document that goes into pages. `stored` is one whose place it takes."""
        names = stored.last_name if stored else 0
        page = Page(names + 1, len(content), len(written(content)), 0, content, dirty=True)
        made = cls([page], is_list=isinstance(content, tuple), last_name=names + 1)
        if stored is not None:
            made.stored, made.saved = stored.stored, stored.saved
        return made

    def copy(self) -> Pages:
        """One that goes another way."""
        pages = [replace(page) for page in self.pages]
        return Pages(
            pages, is_list=self.is_list, last_name=self.last_name, stored=self.stored,
            saved=self.saved,
        )  # fmt: skip

    @property
    def units(self) -> int:
        """Code points, or elements."""
        return sum(page.units for page in self.pages)

    @property
    def size(self) -> int:
        """Bytes as they stand in a value, at most while edits wait."""
        return sum(page.size for page in self.pages) + 2 - (self.is_list and bool(self.pages))

    @property
    def reference(self) -> Reference:
        """What stands for it in the value."""
        return Reference(self.is_list, self.units)

    # -- edits ---------------------------------------------------------------

    def splice(self, edit: Splice, max_bytes: int = 0) -> None:
        """Edits the document. With `max_bytes` one that grows beyond is refused, if all is loaded.

        Raises SpliceMismatch, InvalidValue VALUE_TOO_LARGE; then nothing has changed.
        """
        if edit.before != self.units:
            raise SpliceMismatch(f"written on {edit.before} units, where there are {self.units}")
        content = tuple if self.is_list else str
        inserted = [run for run in edit.runs if not isinstance(run, int)]
        if any(not isinstance(run, content) for run in inserted):
            raise SpliceMismatch("text is inserted into texts, elements into lists")
        if max_bytes and edit.after > edit.before:
            more = sum(len(written(run)) for run in inserted)
            if self.size + more > max_bytes and self.size + more - self._deleted(edit) > max_bytes:
                raise too_large(max_bytes)
        self._edit(edit.runs)

    def _edit(self, runs: Iterable[Run]) -> None:
        pages, at, place = self.pages, 0, 0  # place in the page at `at`
        for run in runs:
            if not isinstance(run, int):
                if not pages:
                    self.last_name += 1
                    empty: Content = () if self.is_list else ""
                    pages.append(Page(self.last_name, 0, 0, 0, empty))
                if at == len(pages):
                    at, place = at - 1, pages[-1].units
                pages[at].edit(place, 0, run)
                place += len(run)
                continue
            left = abs(run)
            while left:
                page = pages[at]
                count = min(left, page.units - place)
                left -= count
                if run > 0:
                    place += count
                elif count == page.units:
                    del pages[at]  # unread
                    continue
                elif count:
                    page.edit(place, count, () if self.is_list else "")
                if place == page.units and (left or at + 1 < len(pages)):
                    at, place = at + 1, 0

    def _deleted(self, edit: Splice) -> int:
        """Bytes that an edit deletes, of what is loaded."""
        found, at = 0, 0
        for run in edit.runs:
            if isinstance(run, int):
                if run < 0:
                    found += sum(len(written(part)) for part in self._between(at, at - run))
                at += abs(run)
        return found

    def _between(self, start: int, end: int) -> Iterator[Content]:
        first = 0
        for page in self.pages:
            last = first + page.units
            if first < end and start < last and page.content is not None:
                yield page.content[max(0, start - first) : end - first]
            first = last

    # -- what is loaded, and stored ------------------------------------------

    def wanted(self, *, everything: bool = False) -> list[int]:
        """Names of pages to be loaded before `settle`; when they are, there may be more. Of a
        document that is short again all are, since it counts as what stands in a value."""
        everything = everything or self.size <= LONG_BYTES
        names: list[int] = []
        for place, page in enumerate(self.pages):
            if page.content is None and (everything or page.todo):
                names.append(page.name)
            if page.dirty and page.units < SMALL_UNITS and len(self.pages) > 1:
                beside = self.pages[place - 1 if place else 1]
                if beside.content is None:
                    names.append(beside.name)
        return list(dict.fromkeys(names))

    def load(self, contents: Mapping[int, bytes]) -> None:
        """Takes the contents of pages, by name."""
        for page in self.pages:
            if page.content is None and page.name in contents:
                page.fill(read(contents[page.name], is_list=self.is_list))

    def settle(self) -> Changes:
        """Makes pages of what has changed. Nothing may be wanted any more."""
        found = Changes()
        self.pages = list(self._divided(_together(self.pages)))
        for page in self.pages:
            if page.dirty:
                assert page.content is not None
                stream = written(page.content)
                page.size, page.hash, page.dirty = len(stream), hash_of(stream), False
                found.put[page.name] = stream
        names = frozenset(page.name for page in self.pages)
        found.gone = set(self.stored - names)
        self.stored, self.saved = names, self.encode()
        return found

    def _divided(self, pages: Iterable[Page]) -> Iterator[Page]:
        for page in pages:
            if not page.units:
                continue
            if page.size <= PAGE_BYTES or page.content is None or page.units == 1:
                yield page
                continue
            step = max(1, page.units * PAGE_BYTES // (2 * page.size))
            for start in range(0, page.units, step):
                content = page.content[start : start + step]
                name = page.name
                if start:
                    self.last_name += 1
                    name = self.last_name
                yield Page(name, len(content), 0, 0, content, dirty=True)

    @property
    def text(self) -> bytes:
        """All of it, loaded, as it stands in a value."""
        return assembled([written(p.content or "") for p in self.pages], is_list=self.is_list)

    @property
    def shape(self) -> bytes:
        """What a digest is of: kind, lengths and hash."""
        total, size = 0, 0
        for page in self.pages:
            total = (total * _shift(page.size) + page.hash) % PRIME
            size += page.size
        return _SHAPE.pack(self.is_list, self.units, size, total.to_bytes(12, "big"))

    # -- the index -----------------------------------------------------------

    def encode(self) -> bytes:
        """The index, settled."""
        kind = b"l" if self.is_list else b"t"
        entries = [
            _ENTRY.pack(p.name, p.units, p.size, p.hash.to_bytes(12, "big")) for p in self.pages
        ]
        return kind + self.last_name.to_bytes(4, "big") + b"".join(entries)

    @classmethod
    def decode(cls, index: bytes) -> Pages:
        """What `encode` was called on, with nothing loaded."""
        pages = [
            Page(name, units, size, int.from_bytes(digest, "big"))
            for name, units, size, digest in _ENTRY.iter_unpack(index[5:])
        ]
        names = [page.name for page in pages]
        last_name = int.from_bytes(index[1:5], "big")
        return cls(pages, is_list=_KINDS[index[:1]], last_name=last_name, stored=names, saved=index)


def written(content: Content) -> bytes:
    """Units as they stand in a value: a text without its quotes, elements with a comma each."""
    if isinstance(content, str):
        return orjson.dumps(content)[1:-1]
    return b"".join([element + b"," for element in content])


def read(stream: bytes, *, is_list: bool) -> Content:
    """What `written` was called on."""
    if is_list:
        return elements(b"[%s]" % stream[:-1])
    said = orjson.loads(b'"%s"' % stream)
    assert isinstance(said, str)
    return said


def assembled(streams: Iterable[bytes], *, is_list: bool) -> bytes:
    """The member that pages make together."""
    stream = b"".join(streams)
    return b"[%s]" % stream[:-1] if is_list else b'"%s"' % stream


def shape_of(member: bytes) -> tuple[Reference, bytes]:
    """The shape of a long text or list as it stands in a value, and what would refer to it."""
    is_list = member[:1] == b"["
    stream = member[1:-1] + b"," if is_list else member[1:-1]
    units = len(elements(member)) if is_list else len(orjson.loads(member))
    hashed = hash_of(stream).to_bytes(12, "big")
    return Reference(is_list, units), _SHAPE.pack(is_list, units, len(stream), hashed)


def hash_of(stream: bytes) -> int:
    """The hash of bytes; `hash(a + b) = (hash(a) * 256^len(b) + hash(b)) % PRIME`."""
    total = 0
    for start in range(0, len(stream), PAGE_BYTES):
        part = stream[start : start + PAGE_BYTES]
        total = (total * _shift(len(part)) + int.from_bytes(part, "big")) % PRIME
    return total


@lru_cache(maxsize=1 << 16)
def _shift(length: int) -> int:
    return pow(256, length, PRIME)


def too_large(limit: int) -> InvalidValue:
    """The refusal of a document that would become longer than it may."""
    return InvalidValue(
        "VALUE_TOO_LARGE",
        f"a text or list of more than {limit} bytes; go on in another record",
    )


def _together(pages: Iterable[Page]) -> Iterator[Page]:
    """Small pages joined with those beside them, where both are loaded and fit."""
    last: Page | None = None
    for page in pages:
        if last is None:
            last = page
        elif (
            min(last.units, page.units) < SMALL_UNITS
            and (last.dirty or page.dirty)
            and last.content is not None
            and page.content is not None
            and last.size + page.size <= PAGE_BYTES
        ):
            content = _joined(last.content, page.content)
            units, size = last.units + page.units, last.size + page.size
            last = Page(last.name, units, size, 0, content, dirty=True)
        else:
            yield last
            last = page
    if last is not None:
        yield last


def _joined(*parts: Content, empty: bool = False) -> Content:
    texts = [part for part in parts if isinstance(part, str)]
    if texts or not (parts or empty):
        return "".join(texts)
    return tuple(unit for part in parts for unit in part if isinstance(unit, bytes))
