"""Laws of edits, for any text whatever: emoji, combining characters, right-to-left marks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.transform import (
    Content,
    Run,
    Splice,
    apply,
    compose,
    invert,
    splice,
    transform,
)

UNITS = st.sampled_from("ab\u0301\U0001f469\u200d\U0001f52c\U0001f1e9\u202e\u00e9\n\0\uffff")
TEXTS = st.text(UNITS, max_size=12) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LISTS = st.lists(st.sampled_from([b"1", b"1.0", b"{}", b'"a"', b"[1]"]), max_size=6).map(tuple)
DOCUMENTS: st.SearchStrategy[Content] = TEXTS | LISTS


@st.composite
def edits_of(draw: st.DrawFn, document: Content) -> Splice:
    """An edit that was written on this document."""
    contents: st.SearchStrategy[Content] = TEXTS if isinstance(document, str) else LISTS
    runs: list[Run] = []
    left = len(document)
    while left:
        count = draw(st.integers(1, left))
        left -= count
        if draw(st.booleans()):
            runs.append(draw(contents))
        runs.append(count if draw(st.booleans()) else -count)
    return splice([*runs, draw(contents)])


@pytest.mark.promise("rule.text-list.properties")
@given(st.data())
def test_both_orders_lead_to_one_document(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    one, two = data.draw(edits_of(document)), data.draw(edits_of(document))
    one_later, two_later = transform(one, two)
    assert apply(one_later, apply(two, document)) == apply(two_later, apply(one, document))


@given(st.data())
def test_what_survives_is_what_was_inserted_less_what_was_deleted(data: st.DataObject) -> None:
    """Neither edit's insertions are lost, and a unit is gone exactly if somebody deleted it."""
    document = tuple(b"%d" % n for n in range(100, 100 + data.draw(st.integers(0, 8))))
    one, two = data.draw(edits_of(document)), data.draw(edits_of(document))
    later, _ = transform(one, two)
    merged = apply(later, apply(two, document))
    both = set(apply(one, document)) & set(apply(two, document))
    inserted = [u for e in (one, two) for run in e.runs if isinstance(run, tuple) for u in run]
    assert sorted(merged) == sorted([*(set(document) & both), *inserted])


@pytest.mark.promise("rule.text-list.properties")
@given(st.data())
def test_composing_and_inverting(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    first = data.draw(edits_of(document))
    middle = apply(first, document)
    second = data.draw(edits_of(middle))
    third = data.draw(edits_of(apply(second, middle)))
    assert apply(compose(first, second), document) == apply(second, middle)
    assert compose(compose(first, second), third) == compose(first, compose(second, third))
    assert apply(invert(first, document), middle) == document


@given(st.data())
def test_no_input_is_changed(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    one, two = data.draw(edits_of(document)), data.draw(edits_of(document))
    before = (one.runs, two.runs, one.before, two.after, document)
    transform(one, two)
    compose(one, invert(one, document))
    apply(one, document)
    assert before == (one.runs, two.runs, one.before, two.after, document)
