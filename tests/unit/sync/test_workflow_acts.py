"""Acts on workflows are commits that the hub's own rule for work lets their node make."""

from __future__ import annotations

import pytest

from sync import workflow_acts as acts
from sync import workflow_rules as rules
from sync.authority import HUB, NOBODY, Authority, may_write
from sync.commit import Actor, ActorKind, Kind, Version
from sync.levels import Level
from sync.workflow_instances import Instance, decode
from sync.workflow_rules import Beginning, Word

EDGE, OTHER = "a" * 32, "b" * 32
WORD = Word(Actor("ann", ActorKind.HUMAN), 1_000)
AT = Version(1, 7)


def begun() -> Instance:
    return rules.begin(Beginning("job", 1), EDGE, WORD)


def lawful(act: acts.Act, node: str) -> bool:
    put = act.request
    strong = act.level is Level.STRONG
    return may_write(
        put.collection, put.key, Kind.PUT, put.value, node, act.conditions, strong=strong
    )


def every_act() -> list[acts.Act]:
    at = begun()
    return [
        acts.begins(at),
        acts.goes_on(at, AT, rules.advance(at, "run", WORD, None)),
        acts.released(at, AT, WORD),
        acts.taken(at, AT, EDGE, WORD),
    ]


@pytest.mark.parametrize("act", every_act(), ids=lambda act: act.instance.last.event)
def test_a_node_may_do_what_its_acts_say(act: acts.Act) -> None:
    assert lawful(act, EDGE)
    assert decode(act.request.value) == act.instance
    about = {(one.collection, one.key) for one in act.conditions}
    assert about == {(act.request.collection, "job@1")}


def test_each_act_has_its_own_conditions() -> None:
    begins, goes_on, released, taken = (act.conditions for act in every_act())
    assert [one.exists for one in begins] == [False]
    for held in (goes_on, released):
        assert [(one.authority, one.version) for one in held] == [(1, None), (None, AT)]
    assert [one.version for one in taken] == [AT]


def test_only_what_is_free_is_taken_without_force() -> None:
    free = acts.released(begun(), AT, WORD).instance
    assert acts.taken(free, AT, OTHER, WORD).instance.authority == Authority(OTHER, 3)
    with pytest.raises(acts.AuthorityHeld) as held:
        acts.taken(begun(), AT, HUB, WORD)
    assert held.value.metadata == {"holder": EDGE, "token": "1"}
    forced = acts.taken(begun(), AT, HUB, WORD, force=True)
    assert forced.instance.authority == Authority(HUB, 2)
    assert forced.level is Level.STRONG
    assert free.authority.holder == NOBODY


def test_nobody_gives_authority_to_another() -> None:
    given = acts.goes_on(begun(), AT, rules.handed(begun(), OTHER, "taken", WORD))
    assert not lawful(given, EDGE)
