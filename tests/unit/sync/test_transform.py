"""Edits of texts and lists: TP1 over all short ones, and what composing and inverting must keep."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from sync import transform
from sync.transform import (
    Content,
    Run,
    Splice,
    SpliceMismatch,
    apply,
    compose,
    composed,
    extended,
    identity,
    invert,
    splice,
)


def all_edits(length: int, contents: tuple[Content, ...]) -> Iterator[Splice]:
    """Every edit of a document of this length that inserts one of `contents`, or nothing, at each
    gap, and keeps or deletes each unit."""
    for kept in product((1, -1), repeat=length):
        for inserted in product((*contents, None), repeat=length + 1):
            runs: list[Run | None] = [inserted[0]]
            for unit, content in zip(kept, inserted[1:], strict=True):
                runs += [unit, content]
            yield splice(run for run in runs if run is not None)


@pytest.mark.promise("rule.text-list.properties")
@pytest.mark.parametrize(
    ("document", "mine", "yours"),
    [
        ("", ("x", "xy"), ("z", "zw")),
        ("a", ("x", "xy"), ("z", "zw")),
        ("ab", ("x", "xy"), ("z", "zw")),
        ("abc", ("x",), ("z",)),
        ("abcd", ("x",), ("z",)),
        ((b"1", b"1.0"), ((b"{}",), (b"[]", b"2")), ((b"null",),)),
        ((b"1", b"1.0", b"true"), ((b"{}",),), ((b"null",),)),
    ],
)
def test_tp1_for_every_pair_of_short_edits(
    document: Content, mine: tuple[Content, ...], yours: tuple[Content, ...]
) -> None:
    length = len(document)
    ours = {edit: apply(edit, document) for edit in set(all_edits(length, mine))}
    theirs = {edit: apply(edit, document) for edit in set(all_edits(length, yours))}
    for one, after_one in ours.items():
        for two, after_two in theirs.items():
            one_later, two_later = transform.transform(one, two)
            assert apply(one_later, after_two) == apply(two_later, after_one), (one, two)


def test_the_leading_edit_stands_to_the_left() -> None:
    following, leading = splice([1, "f", 1]), splice([1, "l", 1])
    later, _ = transform.transform(following, leading)
    assert apply(later, apply(leading, "ab")) == "alfb"


@pytest.mark.promise("rule.text-list.properties")
def test_composing_is_doing_both_for_every_pair_of_short_edits() -> None:
    pairs = 0
    for length in range(3):
        document = "abc"[:length]
        for first in set(all_edits(length, ("x", "xy"))):
            middle = apply(first, document)
            for second in set(all_edits(first.after, ("z",))) if first.after < 4 else ():
                assert apply(compose(first, second), document) == apply(second, middle)
                pairs += 1
    assert pairs > 1_500


def test_composing_many_is_composing_them_in_order() -> None:
    edits = [splice([at, "xyz"[at % 3]]) for at in range(17)]
    document: Content = ""
    for edit in edits:
        document = apply(edit, document)
    assert apply(composed(edits), "") == document


@pytest.mark.promise("rule.text-list.properties")
@pytest.mark.parametrize("document", ["", "a", "ab", "abc", (), (b"1", b"2")])
def test_an_inverse_leads_back(document: Content) -> None:
    content: tuple[Content, ...] = ("x", "xy") if isinstance(document, str) else ((b"3",),)
    for edit in all_edits(len(document), content):
        there = apply(edit, document)
        assert apply(invert(edit, document), there) == document
        assert not compose(edit, invert(edit, document)).runs or len(document)


def test_the_identity_changes_nothing() -> None:
    assert apply(identity(3), "abc") == "abc"
    assert not identity(3).changes and not identity(0).changes
    for edit in all_edits(2, ("x",)):
        assert compose(identity(2), edit) == edit == compose(edit, identity(edit.after))
        assert transform.transform(edit, identity(2)) == (edit, identity(edit.after))
        assert transform.transform(identity(2), edit) == (identity(edit.after), edit)


def test_runs_are_made_normal() -> None:
    assert splice([0, "", 1, 2, -1, "a", -1, "b", 0]).runs == (3, "ab", -2)
    assert splice([]).runs == ()
    assert (splice([3, "ab", -2]).before, splice([3, "ab", -2]).after) == (5, 5)


@pytest.mark.promise("rule.text-list.properties")
def test_another_length_is_refused() -> None:
    two, three = splice([2, "x"]), splice([3, "x"])
    for refused in (
        lambda: apply(two, "abc"),
        lambda: invert(two, "abc"),
        lambda: transform.transform(two, three),
        lambda: compose(two, two),
        lambda: extended(three, 2),
    ):
        with pytest.raises(SpliceMismatch):
            refused()
    assert apply(extended(two, 3), "abc") == "abxc"


def test_texts_and_elements_do_not_mix() -> None:
    with pytest.raises(SpliceMismatch, match="not both"):
        splice(["a", 1, (b"1",)])
    with pytest.raises(SpliceMismatch, match="into"):
        apply(splice(["a"]), ())
    with pytest.raises(SpliceMismatch, match="not both"):
        compose(splice(["a"]), splice([1, (b"1",)]))


def test_an_edit_has_no_more_runs_than_the_limit() -> None:
    runs = [run for _ in range(transform.MAX_RUNS) for run in (1, "x")]
    with pytest.raises(SpliceMismatch, match="runs"):
        splice(runs)
