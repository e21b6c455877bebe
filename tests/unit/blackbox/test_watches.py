"""Watchers: what is caught, what is not; and histories as files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.blackbox import history as lines_of
from tests.blackbox.checks import CHECKS, judge, watches
from tests.blackbox.history import Conflict, Final, History, Line, Mark, history_of
from tests.unit.blackbox.lines import (
    SPACE,
    at,
    decided,
    expects,
    named,
    pending,
    read,
    strongly,
    told,
    version,
)

LOG = (decided(1, "a", {"x": 1}), decided(2, "b", {"x": 2, "y": 2}), decided(3, "c", {}))
BEGAN = told("began", 0, 0)
FIRST, SECOND = told("commit", 1, 1, {"x": 1}), told("commit", 2, 2, {"x": 2, "y": 2})
OF_EDGE = decided(2, "b", {"x": 2}, origin="edge", seq=1)
DECIDED = told("commit", 3, 2, {"x": 2}, origin="edge", seq=1)
PENDING = told("pending", 2, 0, {"x": 2}, origin="edge", seq=1)
QUIET = Mark(at_s=9, what="quiet")

GOOD: dict[str, tuple[Line, ...]] = {
    "all of it": (*LOG, BEGAN, FIRST, SECOND, told("bookmark", 3, 3), QUIET),
    "from the middle on": (*LOG, told("began", 0, 1), SECOND),
    "resumed after a lost connection": (*LOG, BEGAN, FIRST, told("resumed", 2, 1), SECOND),
    "pending, then decided": (LOG[0], OF_EDGE, BEGAN, FIRST, PENDING, DECIDED),
    "pending and not yet decided": (LOG[0], OF_EDGE, BEGAN, FIRST, PENDING),
    "with what each change replaced": (
        *LOG, BEGAN, FIRST, replace(SECOND, replaced={named("x"): 1, named("y"): 0}),
    ),
    "two watchers": (*LOG, BEGAN, FIRST, SECOND, told("began", 0, 0, watch="v"),
                     told("commit", 5, 1, {"x": 1}, watch="v")),
}  # fmt: skip

Check = Callable[[History], list[str]]
WHOLE = watches.streams_are_whole

BAD: dict[str, tuple[Check, tuple[Line, ...]]] = {
    "out of order": (WHOLE, (*LOG, BEGAN, SECOND, FIRST)),
    "twice": (WHOLE, (*LOG, BEGAN, FIRST, FIRST, SECOND)),
    "twice, across a lost connection": (
        WHOLE, (*LOG, BEGAN, FIRST, told("resumed", 2, 1), FIRST, SECOND),
    ),
    "one left out": (WHOLE, (*LOG, BEGAN, SECOND)),
    "one left out, across a lost connection": (
        WHOLE, (*LOG, BEGAN, told("resumed", 1, 0), told("bookmark", 2, 2)),
    ),
    "one left out before a bookmark": (WHOLE, (*LOG, BEGAN, FIRST, told("bookmark", 3, 3))),
    "half a commit": (WHOLE, (*LOG, BEGAN, FIRST, told("commit", 2, 2, {"x": 2}))),
    "a value that is not so": (WHOLE, (*LOG, BEGAN, told("commit", 1, 1, {"x": 7}))),
    "what nobody decided": (WHOLE, (*LOG, BEGAN, FIRST, SECOND, told("commit", 4, 4, {"x": 4}))),
    "under the name of another": (
        WHOLE, (*LOG, BEGAN, told("commit", 1, 1, {"x": 1}, origin="edge", seq=1)),
    ),
    "as if it replaced another": (
        WHOLE,
        (*LOG, BEGAN, FIRST, replace(SECOND, replaced={named("x"): 0, named("y"): 0})),
    ),
    "a bookmark that falls": (
        WHOLE, (*LOG, BEGAN, FIRST, SECOND, told("bookmark", 3, 3), told("bookmark", 4, 2)),
    ),
    "a bookmark below what was told": (WHOLE, (*LOG, BEGAN, FIRST, SECOND, told("bookmark", 3, 1))),
    "pending without an outcome": (
        WHOLE, (LOG[0], OF_EDGE, BEGAN, FIRST, PENDING, told("bookmark", 3, 2)),
    ),
    "pending after its outcome": (WHOLE, (LOG[0], OF_EDGE, BEGAN, FIRST, DECIDED, PENDING)),
    "no bookmark at the end": (
        watches.ends_are_bookmarked, (*LOG, BEGAN, FIRST, SECOND, QUIET),
    ),
    "nothing told at all": (watches.ends_are_bookmarked, (*LOG, BEGAN, QUIET)),
    "two streams, another commit": (
        watches.all_saw_one_stream,
        (BEGAN, FIRST, told("commit", 5, 1, {"x": 1}, watch="v", seq=9)),
    ),
    "two streams, another value": (
        watches.all_saw_one_stream, (BEGAN, FIRST, told("commit", 5, 1, {"x": 7}, watch="v")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_streams_that_are_whole_pass(name: str) -> None:
    assert judge(history_of(*GOOD[name])) == []


@pytest.mark.parametrize("name", BAD)
def test_streams_that_are_not_are_caught(name: str) -> None:
    check, lines = BAD[name]
    assert check(history_of(*lines))


def test_a_history_is_the_same_after_it_was_written_down(tmp_path: Path) -> None:
    lines: tuple[Line, ...] = (
        *LOG, BEGAN, FIRST, PENDING, QUIET,
        strongly("b", {"x": 2}, (2.5, 3.125), revision=2, expects=(expects("x", 1, 1),)),
        read({"x": version(2, 2), "y": pending(3, "edge", 1), "z": None}, (4, 5), 2,
             seen={"edge": 1}, within_ms=500, staleness_ms=3),
        Conflict(space=SPACE, revision=2, path=named("x"), field="n", kind="concurrent"),
        Final(door="hub", space=SPACE, place=at(3), digests={"things": (-7, 2)}),
    )  # fmt: skip
    file = tmp_path / "history.jsonl"
    lines_of.save(file, lines)
    assert lines_of.load(file) == history_of(*lines)


def test_an_empty_history_breaks_nothing() -> None:
    assert judge(History()) == []
    assert len(CHECKS) == 21
