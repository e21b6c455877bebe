"""The four guarantees of sessions, and causes: what is caught, what is not."""

from __future__ import annotations

import pytest

from tests.blackbox.checks import judge, sessions
from tests.blackbox.history import UNKNOWN, Line, history_of
from tests.unit.blackbox.lines import decided, pending, read, version, wrote

ONE, TWO = decided(1, "a", {"x": 1}), decided(2, "b", {"x": 2})
AT_EDGE = decided(2, "b", {"x": 2}, origin="edge", seq=1, base=1)
B_AT_EDGE = wrote("b", {"x": 2}, (2, 3), session="s", door="edge", origin="edge", seq=1, place=1)

GOOD: dict[str, tuple[Line, ...]] = {
    "reads go forward": (
        ONE, TWO, read({"x": version(1, 1)}, (0, 1), 1, session="s"),
        read({"x": version(2, 2)}, (2, 3), 2, session="s"),
    ),
    "two sessions need not agree": (
        ONE, TWO, read({"x": version(2, 2)}, (0, 1), 2, session="s"),
        read({"x": version(1, 1)}, (2, 3), 1, session="t"),
    ),
    "requests at the same time need not agree": (
        ONE, TWO, read({"x": version(2, 2)}, (0, 5), 2, session="s"),
        read({"x": version(1, 1)}, (1, 4), 1, session="s"),
    ),
    "one's own pending write is seen": (
        ONE, AT_EDGE, B_AT_EDGE,
        read({"x": pending(2, "edge", 1)}, (4, 5), 1, session="s", seen={"edge": 1}),
    ),
    "it is seen elsewhere once it is decided": (
        ONE, AT_EDGE, B_AT_EDGE, read({"x": version(2, 2, origin="edge", seq=1)}, (4, 5), 2,
                                      session="s", door="other"),
    ),
    "a retry is told the first result": (
        ONE, TWO, wrote("a", {"x": 1}, (0, 1), session="s", status=UNKNOWN),
        wrote("b", {"x": 2}, (2, 3), session="s", revision=2),
        wrote("a", {"x": 1}, (4, 5), session="s", revision=1, place=2),
    ),
}  # fmt: skip

FALLS: dict[str, tuple[Line, ...]] = {
    "at another door": (
        ONE, TWO, read({"x": version(2, 2)}, (0, 1), 2, session="s"),
        read({"x": version(1, 1)}, (2, 3), 1, session="s", door="other"),
    ),
    "behind its own write": (
        ONE, TWO, wrote("b", {"x": 2}, (0, 1), session="s", revision=2),
        read({"x": version(1, 1)}, (2, 3), 1, session="s"),
    ),
}  # fmt: skip

UNREAD: dict[str, tuple[Line, ...]] = {
    "its pending write, at another edge": (
        ONE, AT_EDGE, B_AT_EDGE, read({"x": version(1, 1)}, (4, 5), 1, session="s", door="other"),
    ),
    "its pending write, which the door has dropped": (
        ONE, AT_EDGE, B_AT_EDGE, read({"x": version(1, 1)}, (4, 5), 1, session="s"),
    ),
    "what it had read as pending": (
        ONE, AT_EDGE,
        read({"x": pending(2, "edge", 1)}, (2, 3), 1, session="t", seen={"edge": 1}),
        read({"x": version(1, 1)}, (4, 5), 1, session="t", door="other"),
    ),
}  # fmt: skip

BEFORE: dict[str, tuple[Line, ...]] = {
    "its second write before its first": (
        decided(1, "b", {"y": 2}), decided(2, "a", {"x": 1}, origin="edge", seq=1),
        wrote("a", {"x": 1}, (0, 1), session="s", door="edge", origin="edge", seq=1),
        wrote("b", {"y": 2}, (2, 3), session="s", revision=1),
    ),
    "a write before the pending one that it had read": (
        decided(1, "b", {"y": 2}), decided(2, "a", {"x": 1}, origin="edge", seq=1),
        read({"x": pending(1, "edge", 1)}, (0, 1), 0, session="s", seen={"edge": 1}),
        wrote("b", {"y": 2}, (2, 3), session="s", revision=1),
    ),
    "a write before the state that it had read": (
        ONE, TWO, read({"x": version(2, 2)}, (0, 1), 2, session="s"),
        wrote("a", {"x": 1}, (2, 3), session="s", revision=1, place=2),
    ),
}  # fmt: skip

LOG = (ONE, TWO, decided(3, "c", {"y": 3}, origin="edge", seq=1, base=2))
REPLY = (
    read({"x": version(2, 2)}, (0, 1), 2, session="s", door="edge"),
    wrote("c", {"y": 3}, (2, 3), session="s", door="edge", origin="edge", seq=1, place=2),
)
UNCAUSED: dict[str, tuple[Line, ...]] = {
    "an answer without the question": (
        *LOG, *REPLY, read({"y": pending(3, "edge", 1)}, (4, 5), 1, seen={"edge": 1}),
    ),
    "an answer without a pending question": (
        decided(1, "q", {"x": 1}, origin="other", seq=1),
        decided(2, "c", {"y": 3}, origin="edge", seq=1),
        read({"x": pending(1, "other", 1)}, (0, 1), 0, session="s", seen={"other": 1}),
        wrote("c", {"y": 3}, (2, 3), session="s", door="edge", origin="edge", seq=1),
        read({"y": pending(3, "edge", 1)}, (4, 5), 0, seen={"edge": 1}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_sessions_allow_passes(name: str) -> None:
    assert judge(history_of(*GOOD[name])) == []


@pytest.mark.parametrize("name", FALLS)
def test_a_position_that_falls_is_caught(name: str) -> None:
    assert sessions.positions_never_fall(history_of(*FALLS[name]))


@pytest.mark.parametrize("name", UNREAD)
def test_what_a_session_had_seen_and_reads_no_more_is_caught(name: str) -> None:
    assert sessions.writes_are_read(history_of(*UNREAD[name]))


@pytest.mark.parametrize("name", BEFORE)
def test_a_write_before_what_it_follows_is_caught(name: str) -> None:
    assert sessions.writes_follow(history_of(*BEFORE[name]))


@pytest.mark.parametrize("name", UNCAUSED)
def test_a_write_without_what_its_writer_had_seen_is_caught(name: str) -> None:
    assert sessions.causes_are_seen(history_of(*UNCAUSED[name]))


def test_whoever_sees_the_question_too_passes() -> None:
    seen = read({"y": pending(3, "edge", 1)}, (4, 5), 2, seen={"edge": 1})
    assert judge(history_of(*LOG, *REPLY, seen)) == []
