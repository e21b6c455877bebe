"""What each rule makes of two writes that did not know of each other, and what it leaves alone."""

from __future__ import annotations

import pytest

from holdfast.reasons import REASONS
from sync.commit import ActorKind, Kind
from sync.context import parts_of
from sync.policy import InvalidPolicy, Policies, parse_collection
from sync.rules import RULES
from sync.ruling import Rule
from tests.unit.sync.rules import (
    Decision,
    Table,
    create,
    delete,
    patch,
    remove,
    set_add,
    set_remove,
)

HUMAN, ROBOT, AI = ActorKind.HUMAN, ActorKind.ROBOT, ActorKind.AI


def table(rule: str, more: str = "") -> Table:
    """A record with x, written by A, under a rule for x."""
    text = f'{{"fields":{{"x":{rule}}}{more}}}'
    return Table(Policies().with_record("robots", text.encode(), revision=77))


def begun(rule: str, value: str, more: str = "") -> Table:
    made = table(rule, more)
    made.decide("A", create(f'{{"x":{value}}}'))
    return made


def met(made: Table, ours: str, theirs: str, **more: object) -> Decision:
    """B and C write x, neither having seen the other; C comes later."""
    made.decide("B", patch(f'{{"x":{ours}}}'), base=1)
    return made.decide("C", patch(f'{{"x":{theirs}}}'), base=1, **more)  # type: ignore[arg-type]


@pytest.mark.promise("rule.first")
def test_the_first_stands_and_who_has_seen_it_may_write_over_it() -> None:
    made = begun('"first"', "0")
    decided = met(made, "1", "2", stamp=99)
    assert (decided.kind, made.live()) == ("superseded", '{"x":1}')
    (conflict,) = decided.conflicts
    assert (conflict.winner, conflict.algorithm, conflict.version) == ("ours", "first", 77)
    assert (conflict.theirs_value, conflict.base, conflict.state) == (b"2", 1, "auto")
    assert made.decide("C", patch('{"x":3}')).kind == "applied"
    assert made.live() == '{"x":3}'


@pytest.mark.promise("rule.max-min")
@pytest.mark.promise("merge.numbers-survive")
@pytest.mark.parametrize(
    ("rule", "ours", "theirs", "stands"),
    [
        ("max", "5", "7", "7"), ("max", "7", "5", "7"), ("min", "5", "7", "5"),
        ("max", "9007199254740993", "9007199254740992", "9007199254740993"),
        ("max", "9007199254740992", "9007199254740993", "9007199254740993"),
        ("max", "1", "1.0", "1"), ("min", "1.0", "1", "1.0"), ("max", "-1e300", "-2", "-2"),
    ],
)  # fmt: skip
def test_watermarks_are_compared_exactly(rule: str, ours: str, theirs: str, stands: str) -> None:
    made = table(f'"{rule}"')
    made.decide("A", create("{}"))
    met(made, ours, theirs)
    assert made.live() == f'{{"x":{stands}}}'


@pytest.mark.promise("rule.max-min")
def test_a_mark_stays_reached_also_for_one_who_has_seen_it() -> None:
    made = begun('"max"', "5")
    decided = made.decide("B", patch('{"x":3}'))
    assert (decided.kind, made.live()) == ("superseded", '{"x":5}')
    made.decide("B", remove("x"))
    made.decide("B", patch('{"x":3}'))
    assert made.live() == '{"x":3}'


@pytest.mark.promise("rule.set")
def test_an_addition_wins_over_a_removal_that_had_not_seen_it() -> None:
    made = begun('"set"', '["a","b"]')
    made.decide("B", set_add('{"x":["a","c"]}'), base=1)
    decided = made.decide("C", set_remove('{"x":["a","b"]}'), base=1)
    assert (decided.kind, made.live()) == ("superseded", '{"x":["a","c"]}')
    assert decided.payloads == (b'{"x":["b"]}',)
    assert decided.conflicts[0].ours_value == b'["a"]'
    assert made.decide("C", set_remove('{"x":["a"]}')).kind == "applied"
    assert made.live() == '{"x":["c"]}'


@pytest.mark.promise("rule.set")
def test_a_set_written_as_a_whole_takes_away_what_its_author_saw() -> None:
    made = begun('"set"', '["a","b"]')
    made.decide("B", set_add('{"x":["c"]}'), base=1)
    decided = made.decide("C", patch('{"x":["b","d"]}'), base=1)
    assert (decided.kind, made.live()) == ("merged", '{"x":["b","c","d"]}')


@pytest.mark.promise("rule.rank")
def test_the_later_in_the_order_stands_and_what_is_not_in_it_asks() -> None:
    rule = '{"rule":"rank","order":["new","busy","done"]}'
    made = begun(rule, '"new"')
    decided = met(made, '"done"', '"busy"', stamp=99)
    assert (decided.kind, made.live()) == ("superseded", '{"x":"done"}')
    made = begun(rule, '"new"')
    assert (met(made, '"busy"', '"done"').kind, made.live()) == ("merged", '{"x":"done"}')
    made = begun(rule, '"new"')
    decided = met(made, '"busy"', '"gone"')
    conflict = decided.conflicts[0]
    assert (conflict.kind, conflict.state, made.live()) == ("rule_raised", "open", '{"x":"busy"}')


