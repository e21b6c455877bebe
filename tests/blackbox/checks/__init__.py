"""What must hold of a history. Each checker returns, in words, what breaks its promise.

Trust is spread: some checkers go by the positions and versions in answers, and hold them against
the log; others (`search`, `pairs`, `one stream`) look at values and times alone, so that a system
that lies about its revisions is found out as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.blackbox.checks import (
    bounded,
    commits,
    eventual,
    log,
    prefix,
    search,
    sessions,
    strong,
    watches,
)
from tests.blackbox.history import History

CHECKS: dict[str, Callable[[History], list[str]]] = {
    "gapless": log.gapless,
    "once": log.once,
    "causes first": log.causes_come_first,
    "acknowledged": commits.acknowledged_are_decided,
    "refused": commits.refused_never_appear,
    "losers": commits.losers_are_named,
    "states": prefix.reads_are_states,
    "whole": prefix.commits_are_whole,
    "pairs": prefix.pairs_agree,
    "strong by witness": strong.by_witness,
    "strong by search": search.by_search,
    "bounded": bounded.hold_what_was_acknowledged,
    "provable": bounded.provable_when_calm,
    "monotonic": sessions.positions_never_fall,
    "own writes": sessions.writes_are_read,
    "writes follow": sessions.writes_follow,
    "causes seen": sessions.causes_are_seen,
    "watch": watches.streams_are_whole,
    "bookmarks": watches.ends_are_bookmarked,
    "one stream": watches.all_saw_one_stream,
    "agree": eventual.all_agree,
}

MOST = 5
"""Findings of one checker; the first tell what the others would repeat."""


def judge(history: History, names: Iterable[str] = CHECKS) -> list[str]:
    """What breaks the promises of these names."""
    return [f"[{name}] {text}" for name in names for text in CHECKS[name](history)[:MOST]]
