"""What must hold, told from the evidence alone.

Each checker takes the evidence and returns what breaks its promise, in words; none if all is well.
They know which kinds of faults happened only where a promise says so itself (a file that was put
back may lose what it did not have yet).
"""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.checks import commits, conflicts, housekeeping, log, state, watches
from tests.simulation.evidence import Evidence

CHECKS: dict[str, Callable[[Evidence], list[str]]] = {
    "log": log.gapless,
    "stamps": log.stamps_follow_causes,
    "once": commits.each_takes_effect_once,
    "acknowledged": commits.acknowledged_are_decided,
    "refused": commits.refused_never_appear,
    "content": commits.effects_are_what_was_asked,
    "hub state": state.hub_is_replay,
    "edge state": state.edges_are_replays,
    "conflict log": conflicts.losers_are_kept,
    "inbox": conflicts.what_waits_is_in_the_inbox,
    "tombstones": conflicts.nothing_deleted_returns,
    "watch": watches.streams_are_whole,
    "housekeeping": housekeeping.no_rebuild_and_no_alarm,
}