@pytest.mark.promise("rule.priority")
@pytest.mark.parametrize("human_first", [True, False])
def test_a_human_goes_before_a_robot_whoever_comes_first(human_first: bool) -> None:
    made = begun('{"rule":"priority"}', '"idle"')
    writes = [("B", HUMAN, '{"x":"stop"}'), ("C", ROBOT, '{"x":"run"}')]
    for letter, kind, text in writes if human_first else reversed(writes):
        made.decide(letter, patch(text), base=1, kind=kind)
    assert made.live() == '{"x":"stop"}'
    made.decide("D", patch('{"x":"go"}'), kind=AI)
    assert made.live() == '{"x":"go"}', "who has seen it may write over it"


@pytest.mark.promise("rule.owner")
def test_only_the_owner_writes_also_where_nothing_is_concurrent() -> None:
    made = begun('{"rule":"owner","kind":"robot"}', "1")
    for op in (patch('{"x":2,"y":1}'), remove("x")):
        decided = made.decide("B", op, kind=HUMAN)
        assert (decided.outcome.reason, decided.kinds) == ("REFUSED_BY_RULE", (Kind.NONE,))
        assert decided.conflicts[0].state == "open"
    assert made.decide("B", patch('{"y":1}'), kind=HUMAN).kind == "applied"
    assert made.decide("B", patch('{"x":2}'), kind=ROBOT).kind == "applied"
    assert made.live() == '{"x":2,"y":1}'


@pytest.mark.promise("rule.siblings")
@pytest.mark.promise("merge.siblings-only-by-who-saw")
def test_siblings_stay_until_one_who_saw_them_writes() -> None:
    made = begun('"siblings"', "0")
    decided = met(made, "1", "2")
    assert (decided.kind, made.live()) == ("merged", '{"x":{"$siblings":[1,2]}}')
    assert (decided.conflicts[0].winner, decided.conflicts[0].state) == ("merged", "open")
    assert len(parts_of(made.record().parts["x"])) == 3
    # B has seen its own, and not C's.
    made.decide("B", patch('{"x":3}'), base=1, seen=1)
    assert made.live() == '{"x":{"$siblings":[2,3]}}'
    made.decide("D", remove("x"), base=1)
    assert made.live() == '{"x":{"$siblings":[2,3]}}'
    assert made.decide("D", patch('{"x":4}')).kind == "applied"
    assert made.live() == '{"x":4}'


@pytest.mark.promise("rule.ask")
def test_what_stands_stays_and_a_person_is_asked() -> None:
    made = begun('"ask"', "0")
    decided = met(made, "1", "2", stamp=99)
    assert (decided.kind, made.live()) == ("superseded", '{"x":1}')
    assert (decided.conflicts[0].algorithm, decided.conflicts[0].state) == ("ask", "open")


SUM = '{"rule":"expr","expr":"base == null ? CONFLICT : ours + theirs - base"}'


@pytest.mark.promise("rule.expr")
def test_an_expression_makes_one_value_of_what_both_made_of_the_base() -> None:
    made = begun(SUM, "100")
    decided = met(made, "110", "90")
    assert (decided.kind, made.live()) == ("merged", '{"x":100}')
    (conflict,) = decided.conflicts
    assert (conflict.winner, conflict.result, conflict.state) == ("merged", b"100", "auto")
    # C has seen its own and not B's, which is still in the value.
    assert made.decide("C", patch('{"x":95}'), base=1, seen=1).conflicts


@pytest.mark.promise("rule.expr")
@pytest.mark.promise("merge.bad-value-never-stalls")
@pytest.mark.parametrize(
    ("expression", "ours", "theirs"),
    [
        ("ours + theirs", "1", '"a"'),
        ("ours + theirs", "9223372036854775807", "1"),
        ("ours", "36893488147419103232", "1"),
        ("theirs", "1", "1.10"),
        ("1.0 / 0.0", "1", "2"),
        ("duration('1s')", "1", "2"),
        ("ours.nothing", "1", "2"),
        ("ours.all(x, x > 0)", "[1]", "[" + ",".join(["1"] * 600) + "]"),
    ],
)
def test_a_rule_that_gives_no_answer_opens_a_conflict(
    expression: str, ours: str, theirs: str
) -> None:
    if "all(" in expression:
        expression = expression.replace("ours", "theirs")
    made = begun(f'{{"rule":"expr","expr":"{expression}"}}', "0")
    decided = met(made, ours, theirs)
    (conflict,) = decided.conflicts
    assert (conflict.kind, conflict.state, decided.kind) == ("rule_raised", "open", "superseded")
    assert conflict.reason == "RULE_UNDECIDED"
    assert conflict.reason in REASONS
    assert conflict.detail
    assert made.live() == f'{{"x":{ours}}}'
    assert made.decide("D", patch('{"y":1}')).kind == "applied"


