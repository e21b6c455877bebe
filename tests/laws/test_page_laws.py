"""Long texts and lists in pages: whatever is edited, they are what they would be as a whole, and so
are their digests."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import splices, values
from sync.body import Body, outline
from sync.canonical_json import MAX_RECORD_BYTES
from sync.pages import LONG_BYTES, PAGE_BYTES, PRIME, Pages, hash_of
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
            most = 2_000 if is_list else 6_000
            units = random.choice((1, 5, 40, most if growing else 50))
            runs.append(_content(random, units, is_list=is_list))
        runs.append(count if random.random() < 0.6 else -count)
    runs.append(length)
    if random.random() < 0.3:
        runs.append(_content(random, 3, is_list=is_list))
    return splice(runs)


def _value(document: Content) -> bytes:
    return splices.assembled({"body": splices.text_of(document), "n": b"1.0"})


@given(st.integers(0, 2**32), st.booleans())
def test_a_text_in_pages_is_what_it_would_be_as_a_whole(seed: int, is_list: bool) -> None:
    random = Random(seed)
    document = _content(random, 5, is_list=is_list)
    body = Body(_value(document))
    for step in range(14):
        edit = _edit(random, len(document), is_list=is_list, growing=step < 9)
        document, earlier, before = apply(edit, document), body.copy(), body.value
        body.splice({"body": edit})
        assert body.length_of("body") == len(document)
        assert earlier.value == before, "one that went another way has not moved"
        if random.random() < 0.4:
            body.merge(b'{"m":%d}' % step)
            body.merge(b'{"m":null}')
        if random.random() < 0.6:
            found = values.fields(body.value)
            assert found["body"] == splices.text_of(document)
            assert body.size == len(body.value) <= body.bound
            assert body.outline == outline(body.value), "a digest is of what is said alone"
            if random.random() < 0.3:
                body = Body(body.value)


@given(st.integers(0, 2**32), st.booleans())
def test_pages_stay_short_and_few(seed: int, is_list: bool) -> None:
    random = Random(seed)
    pages = Pages.of(_content(random, 20_000, is_list=is_list))
    for _ in range(40):
        pages.splice(_edit(random, pages.units, is_list=is_list, growing=False))
    sizes = [page.size for page in pages._pages]
    assert all(0 < size <= PAGE_BYTES for size in sizes)
    assert all(one + two > PAGE_BYTES // 4 for one, two in pairwise(sizes))
    assert pages.text == Pages.of(splices.content_of(pages.text, splice(()))).text


@given(st.binary(max_size=40_000), st.lists(st.integers(0, 40_000), max_size=5))
def test_a_hash_follows_from_those_of_any_parts(stream: bytes, cuts: list[int]) -> None:
    ends = [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    total, start = 0, 0
    for end in ends:
        total = (total * pow(256, end - start, PRIME) + hash_of(stream[start:end])) % PRIME
        start = end
    assert total == hash_of(stream)


def test_an_outline_tells_kind_length_order_and_content() -> None:
    one, two = "a" * LONG_BYTES, "b" * LONG_BYTES
    texts: list[Content] = [one + two, two + one, one + two + "b", tuple([b'"a"'] * LONG_BYTES)]
    found = {outline(_value(text)) for text in texts}
    assert len(found) == len(texts)
    both = {outline(values.join({"a": splices.text_of(one), "b": splices.text_of(two)}))}
    both.add(outline(values.join({"a": splices.text_of(two), "b": splices.text_of(one)})))
    assert len(both) == 2
    assert all(len(each) < 200 for each in found | both)


@pytest.mark.parametrize("sets", [b'{"body":"b"}', b'{"body":null}', b'{"body":["b"]}'])
def test_a_text_that_is_written_in_another_way_is_in_pages_no_more(sets: bytes) -> None:
    body = Body(_value("a"))
    body.splice({"body": splice([1, "é" * LONG_BYTES])})
    paged = [body.paged]
    body.merge(sets)
    assert [*paged, body.paged] == [True, False]
    assert body.value == values.merge(b'{"n":1.0}', sets)


def test_a_splice_touches_only_the_pages_that_it_edits() -> None:
    pages = Pages.of("x" * 1_000_000)
    before = {id(page) for page in pages._pages}
    assert len(before) >= 62
    half = pages.units // 2
    pages.splice(splice([half, "y", -1, half - 1]))
    assert sum(id(page) not in before for page in pages._pages) <= 2
    pages.splice(splice([100, -(pages.units - 200), 100]))
    assert len(pages._pages) == 1 and pages.units == 200


def test_a_record_that_grows_too_large_is_refused_and_stays_as_it_was() -> None:
    body = Body(_value(""))
    room = MAX_RECORD_BYTES - len(_value(""))
    body.splice({"body": splice(["x" * (room - 10_000)])})
    for more in ("é" * 5_001, "\u0000" * 1_667):
        before = body.value
        with pytest.raises(InvalidValue) as caught:
            body.splice({"body": splice([room - 10_000, more])})
        assert caught.value.reason == "VALUE_TOO_LARGE"
        assert body.value == before
    with pytest.raises(InvalidValue) as caught:
        body.merge(b'{"n":"%s"}' % (b"n" * 10_010))
    assert caught.value.reason == "VALUE_TOO_LARGE"
    body.splice({"body": splice([-20_000, room - 30_000, "y" * 30_000])})
    assert len(body.value) == MAX_RECORD_BYTES == body.size
    with pytest.raises(InvalidValue, match="written on 5"):
        body.splice({"body": splice([5])})
    with pytest.raises(InvalidValue, match="elements into lists"):
        body.splice({"body": splice([room, (b"1",)])})


def test_pages_refuse_what_does_not_fit_and_stay_as_they_were() -> None:
    pages = Pages.of(tuple(b"%d" % n for n in range(20_000)))
    before = pages.text
    edits: list[list[Run]] = [[5], [20_000, "text"]]
    for runs in edits:
        with pytest.raises(SpliceMismatch):
            pages.splice(splice(runs))
    assert pages.text == before
    pages.splice(splice([-20_000]))
    assert pages.text == b"[]" and pages.size == 2 and pages.units == 0
    pages.splice(splice([(b'"a"', b"[1,2]")]))
    assert pages.text == b'["a",[1,2]]' and pages.size == len(pages.text)
