"""Digests: fixed for ever, distinct for what differs, and at home in a bigint column."""

from __future__ import annotations

import pytest

from sync.digest import EMPTY, combine, from_signed, record_digest, remove, to_signed


def test_the_number_of_a_record_never_changes() -> None:
    # Stored digests are compared across versions: another number here is a change of format.
    assert record_digest("default", "robots", "r1", 7, b'{"a":1}') == 0x3EA94F571B03515D


def test_no_part_runs_into_the_next() -> None:
    records = [
        ("ab", "c", "d", 1, b"{}"),
        ("a", "bc", "d", 1, b"{}"),
        ("a", "b", "cd", 1, b"{}"),
        ("a", "b", "c", 1, b"d{}"),
        ("ab", "c", "d", 2, b"{}"),
        ("ab", "c", "d", 1, b'{"a":1}'),
        ("ab", "c", "d", 1, b'{"a":1.0}'),
    ]
    assert len({record_digest(*record) for record in records}) == len(records)


@pytest.mark.parametrize("revision", [-1, 2**63])
def test_a_revision_that_no_column_holds_is_refused(revision: int) -> None:
    with pytest.raises(ValueError, match="revision"):
        record_digest("s", "c", "k", revision, b"{}")


def test_the_edges_of_64_bits() -> None:
    top = 2**64 - 1
    assert combine(top, 1) == EMPTY
    assert remove(EMPTY, 1) == top
    assert [to_signed(n) for n in (0, 2**63 - 1, 2**63, top)] == [0, 2**63 - 1, -(2**63), -1]
    assert [from_signed(n) for n in (0, -1, -(2**63))] == [0, top, 2**63]