@pytest.mark.promise("rule.expr")
def test_conflict_leaves_it_to_a_person_and_actors_are_known() -> None:
    made = begun('{"rule":"expr","expr":"actors.theirs == \'human\' ? theirs : CONFLICT"}', "0")
    decided = met(made, "1", "2", kind=AI)
    assert (decided.conflicts[0].state, made.live()) == ("open", '{"x":1}')
    assert made.decide("D", patch('{"x":3}'), base=1, kind=HUMAN).kind == "merged"
    assert made.live() == '{"x":3}'


@pytest.mark.promise("invariant.refuses-merge")
def test_a_merge_that_breaks_an_invariant_is_refused_whole_and_the_state_before_stands() -> None:
    made = begun('"lww"', "6", ',"invariants":{"fits":"value.x + value.y <= 10"}')
    assert made.live() is None, "one that gives no answer is not kept"
    made = table('"lww"', ',"invariants":{"fits":"value.x + value.y <= 10"}')
    made.decide("A", create('{"x":5,"y":5}'))
    made.decide("B", patch('{"x":0,"y":9}'))
    before = made.live()
    decided = made.decide("C", patch('{"x":4}'), create("{}", key="r2"), base=1)
    assert (decided.outcome.reason, made.live()) == ("INVARIANT_BROKEN", before)
    assert made.live("r2") is None
    conflict = decided.conflicts[0]
    assert (conflict.kind, conflict.state, conflict.algorithm) == (
        "invariant", "open", "invariant fits",
    )  # fmt: skip
    assert conflict.ours_value == (before or "").encode()


@pytest.mark.promise("delete.against-edit")
@pytest.mark.parametrize("rule", ['"max"', '"set"', '"siblings"', '"first"', '{"rule":"priority"}'])
@pytest.mark.parametrize("wins", ["delete_wins", "edit_wins"])
def test_deletion_against_edit_is_the_collections_to_decide_whatever_the_rule(
    rule: str, wins: str
) -> None:
    value = '["a"]' if rule == '"set"' else "1"
    made = begun(rule, value, f',"deletes":"{wins}"')
    made.decide("B", delete(), base=1)
    decided = made.decide("C", patch('{"y":1}'), base=1)
    assert decided.conflicts[0].kind == "delete_edit"
    live = None if wins == "delete_wins" else f'{{"x":{value},"y":1}}'
    assert made.live() == live


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"rule":"rank"}', "rule: order"),
        ('{"fields":{"s":{"rule":"rank","order":["a","b","a"]}}}', "fields.s: order.*twice"),
        ('{"fields":{"s":{"rule":"rank","order":["a"]}}}', "fields.s: order"),
        ('{"fields":{"s":{"rule":"priority","kinds":["human","dog"]}}}', "fields.s: kinds"),
        ('{"fields":{"s":{"rule":"owner"}}}', "fields.s: kind"),
        ('{"fields":{"s":{"rule":"expr","expr":"ours +"}}}', "fields.s: expr"),
        ('{"fields":{"s":{"rule":"expr","expr":"yours"}}}', "fields.s: expr: yours"),
        ('{"fields":{"s":{"rule":"expr","expr":"ours.map(x, x) == theirs"}}}', "map"),
        ('{"fields":{"s":{"rule":"lww","order":[]}}}', "fields.s: order"),
        ('{"granularity":"record","rule":"siblings"}', "granularity"),
        ('{"invariants":{"i":"value.x >"}}', "invariants.i"),
        ('{"invariants":{"i":"x > 1"}}', "invariants.i: x"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused_with_its_place(text: str, names: str) -> None:
    with pytest.raises(InvalidPolicy, match=names) as caught:
        parse_collection(text.encode())
    assert caught.value.reason == "INVALID_POLICY"


def test_every_rule_that_a_policy_can_name_is_in_the_table() -> None:
    assert set(RULES) == set(Rule)


@pytest.mark.parametrize("rule", ['"text"', '"list"'])
@pytest.mark.parametrize("more", ["", ',"invariants":{"any":"true"}'])
@pytest.mark.parametrize(("stamp", "winner"), [(99, "theirs"), (1, "ours")])
def test_a_document_removed_by_one_who_had_not_seen_what_was_written_goes_by_time(
    rule: str, more: str, stamp: int, winner: str
) -> None:
    """Texts and lists were not in the table: the hub could not decide the commit, and never went
    on with its edge."""
    whole = '"abc"' if rule == '"text"' else "[1,2]"
    made = begun(rule, whole, more)
    made.decide("B", patch('{"x":5}'), base=1, stamp=50)
    decided = made.decide("C", remove("x"), base=1, stamp=stamp)
    (conflict,) = decided.conflicts
    assert (conflict.winner, conflict.algorithm, conflict.ours_value) == (winner, "lww", b"5")
    assert ('"x"' in (made.live() or "")) == (winner == "ours")
