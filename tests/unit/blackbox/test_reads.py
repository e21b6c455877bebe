"""Reads: states of the history, commits whole, as fresh as asked: what is caught, what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.blackbox.checks import bounded, judge, prefix
from tests.blackbox.history import BOUNDED, Line, Mark, Op, Read, history_of
from tests.unit.blackbox.lines import (
    decided,
    named,
    pending,
    put,
    read,
    strongly,
    told,
    version,
    wrote,
)

ONE, TWO = decided(1, "a", {"x": 1}), decided(2, "b", {"x": 2, "y": 2})
B = wrote("b", {"x": 2, "y": 2}, (2, 3), door="edge", origin="edge", seq=1, place=1)
B_OF_EDGE = decided(2, "b", {"x": 2, "y": 2}, origin="edge", seq=1, base=1)


# -- states of the history ---------------------------------------------------

GOOD: dict[str, tuple[Line, ...]] = {
    "each state of the log": (
        ONE, TWO, read({"x": None, "y": None}, (0, 1), 0),
        read({"x": version(1, 1), "y": None}, (0, 1), 1),
        read({"x": version(2, 2), "y": version(2, 2)}, (0, 1), 2),
    ),
    "with what is pending on top": (
        ONE, B_OF_EDGE, B, read({"x": pending(2, "edge", 1), "y": pending(2, "edge", 1)}, (4, 5),
                                1, seen={"edge": 1}),
    ),
    "a commit that deletes what was not there": (
        decided(1, "a", {"x": 1}),
        replace(wrote("a", {"x": 1}, (0, 1)), ops=(put("x", 1), Op("delete", named("y")))),
        read({"x": version(1, 1), "y": None}, (2, 3), 1),
    ),
    "a pending deletion": (
        ONE, decided(2, "b", {"x": None}, origin="edge", seq=1),
        read({"x": None}, (4, 5), 1, seen={"edge": 1}),
    ),
}  # fmt: skip

NO_STATE: dict[str, tuple[Line, ...]] = {
    "a revision left out": (ONE, TWO, read({"x": version(1, 1), "y": None}, (0, 1), 2)),
    "a value of the future": (ONE, TWO, read({"x": version(2, 2)}, (0, 1), 1)),
    "a record that is gone": (ONE, TWO, read({"x": None}, (0, 1), 1)),
    "a record of nobody": (ONE, read({"z": version(1, 1)}, (0, 1), 1)),
    "the right value under a wrong version": (ONE, TWO, read({"x": version(2, 1)}, (0, 1), 2)),
}  # fmt: skip

HALVES: dict[str, tuple[Line, ...]] = {
    "half of a decided commit": (
        ONE, TWO, wrote("b", {"x": 2, "y": 2}, (0, 1), revision=2),
        read({"x": version(2, 2), "y": None}, (2, 3), 2),
    ),
    "half of a pending commit": (
        ONE, B_OF_EDGE, B, read({"x": version(1, 1), "y": pending(2, "edge", 1)}, (4, 5), 1,
                                seen={"edge": 1}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_states_that_the_history_had_pass(name: str) -> None:
    assert judge(history_of(*GOOD[name])) == []


@pytest.mark.parametrize("name", NO_STATE)
def test_what_was_no_state_is_caught(name: str) -> None:
    assert prefix.reads_are_states(history_of(*NO_STATE[name]))


@pytest.mark.parametrize("name", HALVES)
def test_half_a_commit_is_caught_by_its_versions(name: str) -> None:
    assert prefix.commits_are_whole(history_of(*HALVES[name]))


@pytest.mark.parametrize("name", HALVES)
def test_half_a_commit_is_caught_by_its_values(name: str) -> None:
    pairs = [line for line in HALVES[name] if line is not ONE]
    assert prefix.pairs_agree(history_of(*pairs))


# -- bounds ------------------------------------------------------------------

ACKNOWLEDGED = (ONE, TWO, strongly("a", {"x": 1}, (0, 1), revision=1),
                strongly("b", {"x": 2, "y": 2}, (9, 10), revision=2))  # fmt: skip


def bounded_read(
    revision: int, at_s: float, within_ms: int = 2_000, staleness_ms: int | None = None
) -> Read:
    return read(
        {"x": version(revision, revision)}, (at_s, at_s + 0.1), revision, level=BOUNDED,
        within_ms=within_ms, staleness_ms=staleness_ms,
    )  # fmt: skip


@pytest.mark.parametrize("read_", [bounded_read(1, 11.9), bounded_read(2, 12.1)])
def test_reads_within_their_bound_pass(read_: Read) -> None:
    assert judge(history_of(*ACKNOWLEDGED, read_)) == []


STALE: dict[str, tuple[Line, ...]] = {
    "older than asked for": (*ACKNOWLEDGED, bounded_read(1, 12.1)),
    "older than it claims": (*ACKNOWLEDGED, bounded_read(1, 12.1, 5_000, staleness_ms=500)),
    "older than what a watcher was told": (
        ONE, TWO, told("began", 0, 0), told("commit", 1, 1, {"x": 1}),
        told("commit", 2, 2, {"x": 2, "y": 2}), bounded_read(1, 4.1),
    ),
    "older than what a strong read had shown": (
        ONE, TWO, read({"x": version(2, 2)}, (1, 2), 2, level="strong"), bounded_read(1, 4.1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STALE)
def test_a_read_beyond_its_bound_is_caught(name: str) -> None:
    assert bounded.hold_what_was_acknowledged(history_of(*STALE[name]))


def refused(at_s: float) -> Read:
    return read({"x": None}, (at_s, at_s + 0.1), 0, level=BOUNDED, status="refused",
                reason="BOUND_UNPROVABLE", within_ms=2_000)  # fmt: skip


def test_a_bound_may_be_unprovable_while_links_are_bad_or_too_new() -> None:
    calm, uneasy = Mark(at_s=10, what="calm"), Mark(at_s=20, what="uneasy")
    allowed = [refused(5), refused(11.9), refused(19.95), refused(25)]
    assert judge(history_of(calm, uneasy, *allowed)) == []


@pytest.mark.parametrize("at_s", [12.1, 19.5])
def test_a_bound_that_is_unprovable_on_a_good_link_is_caught(at_s: float) -> None:
    calm, uneasy = Mark(at_s=10, what="calm"), Mark(at_s=20, what="uneasy")
    assert bounded.provable_when_calm(history_of(calm, uneasy, refused(at_s)))


def test_calm_without_an_end_lasts() -> None:
    assert bounded.provable_when_calm(history_of(Mark(at_s=10, what="calm"), refused(99)))
