"""What must hold, told from the evidence alone.

Each checker takes the evidence and returns what breaks its promise, in words; none if all is well.
They know which kinds of faults happened only where a promise says so itself (a file that was put
back may lose what it did not have yet).
"""

from __future__ import annotations

from collections.abc import Callable

from tests.blackbox import checks as blackbox
from tests.simulation import outside
from tests.simulation.checks import (
    accounting,
    commits,
    conflicts,
    housekeeping,
    log,
    state,
    watches,
)
from tests.simulation.evidence import Evidence

CHECKS: dict[str, Callable[[Evidence], list[str]]] = {
    "stamps": log.stamps_follow_causes,
    "one id": commits.each_has_one_id,
    "lost": commits.none_is_declared_lost,
    "strangers": commits.nobody_else_writes,
    "content": commits.effects_are_what_was_asked,
    "hub state": state.hub_is_replay,
    "edge state": state.edges_are_replays,
    "conflict log": conflicts.losers_are_kept,
    "inbox": conflicts.what_waits_is_in_the_inbox,
    "tombstones": conflicts.nothing_deleted_returns,
    "watch refused": watches.refused_for_a_reason,
    "accounting": accounting.nothing_is_unaccounted_for,
    "housekeeping": housekeeping.no_rebuild_and_no_alarm,
}

FROM_OUTSIDE = tuple(
    name for name in blackbox.CHECKS if name not in ("bookmarks", "agree", "losers", "provable")
)
"""The checkers of histories; the names left out are judged from the files here."""


def judge(found: Evidence) -> list[tuple[str, str]]:
    """What all checkers say: (name of the promise, what breaks it)."""
    problems = [(name, text) for name, check in CHECKS.items() for text in check(found)[:10]]
    history = outside.history_of(found)
    left_out = outside.unpromised(found.kinds)
    for name in (name for name in FROM_OUTSIDE if name not in left_out):
        problems += [(name, text) for text in blackbox.CHECKS[name](history)[:10]]
    return problems
