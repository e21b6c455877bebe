"""Long texts and lists in pages: whatever is edited, and whatever of it is loaded when, they are
what they would be as a whole, and so are their digests."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync import splices, values
from sync.body import Body, shape
from sync.pages import PAGE_BYTES, PRIME, Pages, assembled, hash_of, too_large
from sync.references import LONG_BYTES, reference_in
from sync.transform import Content, Run, Splice, SpliceMismatch, apply, splice
from sync.values import InvalidValue

ALPHABET = 'ab\n"\\\u0000é漢\U0001f469'


def _content(random: Random, units: int, *, is_list: bool) -> Content:
    if is_list:
        return tuple(b"%d.0" % random.randint(0, 10**6) for _ in range(units))
    return "".join(random.choices(ALPHABET, k=units))


def _edit(random: Random, length: int, *, is_list: bool, growing: bool) -> Splice:
    """A few places, now and then a great part."""
    runs: list[Run] = []
    while length and len(runs) < 12:
        count = min(length, random.choice((1, 30, 3_000, 20_000)))
        length -= count
        if random.random() < 0.5:
            units = random.choice((1, 5, 40, 6_000 if growing else 50))
            runs.append(_content(random, units, is_list=is_list))
        runs.append(count if random.random() < 0.6 else -count)
    runs.append(length)
    if random.random() < 0.3:
        runs.append(_content(random, 3, is_list=is_list))
    return splice(runs)


@dataclass
class Shelf:
    """What a database has of documents: a page is loaded only by its name."""

    pages: dict[tuple[str, int], bytes] = field(default_factory=dict)
    indexes: dict[str, bytes] = field(default_factory=dict)
    loads: int = 0

    def settle(self, body: Body, *, everything: bool = False) -> None:
        while wanted := body.wanted(everything=everything):
            for name, names in wanted.items():
                self.loads += len(names)
                body.texts[name].load({n: self.pages[name, n] for n in names})
        for name, (changes, index) in body.settle().items():
            for gone in changes.gone:
                del self.pages[name, gone]
            self.pages.update(((name, n), stream) for n, stream in changes.put.items())
            self.indexes.pop(name, None)
            if index:
                self.indexes[name] = index
        assert {n for n, _ in self.pages} <= self.indexes.keys()

    def body(self, value: bytes) -> Body:
        return Body(value, {name: Pages.decode(index) for name, index in self.indexes.items()})

    def whole(self, body: Body) -> bytes:
        read = self.body(body.value)
        for pages in read.texts.values():
            pages.load({n: stream for (_, n), stream in self.pages.items()})
        return read.whole


def _value(document: Content) -> bytes:
    return splices.assembled({"body": splices.text_of(document), "n": b"1.0"})


@given(st.integers(0, 2**32), st.booleans())
def test_a_text_in_pages_is_what_it_would_be_as_a_whole(seed: int, is_list: bool) -> None:
    random, shelf = Random(seed), Shelf()
    document = _content(random, 5, is_list=is_list)
    body = Body(_value(document))
    for step in range(14):
        edit = _edit(random, len(document), is_list=is_list, growing=step < 9)
        document = apply(edit, document)
        body.splice({"body": edit})
        assert body.length_of("body") == len(document)
        if random.random() < 0.6:
            shelf.settle(body)
            if len(document) and "body" in body.texts:
                assert all(p.size <= 2 * PAGE_BYTES for p in body.texts["body"].pages)
            whole = _value(document)
            assert shelf.whole(body) == whole
            assert body.shape == shape(whole), "a digest is the same of pages and of the whole"
            if random.random() < 0.5:
                body = shelf.body(body.value)


@given(st.binary(max_size=40_000), st.lists(st.integers(0, 40_000), max_size=5))
def test_a_hash_follows_from_those_of_any_parts(stream: bytes, cuts: list[int]) -> None:
    ends = [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    total, start = 0, 0
    for end in ends:
        total = (total * pow(256, end - start, PRIME) + hash_of(stream[start:end])) % PRIME
        start = end
    assert total == hash_of(stream)


@given(st.integers(0, 2**32), st.integers(0, 40))
@example(0, 0)
def test_a_text_begun_anew_or_deleted_leaves_no_page_behind(seed: int, units: int) -> None:
    random, shelf = Random(seed), Shelf()
    body = Body(_value("a"))
    body.splice({"body": splice([1, "é" * LONG_BYTES])})
    shelf.settle(body)
    assert reference_in(values.fields(body.value)["body"]) is not None
    match seed % 3:
        case 0:
            body.merge(values.join({"body": splices.text_of("b" * units)}))
        case 1:
            body.replace(b"{}")
        case _:
            body.merge(values.join({"body": b"null"}))
    before = body.value
    if seed % 2 and seed % 3 == 0:
        body.splice({"body": splice([units, _content(random, LONG_BYTES, is_list=False)])})
        before = b""
    shelf.settle(body)
    assert bool(shelf.pages) == (before == b"")
    if before:
        assert body.shape == (before, {})


def test_a_splice_reads_only_the_pages_that_it_touches() -> None:
    shelf, body = Shelf(), Body(_value(""))
    for _ in range(8):
        body.splice({"body": splice([body.length_of("body"), "x" * (1 << 17)])})
        shelf.settle(body)
    length, pages = body.length_of("body"), len(shelf.pages)
    assert length == 1 << 20 and pages >= 64
    body = shelf.body(body.value)
    before = shelf.loads
    body.splice({"body": splice([length // 2, "y", -1, length // 2 - 1])})
    shelf.settle(body)
    assert shelf.loads - before <= 2
    body = shelf.body(body.value)
    before = shelf.loads
    body.splice({"body": splice([100, -(length - 200), 100])})
    shelf.settle(body)
    assert shelf.loads - before <= 3, "what is deleted as a whole is not read"
    assert len(shelf.pages) == 1


def test_a_text_that_grows_too_long_is_refused_and_stays_as_it_was() -> None:
    body = Body(_value(""), max_text_bytes=100_000)
    body.splice({"body": splice(["x" * 90_000])})
    for more in ("é" * 5_000, "\u0000" * 1_667):
        with pytest.raises(InvalidValue) as caught:
            body.splice({"body": splice([90_000, more])})
        assert caught.value.reason == too_large(1).reason
    body.splice({"body": splice([-20_000, 70_000, "y" * 29_900])})
    assert body.length_of("body") == 99_900
    with pytest.raises(InvalidValue, match="written on 5"):
        body.splice({"body": splice([5])})
    with pytest.raises(InvalidValue, match="elements into lists"):
        body.splice({"body": splice([99_900, (b"1",)])})


def test_a_deleted_record_comes_back_with_its_text_edited() -> None:
    body, document = Body(_value("")), "x" * 50_000
    body.splice({"body": splice([document])})
    edit = splice([10, "yes", 49_990])
    revived = splices.revived(body.value, splices.encode({"body": edit}))
    body.replace(revived)
    assert body.value == _value("").replace(b'""', b'{"$text":50003}')
    assert body.whole == _value(apply(edit, document))
    with pytest.raises((InvalidValue, SpliceMismatch)):
        body.replace(revived)


def test_members_of_other_shapes_are_no_references() -> None:
    for member in (b'{"$text":-1}', b'{"$text":1.0}', b'{"$text":1,"a":2}', b'"$text"', b"null"):
        assert reference_in(member) is None
    assert assembled([], is_list=True) == b"[]" and assembled([b""], is_list=False) == b'""'
