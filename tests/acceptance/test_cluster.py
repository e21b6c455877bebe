"""Three hub processes on one PostgreSQL and eight edges, all real: clients wander between all doors
while a hub is killed and another is frozen. What everybody was told is then judged by all checkers.

Longer runs: `make simulate-real ARGS="--seconds 300 --seed 7"`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.blackbox.checks import judge, search
from tests.blackbox.history import BOUNDED, OK, STRONG, History, save
from tests.cluster.plan import FREEZE, KILL, Plan, Strike
from tests.cluster.run import Result, run

pytestmark = [pytest.mark.acceptance, pytest.mark.needs_postgres]

PLAN = Plan(
    seconds=9.0,
    gap_s=0.1,
    patience_s=2.0,
    strikes=(Strike(1.0, KILL, 0, 0.5), Strike(4.0, FREEZE, 1, 4.0)),
)
"""The frozen hub answers late, when its clients have given up. Longer than the hub's and the edges'
own time-outs it is frozen in the long runs only."""


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.promise("hub.several-processes")
@pytest.mark.promise("seen.strong")
@pytest.mark.promise("seen.bounded")
@pytest.mark.promise("seen.session")
@pytest.mark.promise("session.roaming")
@pytest.mark.promise("seen.origin-order")
@pytest.mark.promise("seen.atomic")
@pytest.mark.promise("seen.converged")
@pytest.mark.promise("watch.ordered")
@pytest.mark.promise("watch.unique")
@pytest.mark.promise("watch.reliable")
@pytest.mark.promise("watch.atomic")
@pytest.mark.promise("watch.resumable")
@pytest.mark.promise("watch.bookmarks")
async def test_hubs_killed_and_frozen_in_turn(postgres_dsn: str, tmp_path: Path) -> None:
    said: list[str] = []
    result = await run(PLAN, postgres_dsn, tmp_path, said.append)
    save(tmp_path / "history.jsonl", result.history.lines())
    print(*said, result.summary(), sep="\n")
    assert result.problems == [], tmp_path
    _check_that_much_was_seen(result)
    _check_that_lies_are_caught(result.history)


def _check_that_much_was_seen(result: Result) -> None:
    """A run in which nothing happens shows nothing."""
    history = result.history
    assert {mark.what for mark in history.marks} >= {KILL, FREEZE, "back", "calm", "quiet"}
    assert search.searched(history) > 20
    strong = {one.door for one in history.commits if (one.level, one.status) == (STRONG, OK)}
    assert len([door for door in strong if door.startswith("edge")]) > PLAN.edges / 2
    assert any(one.level == BOUNDED and one.status == OK for one in history.reads)
    assert len({read.door for read in history.reads if read.status == OK}) > PLAN.edges / 2
    assert len({line.door for line in history.told if line.what == "commit"}) == PLAN.hubs + 3


def _check_that_lies_are_caught(history: History) -> None:
    """The same history, changed in one place, is found out: the checkers had something to see."""
    for name, lie in LIES.items():
        assert f"[{name}]" in " ".join(judge(lie(history), [name]))


def _an_old_value_read(history: History) -> History:
    """A strong read is answered with what the register held at first."""
    reads = [one for one in history.reads if one.level == STRONG and one.status == OK]
    old = {read.paths: read.records for read in reversed(reads)}
    last = next(one for one in reversed(reads) if one.records != old[one.paths])
    lie = replace(last, records=old[last.paths])
    return replace(history, reads=[lie if one is last else one for one in history.reads])


def _a_state_of_long_ago(history: History) -> History:
    """A bounded read is answered with the first revision."""
    told = [one for one in history.reads if one.level == BOUNDED and one.status == OK]
    lie = replace(told[-1], place=(1, 1))
    return replace(history, reads=[lie if one is told[-1] else one for one in history.reads])


def _one_not_told(history: History) -> History:
    """A watcher misses a commit."""
    commits = [one for one in history.told if one.what == "commit"]
    missed = commits[len(commits) // 2]
    return replace(history, told=[one for one in history.told if one is not missed])


def _one_forgotten(history: History) -> History:
    """An acknowledged commit is not in the log."""
    told = {one.commit_id for one in history.commits if one.status == OK}
    gone = next(one for one in reversed(history.decided) if one.commit_id in told)
    return replace(history, decided=[one for one in history.decided if one is not gone])


def _a_gap(history: History) -> History:
    gone = history.decided[len(history.decided) // 2]
    return replace(history, decided=[one for one in history.decided if one is not gone])


LIES: dict[str, Callable[[History], History]] = {
    "strong by witness": _an_old_value_read,
    "strong by search": _an_old_value_read,
    "bounded": _a_state_of_long_ago,
    "watch": _one_not_told,
    "acknowledged": _one_forgotten,
    "gapless": _a_gap,
}
