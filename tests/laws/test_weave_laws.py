"""Edges and a hub that edit one text: every end knows exactly what the others have."""

from __future__ import annotations

from random import Random

import pytest

from sync.transform import SpliceMismatch, splice, transform
from sync.weave import MAX_STRANDS, Bridge, Undecided
from tests.laws.text_fleet import Hub, run
from tests.unit.sync.test_transform import all_edits


@pytest.mark.promise("rule.text-list.properties")
@pytest.mark.parametrize("seed", range(300))
def test_every_edge_ends_with_the_text_of_the_hub(seed: int) -> None:
    hub, edges = run(Random(seed), 10 + seed % 60)
    assert {edge.shown for edge in edges} == {hub.texts[-1]}
    assert all(edge.undecided.even for edge in edges)
    inserted, deleted = _units(hub)
    assert len(hub.texts[-1]) == len(inserted) - deleted, "nothing is lost, and nothing doubled"
    assert not set(hub.texts[-1]) - set(inserted)


def _units(hub: Hub) -> tuple[list[str], int]:
    inserted: list[str] = list(hub.texts[0])  # type: ignore[arg-type]
    deleted = 0
    for decision in hub.log:
        for part in decision.effect.runs if decision.effect else ():
            if isinstance(part, int):
                deleted += max(0, -part)
            else:
                inserted += part  # type: ignore[arg-type]
    return inserted, deleted


def test_one_edit_over_one_other_is_what_the_algebra_says() -> None:
    for length in range(4):
        for mine in all_edits(length, ("x",)):
            for yours in all_edits(length, ("y",)):
                later, yours_later = transform(mine, yours)
                bridge = Bridge.over(length, 0)
                bridge.foreign(yours, 1)
                assert bridge.own(mine) == later
                shown = Undecided.over(length)
                shown.own(mine, 1)
                shown.foreign(yours)
                assert shown.written(1) == later
                assert shown.length == yours_later.after


def test_a_deleted_unit_keeps_two_insertions_apart() -> None:
    """A composition of the two foreign edits would have forgotten which side of `b` was meant."""
    bridge = Bridge.over(1, 0)
    bridge.foreign(splice([1, "Y"]), 1)
    bridge.foreign(splice([-1, 1]), 2)
    assert bridge.own(splice(["X", 1])) == splice(["X", 1])


def test_an_edit_of_another_length_is_refused() -> None:
    for written in (splice([2]), splice([4, "x"])):
        with pytest.raises(SpliceMismatch):
            Bridge.over(3, 0).own(written)
        with pytest.raises(SpliceMismatch):
            Undecided.over(3).own(written, 1)
    with pytest.raises(SpliceMismatch):
        Bridge.over(3, 0).foreign(splice([4, "x"]), 1)


def test_two_versions_do_not_differ_without_bound() -> None:
    bridge = Bridge.over(MAX_STRANDS, 0)
    with pytest.raises(SpliceMismatch, match="places"):
        bridge.foreign(splice(run for _ in range(MAX_STRANDS) for run in ("x", 1)), 1)


def test_a_weave_survives_being_written_down() -> None:
    bridge = Bridge.over(3, 0)
    bridge.foreign(splice([1, "xy", -1, 1]), 4)
    again = Bridge(bridge.base, [tuple(strand) for strand in bridge.strands])
    assert again.own(splice([2, "z", 1])) == bridge.own(splice([2, "z", 1]))
    assert not again.even
    again.advance(4)
    assert again.even
