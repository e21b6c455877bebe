"""Where two histories part, found in few questions, for every length and every place."""

from __future__ import annotations

import pytest

from sync import actions as a
from sync import messages as m
from sync.origin_search import FAN_OUT, OriginSearch
from tests.unit.sync.stream_pair import ORIGIN, ids, state


def search(mine: list[bytes], theirs: list[bytes], kept_from: int = 1) -> tuple[OriginSearch, int]:
    """Runs a search to its end; rows of ours below `kept_from` are let go. Counts questions."""
    at = min(len(mine), len(theirs))
    their_state = m.OriginState(ORIGIN, len(theirs), theirs[at - 1] if at else b"")
    found = OriginSearch("site", state(mine, len(mine)), their_state)
    lookup, questions = found.begin(), 0
    while lookup is not None:
        known = {seq: mine[seq - 1] for seq in lookup.seqs if seq >= kept_from}
        step = found.found(known)
        if step is None:
            break
        compare = step.message
        assert isinstance(compare, m.CompareIds)
        assert 1 <= len(compare.seqs) <= FAN_OUT
        assert list(compare.seqs) == sorted(set(compare.seqs))
        assert max(compare.seqs) < at
        questions += 1
        answer = tuple((seq, theirs[seq - 1]) for seq in compare.seqs)
        lookup = found.compared(m.ComparedIds("site", ORIGIN, answer))
    assert found.ended
    return found, questions


@pytest.mark.parametrize(
    ("mine", "theirs"), [(0, 0), (5, 0), (5, 5), (7, 5), (5000, 1), (3000, 2999)]
)
def test_histories_that_agree_need_no_question(mine: int, theirs: int) -> None:
    found, questions = search(ids(mine), ids(theirs))
    assert (questions, found.fault, found.shared, found.decided) == (
        0,
        "",
        min(mine, theirs),
        theirs,
    )


@pytest.mark.parametrize(("mine", "theirs"), [(0, 1), (5, 6), (1, 5000)])
def test_an_outbox_that_knows_less_than_the_hub_is_behind(mine: int, theirs: int) -> None:
    found, questions = search(ids(mine), ids(theirs))
    assert (questions, found.fault, found.shared) == (0, "OUTBOX_BEHIND", mine)


LENGTHS = [1, 2, 3, 1023, 1024, 1025, 1026, 2047, 2048, 2049, 3000, 4999, 5000]


@pytest.mark.parametrize("length", LENGTHS)
def test_where_two_part_is_found_wherever_it_is(length: int) -> None:
    near = {0, 1, 2, length // 2, length - 2, length - 1, 1022, 1023, 1024, 1025, 2046, 2047, 2048}
    points = {p for p in near if 0 <= p < length} | set(range(0, length, 97))
    theirs = ids(length)
    for shared in points:
        for more in (0, 10):
            found, questions = search(ids(length + more, shared), theirs)
            assert (found.shared, found.fault) == (shared, "ORIGIN_COPIED")
            assert questions <= 3


def test_two_questions_reach_a_million() -> None:
    length = 1_000_000
    theirs = ids(length)
    for shared in (0, 1, 499_999, 999_423, 999_424, 999_425, 999_998, 999_999):
        mine = theirs[:shared] + [b"x" * 16] * (length - shared)
        found, questions = search(mine, theirs)
        assert (found.shared, found.fault) == (shared, "ORIGIN_COPIED")
        assert questions <= 2


def test_rows_let_go_long_since_count_as_the_same() -> None:
    for kept_from in (1, 2, 50, 90):
        found, _ = search(ids(100, 89), ids(100), kept_from)
        assert (found.shared, found.fault) == (89, "ORIGIN_COPIED")
    found, questions = search(ids(100), ids(100), kept_from=101)
    assert (found.shared, found.fault, questions) == (100, "", 0)


def test_the_hub_may_not_know_an_id_and_then_it_is_not_the_same() -> None:
    found = OriginSearch("site", state(ids(5), 5), m.OriginState(ORIGIN, 5, bytes(16)))
    assert found.begin() is not None
    assert isinstance(found.found({5: ids(5)[4]}), a.Send)


def test_commits_taken_since_the_hello_are_compared_too() -> None:
    mine, theirs = ids(4), ids(5)
    found = OriginSearch("site", state(mine[:2], 2), m.OriginState(ORIGIN, 5, theirs[1]))
    assert found.begin() == a.LookUpIds("site", ORIGIN, (2,))
    step = found.found({2: mine[1]}, newest=4)
    assert step == a.Send(m.CompareIds("site", ORIGIN, (3, 4)))
    answer = m.ComparedIds("site", ORIGIN, ((3, theirs[2]), (4, theirs[3])))
    found.compared(answer)
    assert found.found({3: mine[2], 4: mine[3]}, newest=4) is None
    assert (found.shared, found.fault) == (4, "OUTBOX_BEHIND")
