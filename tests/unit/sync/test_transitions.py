"""The tables of states."""

from __future__ import annotations

import typing

import pytest

from sync import messages as m
from sync.transitions import EDGE, EDGE_STEPS, HUB, ProtocolViolation, State, advance, diagram

HUB_TAKES = (
    *(m.Push, m.VoidRange, m.CompareIds, m.Credit, m.CursorReport, m.EdgeHeartbeat),
    m.AskDecided,
)

TABLES = {"edge": (EDGE, m.HubMessage), "hub": (HUB, m.EdgeMessage)}


@pytest.mark.parametrize("side", TABLES)
def test_every_message_is_allowed_somewhere_and_nothing_else_is(side: str) -> None:
    table, union = TABLES[side]
    allowed = {kind for row in table.values() for kind in row}
    assert allowed == set(typing.get_args(union))


@pytest.mark.parametrize("side", TABLES)
def test_goodbye_is_always_allowed_and_nothing_is_after_it(side: str) -> None:
    table, _ = TABLES[side]
    assert table[State.CLOSED] == {}
    assert all(row[m.Goodbye] is State.CLOSED for state, row in table.items() if row)


def test_what_a_state_does_not_have_is_a_violation_with_its_name() -> None:
    with pytest.raises(ProtocolViolation, match="Goodbye while closed") as caught:
        advance(HUB, State.CLOSED, m.Goodbye("GONE"))
    assert caught.value.reason == "PROTOCOL_VIOLATION"


def test_the_diagrams_are_drawn_from_the_tables() -> None:
    assert diagram(HUB).splitlines() == [
        "stateDiagram-v2",
        "    greeting --> streaming: Hello",
        "    greeting --> closed: Goodbye",
        f"    streaming --> streaming: {', '.join(kind.__name__ for kind in HUB_TAKES)}",
        "    streaming --> closed: Goodbye",
    ]
    drawn = diagram(EDGE, EDGE_STEPS)
    assert drawn == diagram(EDGE, EDGE_STEPS)
    assert "    greeting --> comparing: Welcome" in drawn
    assert drawn.endswith("    comparing --> streaming: ids agree")
