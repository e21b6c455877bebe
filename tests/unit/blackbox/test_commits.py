"""The log, what became of commits, and the end: what is caught, what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.blackbox.checks import commits, eventual, judge, log
from tests.blackbox.history import UNKNOWN, Conflict, Final, History, Line, history_of
from tests.unit.blackbox.lines import SPACE, at, decided, named, strongly, wrote

ONE, TWO = decided(1, "a", {"x": 1}), decided(2, "b", {"x": 2})
A = wrote("a", {"x": 1}, (0, 1), revision=1)
LOST = decided(2, "b", {}, outcome="superseded")
ROW = Conflict(space=SPACE, revision=2, path=named("x"), field="n", kind="concurrent")
OPEN = replace(ROW, state="open")


def final(door: str, revision: int, *, waiting: int = 0, digest: int = 7) -> Final:
    tallies = {"things": (digest, 1)}
    return Final(door=door, space=SPACE, place=at(revision), pending=waiting, digests=tallies)


GOOD: dict[str, tuple[Line, ...]] = {
    "decided as told": (ONE, TWO, A, wrote("b", {"x": 2}, (2, 3), revision=2)),
    "pending first, decided later": (
        ONE, decided(2, "b", {"x": 2}, origin="edge", seq=1),
        wrote("b", {"x": 2}, (0, 1), door="edge", origin="edge", seq=1),
    ),
    "refused, and nowhere": (ONE, A, wrote("b", {}, (2, 3), status="refused", reason="DISK_FULL")),
    "unanswered, then refused: it may have come through": (
        ONE, TWO, wrote("b", {"x": 2}, (2, 3), status=UNKNOWN),
        wrote("b", {"x": 2}, (4, 5), status="refused", reason="HUB_UNREACHABLE"),
    ),
    "a strong one refused by the hub has its number in the log, and nothing else": (
        ONE, A, decided(2, "b", {}, outcome="rejected"),
        strongly("b", {"x": 2}, (2, 3), status="refused", reason="REVISION_MISMATCH"),
    ),
    "a strong one refused, of which a row is kept that waits for nobody": (
        ONE, A, decided(2, "b", {}, outcome="rejected"), ROW,
        strongly("b", {"x": 2}, (2, 3), status="refused", reason="REVISION_MISMATCH"),
    ),
    "a strong one that came too late": (
        ONE, A, decided(2, "b", {}, outcome="rejected"),
        strongly("b", {"x": 2}, (2, 3), status=UNKNOWN, reason="OUTCOME_UNKNOWN"),
    ),
    "a repeat without effect": (ONE, TWO, decided(3, "a", {}), A),
    "lost against another, and named": (ONE, LOST, ROW, wrote("b", {"x": 2}, (2, 3), door="edge")),
    "a cause handed on without a session": (
        decided(1, "b", {"x": 2}, seen={"edge": 1}), wrote("b", {"x": 2}, (2, 3), revision=1),
        decided(2, "a", {"x": 1}, origin="edge", seq=1),
    ),
    "all agree": (ONE, final("hub", 1), final("edge-1", 1), final("edge-2", 1)),
    "a new epoch goes on with the revisions": (ONE, decided(2, "b", {"x": 2}, epoch=2)),
}  # fmt: skip

Check = Callable[[History], list[str]]

BAD: dict[str, tuple[Check, tuple[Line, ...]]] = {
    "a gap in the revisions": (log.gapless, (ONE, decided(3, "c", {"x": 3}, seq=2))),
    "a revision twice": (log.gapless, (ONE, decided(1, "b", {"x": 2}, seq=2))),
    "a gap in an origin's seqs": (log.gapless, (ONE, decided(2, "b", {"x": 2}, seq=3))),
    "an origin's seqs out of order": (
        log.gapless, (decided(1, "b", {"x": 2}, seq=2), decided(2, "a", {"x": 1}, seq=1)),
    ),
    "a commit with two effects": (log.once, (ONE, TWO, decided(3, "a", {"x": 1}))),
    "one commit by two doors": (
        log.once, (ONE, decided(2, "a", {"x": 1}, origin="edge", seq=1)),
    ),
    "a base that comes after": (log.causes_come_first, (ONE, decided(2, "b", {"x": 2}, base=2))),
    "a cause that comes after": (
        log.causes_come_first,
        (decided(1, "b", {"x": 2}, seen={"edge": 1}),
         decided(2, "a", {"x": 1}, origin="edge", seq=1)),
    ),
    "acknowledged and nowhere": (
        commits.acknowledged_are_decided, (ONE, A, wrote("b", {"x": 2}, (2, 3), door="edge")),
    ),
    "acknowledged at another revision": (
        commits.acknowledged_are_decided, (ONE, TWO, wrote("b", {"x": 2}, (2, 3), revision=1)),
    ),
    "acknowledged as applied, and superseded": (
        commits.acknowledged_are_decided,
        (ONE, LOST, ROW, wrote("b", {"x": 2}, (2, 3), revision=2)),
    ),
    "refused, and there": (
        commits.refused_never_appear, (ONE, wrote("a", {"x": 1}, (0, 1), status="refused")),
    ),
    "refused at two doors, and there": (
        commits.refused_never_appear,
        (ONE, wrote("a", {"x": 1}, (0, 1), status="refused", door="edge"),
         wrote("a", {"x": 1}, (2, 3), status="refused")),
    ),
    "a strong one refused, and in the inbox": (
        commits.refused_never_appear,
        (ONE, decided(2, "b", {}, outcome="rejected"), OPEN,
         strongly("b", {"x": 2}, (2, 3), status="refused", reason="REVISION_MISMATCH")),
    ),
    "lost against another, and not named": (
        commits.losers_are_named, (ONE, LOST, wrote("b", {"x": 2}, (2, 3), door="edge")),
    ),
    "rejected, and kept nowhere": (
        commits.losers_are_named,
        (ONE, decided(2, "b", {}, outcome="rejected"), wrote("b", {"x": 2}, (2, 3), door="edge")),
    ),
    "applied without its content": (
        commits.losers_are_named, (ONE, decided(2, "b", {"x": 7}), wrote("b", {"x": 2}, (2, 3))),
    ),
    "declared lost": (
        commits.losers_are_named,
        (ONE, decided(2, "b", {}, outcome="lost"), wrote("b", {"x": 2}, (2, 3), door="edge")),
    ),
    "an outbox that is not empty": (
        eventual.all_agree, (ONE, final("hub", 1), final("edge", 1, waiting=3)),
    ),
    "an edge that is behind": (eventual.all_agree, (ONE, TWO, final("hub", 2), final("edge", 1))),
    "digests that differ": (eventual.all_agree, (ONE, final("hub", 1), final("edge", 1, digest=8))),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_is_as_promised_passes(name: str) -> None:
    assert judge(history_of(*GOOD[name])) == []


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_is_caught(name: str) -> None:
    check, lines = BAD[name]
    assert check(history_of(*lines))
