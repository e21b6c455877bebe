"""What can be proven of a replica's age: pairs of a question's time and the head that answered."""

from __future__ import annotations

from sync.consistency import MAX_ASKED, MAX_PAIRS, Freshness, Instant, Proof
from sync.position import Position

SPACE = "site"
START_MS = 50_000
WALL_MS = 1_700_000_000_000


def at(ms: int, wall_error_ms: int = 0) -> Instant:
    """A moment so many milliseconds after the start."""
    return Instant((START_MS + ms) * 1_000_000, WALL_MS + ms + wall_error_ms)


def head(revision: int, epoch: int = 1, space: str = SPACE) -> Position:
    return Position(epoch, space, revision)


def heard(found: Freshness, asked_ms: int, heard_ms: int, *heads: Position) -> None:
    found.asked(at(asked_ms))
    found.heard(at(asked_ms).boot_ns, heads, at(heard_ms))


def test_nothing_is_proven_before_the_hub_was_heard() -> None:
    assert Freshness().proof(head(0), at(0)) == Proof()


def test_the_age_counts_from_the_question_not_from_the_answer() -> None:
    found = Freshness()
    heard(found, 0, 4_000, head(7))
    assert found.proof(head(7), at(5_000)).staleness_ms == 5_005, "and 0.1 % for the rate"
    assert found.proof(head(9), at(5_000)).staleness_ms == 5_005
    assert found.proof(head(7), at(-1)).staleness_ms == 0, "it was asked after that moment"


def test_a_head_that_is_not_applied_proves_nothing_and_the_one_before_still_does() -> None:
    found = Freshness()
    heard(found, 0, 10, head(7))
    heard(found, 1_000, 1_010, head(9))
    assert found.proof(head(6), at(2_000)) == Proof(None, 3)
    assert found.proof(head(8), at(2_000)) == Proof(2_002, 1)
    assert found.proof(head(9), at(2_000)) == Proof(1_001, 0)


def test_what_is_known_of_the_hub_counts_though_nobody_asked() -> None:
    found = Freshness()
    found.told(head(12))
    found.told(head(11))
    assert found.proof(head(7), at(0)) == Proof(None, 5)


def test_answers_that_nobody_asked_for_prove_nothing() -> None:
    found = Freshness()
    found.heard(at(0).boot_ns, [head(7)], at(10))
    assert found.proof(head(7), at(10)) == Proof(None, 0)


def test_another_epoch_forgets_the_one_before() -> None:
    found = Freshness()
    heard(found, 0, 10, head(7))
    found.told(head(5, epoch=2))
    assert found.proof(head(7), at(20)) == Proof()
    assert found.proof(head(5, epoch=2), at(20)) == Proof(None, 0)
    heard(found, 30, 40, head(5, epoch=2))
    assert found.proof(head(5, epoch=2), at(130)).staleness_ms == 101


def test_a_hub_that_went_back_proves_nothing_by_what_it_said_before() -> None:
    found = Freshness()
    heard(found, 0, 10, head(7))
    heard(found, 20, 30, head(5))
    assert found.proof(head(7), at(120)).staleness_ms == 101
    found.forget(SPACE)
    assert found.proof(head(7), at(120)) == Proof()


def test_an_empty_space_is_held_by_a_replica_that_has_nothing_yet() -> None:
    found = Freshness()
    heard(found, 0, 10, head(0))
    nowhere = Position(0, SPACE, 0)
    assert found.proof(nowhere, at(1_000)) == Proof(1_001, 0)
    found.told(head(3))
    assert found.proof(nowhere, at(1_000)) == Proof(1_001, 3)


def test_spaces_are_apart() -> None:
    found = Freshness()
    heard(found, 0, 10, head(7), head(3, space="other"))
    found.forget("other")
    assert found.proof(head(7), at(10)).staleness_ms is not None
    assert found.proof(head(3, space="other"), at(10)) == Proof()


def test_a_jump_of_the_wall_clock_either_way_forgets_and_what_was_on_its_way_is_not_believed() -> (
    None
):
    for error_ms in (2_000, -2_000):
        found = Freshness()
        heard(found, 0, 10, head(7))
        found.asked(at(20))
        found.look(at(30, error_ms))
        assert found.jumps == 1
        found.heard(at(20).boot_ns, [head(7)], at(40, error_ms))
        assert found.proof(head(7), at(40, error_ms)) == Proof(None, 0)


def test_a_boot_clock_that_went_back_is_another_boot() -> None:
    found = Freshness()
    heard(found, 1_000, 1_010, head(7))
    found.look(at(500))
    assert found.proof(head(7), at(500)).staleness_ms is None


def test_what_is_too_little_for_a_jump_makes_the_age_greater() -> None:
    found = Freshness()
    heard(found, 0, 10, head(7))
    found.look(at(1_000, 300))
    assert found.jumps == 0
    assert found.proof(head(7), at(1_000, 300)).staleness_ms == 1_301
    assert found.proof(head(7), at(1_000, -300)).staleness_ms == 1_001, "never younger"


def test_drift_is_no_jump() -> None:
    """A network's time slews by up to 0.05 %; a week of that is five minutes."""
    found = Freshness()
    heard(found, 0, 10, head(7))
    week_ms = 7 * 86_400_000
    found.look(at(week_ms, week_ms // 2_000))
    assert found.jumps == 0
    assert found.proof(head(7), at(week_ms, week_ms // 2_000)).staleness_ms == int(week_ms * 1.0015)


def test_what_is_remembered_is_bounded_and_the_newest_and_the_oldest_stay() -> None:
    found = Freshness()
    for n in range(10 * MAX_PAIRS):
        heard(found, 10 * n, 10 * n + 5, head(n + 1))
    assert len(found._pairs[SPACE]) <= MAX_PAIRS
    last = 10 * (10 * MAX_PAIRS - 1)
    assert found.proof(head(10 * MAX_PAIRS), at(last)).staleness_ms == 0
    assert found.proof(head(1), at(last)).staleness_ms is not None
    for n in range(2 * MAX_ASKED):
        found.asked(at(last + n + 1))
    assert len(found._asked) == MAX_ASKED
