"""Digests add up: no order, no history, nothing left of what was removed."""

from __future__ import annotations

from functools import reduce
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sync.digest import EMPTY, combine, from_signed, record_digest, remove, to_signed

DIGESTS = st.integers(0, 2**64 - 1)
RECORDS = st.tuples(
    st.text(max_size=3), st.text(max_size=3), st.text(max_size=3),
    st.integers(0, 2**63 - 1), st.binary(max_size=8),
)  # fmt: skip


@given(st.lists(DIGESTS), st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(digests: list[int], random: Any) -> None:
    shuffled = random.sample(digests, len(digests))
    assert reduce(combine, shuffled, EMPTY) == reduce(combine, digests, EMPTY)


@given(DIGESTS, DIGESTS)
def test_adding_then_removing_changes_nothing(total: int, digest: int) -> None:
    assert remove(combine(total, digest), digest) == total == combine(remove(total, digest), digest)


@given(st.lists(DIGESTS), st.lists(DIGESTS))
def test_sets_combine_as_their_records_do(one: list[int], other: list[int]) -> None:
    apart = combine(reduce(combine, one, EMPTY), reduce(combine, other, EMPTY))
    assert apart == reduce(combine, one + other, EMPTY)


@given(DIGESTS)
def test_a_column_gives_back_the_digest(digest: int) -> None:
    assert -(2**63) <= to_signed(digest) < 2**63
    assert from_signed(to_signed(digest)) == digest


@given(RECORDS, RECORDS)
def test_records_differ_in_number_exactly_if_they_differ(one: Any, other: Any) -> None:
    first, second = record_digest(*one), record_digest(*other)
    assert 0 <= first < 2**64
    assert (first == second) == (one == other)
