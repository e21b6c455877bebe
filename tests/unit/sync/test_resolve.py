"""What becomes of concurrent writes, rule by rule."""

from __future__ import annotations

import pytest

from sync.canonical_json import MAX_RECORD_BYTES
from sync.commit import Extra, Kind, OutcomeKind, Precondition, Version
from sync.policy import CollectionPolicy, DeleteRule, Granularity, Policies, Rule, Ruling
from sync.refused import several
from sync.resolve import Conflict
from tests.unit.sync.rules import (
    Table,
    add,
    add_create,
    create,
    delete,
    origin,
    patch,
    remove,
    replace,
)

EDIT_WINS = Policies({"robots": CollectionPolicy(deletes=DeleteRule.EDIT_WINS)})
COUNTER = Policies({"robots": CollectionPolicy(fields={"n": Ruling(Rule.COUNTER)})})
COUNTER_EDIT_WINS = Policies(
    {"robots": CollectionPolicy(fields={"n": Ruling(Rule.COUNTER)}, deletes=DeleteRule.EDIT_WINS)}
)
RECORD = Policies({"robots": CollectionPolicy(granularity=Granularity.RECORD)})
RECORD_EDIT_WINS = Policies(
    {"robots": CollectionPolicy(granularity=Granularity.RECORD, deletes=DeleteRule.EDIT_WINS)}
)


def only(conflicts: tuple[Conflict, ...]) -> Conflict:
    (conflict,) = conflicts
    return conflict


# -- nothing is concurrent ---------------------------------------------------


def test_a_record_begins_is_changed_and_is_deleted() -> None:
    table = Table()
    made = table.decide("A", create('{"x":1}'))
    assert (made.kind, made.kinds, made.previous) == ("applied", (Kind.CREATE,), (0,))
    table.decide("B", patch('{"y":2}'))
    made = table.decide("A", remove("x"), patch('{"z":3}'))
    assert (table.live(), made.previous) == ('{"y":2,"z":3}', (2, 3))
    made = table.decide("B", delete())
    assert (made.kind, table.live(), table.record().value) == ("applied", None, b'{"y":2,"z":3}')


def test_who_saw_the_deletion_may_begin_the_record_again_from_nothing() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", delete())
    made = table.decide("B", create('{"y":2}'))
    assert (made.kind, made.conflicts, table.live()) == ("applied", (), '{"y":2}')
    assert table.record().parts == {}


def test_deleting_what_is_not_there_changes_nothing() -> None:
    table = Table()
    made = table.decide("A", delete())
    assert (made.kind, made.kinds, table.records) == ("applied", (Kind.NONE,), {})
    table.decide("A", create("{}"))
    table.decide("A", delete())
    made = table.decide("B", delete())
    assert (made.kind, made.kinds, made.previous) == ("applied", (Kind.NONE,), (3,))
    assert table.record().revision == 3


@pytest.mark.promise("rule.put-names-its-base")
@pytest.mark.parametrize("op", [patch('{"x":1}'), remove("x"), add('{"n":1}')])
def test_an_edit_of_a_record_that_never_was_is_kept_as_a_conflict(op: object) -> None:
    table = Table()
    made = table.decide("A", op)  # type: ignore[arg-type]
    assert (made.kind, made.kinds, table.records) == ("superseded", (Kind.NONE,), {})
    conflict = only(made.conflicts)
    assert (conflict.kind, conflict.ours, conflict.winner) == ("missing_base", None, "ours")
    assert conflict.theirs_value == op.payload  # type: ignore[attr-defined]
    assert made.outcome.by_origin == b""


@pytest.mark.promise("rule.put-names-its-base")
def test_a_create_over_what_its_author_had_seen_is_a_conflict_never_a_create() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    made = table.decide("B", create('{"x":2}'))
    assert (made.kind, only(made.conflicts).kind) == ("superseded", "missing_base")
    assert (made.outcome.by_origin, made.outcome.by_seq) == (origin("A"), 1)
    assert table.live() == '{"x":1}'


# -- fields ------------------------------------------------------------------


@pytest.mark.promise("lww.causal-order-first", "conflict.recorded")
@pytest.mark.parametrize(
    ("stamp", "kind", "live", "winner"),
    [
        (9, "merged", '{"x":3}', "theirs"),
        (5, "superseded", '{"x":2}', "ours"),
    ],
)
def test_of_two_that_did_not_see_each_other_the_later_stamp_wins(
    stamp: int, kind: str, live: str, winner: str
) -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", patch('{"x":2}'), stamp=7)
    made = table.decide("B", patch('{"x":3}'), base=1, stamp=stamp)
    conflict = only(made.conflicts)
    assert (made.kind, table.live(), conflict.winner) == (kind, live, winner)
    assert (conflict.kind, conflict.field, conflict.algorithm) == ("concurrent", "x", "lww")
    assert (conflict.ours_value, conflict.theirs_value) == (b"2", b"3")
    assert (conflict.ours, conflict.state) == (table.part("A", 2, 2, 7), "auto")


def test_equal_stamps_are_decided_by_the_name_of_the_origin() -> None:
    for first, second, live in (("A", "B", '{"x":2}'), ("B", "A", '{"x":1}')):
        table = Table()
        table.decide(first, create('{"x":1}'), stamp=5)
        table.decide(second, create('{"x":2}'), base=0, stamp=5)
        assert table.live() == live


@pytest.mark.promise("concurrent.granularity")
def test_different_fields_do_not_meet() -> None:
    table = Table()
    table.decide("A", create('{"x":1,"y":1}'))
    table.decide("A", patch('{"x":2}'))
    made = table.decide("B", patch('{"y":2}'), base=1, stamp=1)
    assert (made.kind, made.conflicts, table.live()) == ("applied", (), '{"x":2,"y":2}')


@pytest.mark.promise("merge.numbers-survive")
def test_the_same_value_twice_is_no_conflict_but_one_and_one_point_nought_are() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'), stamp=5)
    made = table.decide("B", create('{"x":1}'), base=0, stamp=4)
    assert (made.kind, made.conflicts) == ("applied", ())
    made = table.decide("C", create('{"x":1.0}'), base=0, stamp=4)
    assert (made.kind, only(made.conflicts).theirs_value) == ("superseded", b"1.0")


@pytest.mark.promise("commit.worst-outcome")
def test_some_fields_win_and_some_lose_and_the_outcome_is_the_worse() -> None:
    table = Table()
    table.decide("A", create('{"x":1,"y":1,"z":1}'))
    table.decide("A", patch('{"x":2}'), stamp=3)
    table.decide("A", patch('{"y":2}'), stamp=8)
    made = table.decide("B", patch('{"x":3,"y":3,"z":3}'), base=1, stamp=5)
    assert (made.kind, made.kinds, made.payloads) == (
        "superseded", (Kind.PATCH,), (b'{"x":3,"z":3}',),
    )  # fmt: skip
    assert table.live() == '{"x":3,"y":2,"z":3}'
    assert [(c.field, c.winner) for c in made.conflicts] == [("x", "theirs"), ("y", "ours")]
    assert (made.outcome.by_origin, made.outcome.by_seq) == (origin("A"), 3)


@pytest.mark.parametrize(("stamp", "live"), [(9, "{}"), (5, '{"x":2}')])
def test_removing_a_field_against_setting_it(stamp: int, live: str) -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", patch('{"x":2}'), stamp=7)
    made = table.decide("B", remove("x"), base=1, stamp=stamp)
    assert table.live() == live
    assert (only(made.conflicts).ours_value, only(made.conflicts).theirs_value) == (b"2", None)


@pytest.mark.parametrize(("stamp", "live"), [(9, '{"x":2}'), (5, "{}")])
def test_setting_a_field_against_removing_it(stamp: int, live: str) -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", remove("x"), stamp=7)
    made = table.decide("B", patch('{"x":2}'), base=1, stamp=stamp)
    assert table.live() == live
    assert (only(made.conflicts).ours_value, only(made.conflicts).theirs_value) == (None, b"2")


def test_a_field_that_nobody_wrote_is_free() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'), stamp=9)
    made = table.decide("B", create('{"y":2}'), base=0, stamp=1)
    assert (made.kind, made.conflicts, table.live()) == ("applied", (), '{"x":1,"y":2}')


@pytest.mark.promise("concurrent.same-edge")
def test_two_agents_at_one_edge_that_did_not_see_each_other_are_concurrent() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("B", patch('{"x":2}'), base=1)
    made = table.decide("B", patch('{"x":3}'), base=1, seen=0)
    assert (made.kind, only(made.conflicts).ours_value, table.live()) == ("merged", b"2", '{"x":3}')
    made = table.decide("B", patch('{"x":4}'), base=1, seen=2)
    assert (made.kind, made.conflicts, table.live()) == ("applied", (), '{"x":4}')


def test_a_commit_has_seen_itself_and_not_the_earlier_ones_of_its_origin() -> None:
    """The last writer being oneself once hid what another agent at the same edge had written."""
    table = Table()
    table.decide("A", create('{"x":1,"y":1}'))
    table.decide("B", patch('{"x":2,"y":2}'), base=1)
    made = table.decide("B", remove("x"), patch('{"y":3}'), base=1, seen=0)
    assert table.live() == '{"y":3}'
    assert [(c.field, c.ours_value) for c in made.conflicts] == [("x", b"2"), ("y", b"2")]
    assert made.kind == "merged"


def test_undecided_commits_of_another_origin_that_were_seen_are_no_conflict() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'), stamp=9)
    roamed = Extra(seen=((origin("A"), 1), (origin("Z"), 5)))
    made = table.decide("B", patch('{"x":2}'), base=0, stamp=1, extra=roamed)
    assert (made.kind, made.conflicts, table.live()) == ("applied", (), '{"x":2}')


# -- records that two begin --------------------------------------------------


def test_after_two_began_a_record_apart_their_edits_merge_field_by_field() -> None:
    """An edit of a record begun elsewhere was once taken for an edit of a deleted one, and lost."""
    table = Table()
    table.decide("A", create('{"x":1}'), stamp=5)
    table.decide("B", create('{"x":2}'), base=0, stamp=3)
    made = table.decide("B", patch('{"x":3,"y":3}'), base=0, seen=1, stamp=8)
    assert (made.kind, table.live()) == ("merged", '{"x":3,"y":3}')
    assert only(made.conflicts).kind == "concurrent"


def test_a_commit_that_begins_a_record_and_goes_on_with_it_is_whole() -> None:
    table = Table(COUNTER)
    table.decide("A", create('{"x":1}'), add_create('{"n":5}'))
    made = table.decide("B", create('{"y":1}'), add_create('{"n":3}'), patch('{"z":2}'), base=0)
    assert (made.kind, table.live()) == ("applied", '{"n":8,"x":1,"y":1,"z":2}')


def test_deleting_what_another_began_meanwhile_follows_the_policy() -> None:
    for policies, live, kind in (
        (Policies(), None, "merged"),
        (EDIT_WINS, '{"x":1}', "superseded"),
    ):
        table = Table(policies)
        table.decide("A", create('{"x":1}'))
        table.decide("B", create("{}"), base=0)
        made = table.decide("B", delete(), base=0, seen=1)
        assert (table.live(), made.kind) == (live, kind)
        assert only(made.conflicts).kind == "delete_edit"


# -- delete against edit -----------------------------------------------------


@pytest.mark.promise("delete.against-edit")
@pytest.mark.promise("merge.deleted-stays-deleted")
@pytest.mark.parametrize("op", [patch('{"x":2}'), remove("x"), create('{"x":2}'), add('{"n":1}')])
def test_what_was_deleted_does_not_come_back_by_one_who_had_not_seen_it(op: object) -> None:
    table = Table(COUNTER)
    table.decide("A", create('{"n":1,"x":1}'))
    table.decide("A", delete())
    made = table.decide("B", op, base=1, stamp=99)  # type: ignore[arg-type]
    assert (made.kind, made.kinds, table.live()) == ("superseded", (Kind.NONE,), None)
    conflict = only(made.conflicts)
    assert (conflict.kind, conflict.winner, conflict.ours_value) == ("delete_edit", "ours", None)
    assert (made.outcome.by_origin, made.outcome.by_seq) == (origin("A"), 2)


@pytest.mark.promise("delete.keeps-value")
@pytest.mark.promise("delete.against-edit")
@pytest.mark.parametrize(
    ("op", "live"),
    [
        (patch('{"x":2}'), '{"n":1,"x":2}'),
        (remove("x"), '{"n":1}'),
        (create('{"y":2}'), '{"n":1,"x":1,"y":2}'),
        (add('{"n":2}'), '{"n":3,"x":1}'),
    ],
)
def test_where_edits_win_they_revive_the_whole_record(op: object, live: str) -> None:
    table = Table(COUNTER_EDIT_WINS)
    table.decide("A", create('{"n":1,"x":1}'))
    table.decide("A", delete())
    made = table.decide("B", op, base=1)  # type: ignore[arg-type]
    assert (made.kind, made.kinds, table.live()) == ("merged", (Kind.REPLACE,), live)
    assert made.payloads == (live.encode(),)
    assert only(made.conflicts).winner == "theirs"


def test_where_edits_win_a_revived_record_takes_further_edits() -> None:
    table = Table(EDIT_WINS)
    table.decide("A", create('{"x":1,"y":1}'))
    table.decide("A", delete())
    table.decide("B", patch('{"x":2}'), base=1)
    made = table.decide("C", patch('{"z":3}'), base=1)
    assert (made.kind, table.live()) == ("applied", '{"x":2,"y":1,"z":3}')


def test_a_commit_that_revives_a_record_goes_on_with_it() -> None:
    table = Table(EDIT_WINS)
    table.decide("A", create('{"x":1}'))
    table.decide("A", delete())
    made = table.decide("B", remove("x"), patch('{"y":2}'), base=1)
    assert (made.kind, table.live()) == ("merged", '{"y":2}')


def test_an_edit_of_what_was_deleted_does_not_land_on_what_was_begun_anew() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", delete())
    table.decide("A", create('{"x":7}'))
    made = table.decide("B", patch('{"y":2}'), base=1, stamp=99)
    assert (made.kind, only(made.conflicts).kind) == ("superseded", "delete_edit")
    made = table.decide("B", delete(), base=1, stamp=99)
    assert (made.kind, table.live()) == ("superseded", '{"x":7}')


def test_who_joined_what_was_begun_anew_may_go_on_with_it() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", delete())
    table.decide("A", create('{"x":7}'))
    table.decide("B", create('{"y":1}'), base=0)
    made = table.decide("B", patch('{"z":2}'), base=0, seen=1)
    assert (made.kind, table.live()) == ("applied", '{"x":7,"y":1,"z":2}')


@pytest.mark.promise("delete.against-edit")
@pytest.mark.parametrize(
    ("policies", "kind", "live", "winner"),
    [(Policies(), "merged", None, "theirs"), (EDIT_WINS, "superseded", '{"x":2}', "ours")],
)
def test_deleting_what_another_edits(
    policies: Policies, kind: str, live: str | None, winner: str
) -> None:
    table = Table(policies)
    table.decide("A", create('{"x":1}'))
    table.decide("A", patch('{"x":2}'))
    made = table.decide("B", delete(), base=1, stamp=1)
    conflict = only(made.conflicts)
    assert (made.kind, table.live(), conflict.winner) == (kind, live, winner)
    assert (conflict.ours_value, conflict.theirs_value) == (b'{"x":2}', None)


def test_an_edit_that_lost_to_ones_own_earlier_write_does_not_stop_the_deletion() -> None:
    table = Table(EDIT_WINS)
    table.decide("A", create('{"x":1}'))
    table.decide("A", patch('{"x":2}'), stamp=2)
    table.decide("B", patch('{"x":3}'), base=1, stamp=5)
    made = table.decide("B", delete(), base=1, seen=1, stamp=6)
    assert (made.kind, made.conflicts, table.live()) == ("applied", (), None)


# -- counters ----------------------------------------------------------------


@pytest.mark.promise("counter.each-once")
def test_additions_add_up_whoever_saw_whom() -> None:
    table = Table(COUNTER)
    table.decide("A", add_create('{"n":1}'))
    for letter, base in (("B", 0), ("C", 1), ("B", 0), ("D", 3)):
        made = table.decide(letter, add_create('{"n":10}'), base=base)
        assert (made.kind, made.conflicts) == ("applied", ())
    assert table.live() == '{"n":41}'


def test_an_addition_hidden_under_ones_own_is_not_deleted_without_a_record_of_it() -> None:
    """A sum has several writers; its newest part once spoke for all of them."""
    for gone in (delete(), remove("n")):
        table = Table(COUNTER)
        table.decide("A", create("{}"), add_create('{"n":1}'))
        table.decide("A", add('{"n":5}'))
        table.decide("B", add('{"n":2}'), base=1)
        made = table.decide("B", gone, base=1, seen=1)
        conflict = only(made.conflicts)
        assert conflict.ours_value in (b'{"n":8}', b"8")
        assert (conflict.winner, made.kind) == ("theirs", "merged")


def test_where_edits_win_a_hidden_addition_stops_the_deletion() -> None:
    table = Table(COUNTER_EDIT_WINS)
    table.decide("A", create("{}"), add_create('{"n":1}'))
    table.decide("A", add('{"n":5}'))
    table.decide("B", add('{"n":2}'), base=1)
    made = table.decide("B", delete(), base=1, seen=1)
    assert (made.kind, table.live()) == ("superseded", '{"n":8}')


def test_a_commit_may_add_to_a_counter_and_then_remove_it() -> None:
    table = Table(COUNTER)
    table.decide("A", create('{"x":1}'))
    table.decide("A", patch('{"x":2}'))
    made = table.decide("B", add('{"n":2}'), remove("n"), base=1)
    assert table.live() == '{"x":2}'
    assert made.kind in ("applied", "merged")


@pytest.mark.promise("merge.bad-value-never-stalls")
def test_adding_to_what_is_no_integer_rejects_the_commit() -> None:
    table = Table(COUNTER)
    table.decide("A", create('{"n":"many"}'))
    made = table.decide("B", patch('{"x":1}'), add('{"n":1}'))
    assert made.outcome.kind is OutcomeKind.REJECTED
    assert (made.outcome.reason, table.live()) == ("NOT_AN_INTEGER", '{"n":"many"}')


# -- whole records -----------------------------------------------------------


@pytest.mark.promise("concurrent.granularity")
@pytest.mark.parametrize(("stamp", "live"), [(9, '{"y":2}'), (1, '{"x":2}')])
def test_where_fields_belong_together_the_later_record_wins_whole(stamp: int, live: str) -> None:
    for begin in (replace, create):
        table = Table(RECORD)
        table.decide("A", begin('{"x":1}'))
        table.decide("A", replace('{"x":2}'), stamp=5)
        made = table.decide("B", begin('{"y":2}'), base=0, stamp=stamp)
        assert table.live() == live
        assert only(made.conflicts).field == ""


def test_writing_a_whole_record_twice_in_one_commit_leaves_the_second() -> None:
    """A whole record once lost to the same commit's earlier write of it."""
    table = Table(RECORD)
    table.decide("A", create('{"x":1}'))
    table.decide("A", replace('{"x":2}'), stamp=5)
    made = table.decide("B", replace('{"x":3}'), replace('{"x":4}'), base=1, stamp=9)
    assert (made.kind, table.live(), len(made.conflicts)) == ("merged", '{"x":4}', 1)


def test_a_whole_record_is_no_conflict_with_ones_own_earlier_one() -> None:
    table = Table(RECORD)
    table.decide("A", create('{"x":1}'))
    table.decide("A", replace('{"x":2}'), stamp=5)
    table.decide("B", replace('{"x":3}'), base=1, stamp=9)
    made = table.decide("B", replace('{"x":4}'), base=1, seen=1, stamp=10)
    assert (made.kind, made.conflicts, table.live()) == ("applied", (), '{"x":4}')


@pytest.mark.parametrize(
    ("policies", "live", "kind"),
    [(RECORD, None, "merged"), (RECORD_EDIT_WINS, '{"x":2}', "superseded")],
)
def test_deleting_a_whole_record_that_another_writes(
    policies: Policies, live: str | None, kind: str
) -> None:
    """A deletion once lost to every write of the whole record, whatever the policy."""
    table = Table(policies)
    table.decide("A", create('{"x":1}'))
    table.decide("A", replace('{"x":2}'))
    made = table.decide("B", delete(), base=1)
    assert (table.live(), made.kind) == (live, kind)


def test_where_edits_win_a_whole_record_is_revived_without_what_was_deleted() -> None:
    """It was once mixed with the fields of the record that had been deleted."""
    table = Table(RECORD_EDIT_WINS)
    table.decide("A", create('{"x":1,"y":1}'))
    table.decide("A", delete())
    made = table.decide("B", create('{"x":2}'), base=0)
    assert (made.kind, table.live()) == ("merged", '{"x":2}')


def test_a_whole_record_written_on_a_deleted_one_does_not_replace_what_was_begun_anew() -> None:
    table = Table(RECORD)
    table.decide("A", create('{"x":1}'))
    table.decide("A", delete())
    table.decide("A", create('{"x":7}'))
    made = table.decide("B", replace('{"x":2}'), base=1, stamp=99)
    assert (made.kind, table.live()) == ("superseded", '{"x":7}')


def test_a_patch_where_fields_belong_together_becomes_the_whole_record() -> None:
    table = Table(RECORD)
    table.decide("A", create('{"x":1}'))
    table.decide("A", replace('{"x":2}'))
    made = table.decide("B", patch('{"y":2}'), base=1, stamp=9)
    assert (made.kinds, made.payloads) == ((Kind.REPLACE,), (b'{"x":2,"y":2}',))


# -- whole commits -----------------------------------------------------------


@pytest.mark.promise("commit.whole")
@pytest.mark.promise("conflict.loser-kept")
def test_one_rejected_operation_rejects_all_and_leaves_no_trace() -> None:
    table = Table(COUNTER)
    table.decide("A", create('{"n":"many"}'))
    table.decide("A", create('{"x":1}', key="r2"))
    before = {key: record.copy() for key, record in table.records.items()}
    made = table.decide(
        "B", patch('{"x":2}', key="r2"), create("{}", key="r3"), delete("r2"), add('{"n":1}'),
        base=0, stamp=99,
    )  # fmt: skip
    assert table.records == before
    assert made.kinds == (Kind.NONE,) * 4
    assert made.payloads == (b"",) * 4
    assert made.previous == (2, 0, 2, 1)
    assert [(c.kind, c.reason, c.state) for c in made.conflicts] == [
        ("rejected", "NOT_AN_INTEGER", "open")
    ] * 3
    together = several([(Kind.PATCH, b'{"x":2}'), (Kind.DELETE, b"")])
    wanted = [together, b"{}", b'{"n":1}']
    assert [c.theirs_value for c in made.conflicts] == wanted


def test_a_single_operation_that_is_rejected_leaves_no_trace() -> None:
    table = Table(COUNTER)
    table.decide("A", create('{"n":"many"}'))
    before = table.record().copy()
    made = table.decide("B", add('{"n":1}'), base=0)
    assert (made.outcome.reason, table.record()) == ("NOT_AN_INTEGER", before)


@pytest.mark.promise("rule.limits")
def test_a_merge_that_outgrows_a_record_is_rejected() -> None:
    table = Table()
    half = "x" * (MAX_RECORD_BYTES // 2)
    table.decide("A", create(f'{{"x":"{half}"}}'))
    made = table.decide("B", create(f'{{"y":"{half}"}}'), base=0)
    assert (made.outcome.reason, made.kinds) == ("VALUE_TOO_LARGE", (Kind.NONE,))


def test_a_commit_without_operations_is_applied() -> None:
    assert Table().decide("A").kind == "applied"


def test_a_coalesced_commit_has_no_effect_even_if_it_still_says_one() -> None:
    """Its operations once went into the log though not into the records."""
    table = Table()
    made = table.decide("A", create('{"x":1}'), extra=Extra(coalesced_by=2))
    assert (made.kind, made.kinds, made.payloads) == ("coalesced", (Kind.NONE,), (b"",))
    assert (made.outcome.by_origin, made.outcome.by_seq, table.records) == (origin("A"), 2, {})


def test_losing_to_an_earlier_operation_of_oneself_is_not_said_of_a_commit() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", delete())
    table.decide("A", create('{"x":7}'))
    made = table.decide("B", create('{"y":2}', key="r2"), patch('{"y":2}'), base=1)
    assert (made.kind, made.outcome.by_origin) == ("superseded", origin("A"))


# -- preconditions -----------------------------------------------------------


def at(revision: int, epoch: int = 1) -> Version:
    return Version(epoch, revision)


@pytest.mark.promise("precondition.at-hub")
@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (Precondition("robots", "r1", exists=True), True),
        (Precondition("robots", "r1", exists=False), False),
        (Precondition("robots", "gone", exists=True), False),
        (Precondition("robots", "gone", exists=False), True),
        (Precondition("robots", "never", exists=False), True),
        (Precondition("robots", "r1", version=at(1)), True),
        (Precondition("robots", "r1", version=at(2)), False),
        (Precondition("robots", "gone", version=at(3)), False),
        (Precondition("robots", "never", version=at(1)), False),
    ],
)
def test_preconditions_speak_of_live_records(wanted: Precondition, *, holds: bool) -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", create("{}", key="gone"))
    table.decide("A", delete("gone"))
    assert table.resolver.holds(wanted, "") is holds
    made = table.decide("B", create("{}", key="new"), extra=Extra(preconditions=(wanted,)))
    assert (table.live("new") == "{}") is holds
    if not holds:
        assert made.outcome.reason == "PRECONDITION_FAILED"
        assert (only(made.conflicts).kind, only(made.conflicts).state) == ("precondition", "open")


def pending(base: int, seq: int, letter: str = "B") -> Precondition:
    version = Version(1, base, origin(letter), seq, pending=True)
    return Precondition("robots", "r1", version=version)


@pytest.mark.promise("precondition.pending-version")
def test_a_pending_version_holds_while_its_commit_is_the_last_and_nothing_is_concurrent() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("B", patch('{"x":2}'), base=1)
    assert table.resolver.holds(pending(1, 1), "")
    assert not table.resolver.holds(pending(1, 2), "")
    assert not table.resolver.holds(pending(1, 1, "A"), "")
    assert not table.resolver.holds(pending(1, 1, "Z"), "")
    table.decide("A", patch('{"y":1}'), base=1)
    assert not table.resolver.holds(pending(1, 1), "")


@pytest.mark.promise("precondition.pending-version")
def test_a_pending_version_fails_if_something_foreign_came_before_it() -> None:
    table = Table()
    table.decide("A", create('{"x":1}'))
    table.decide("A", patch('{"y":1}'))
    table.decide("B", patch('{"x":2}'), base=1)
    assert not table.resolver.holds(pending(1, 1), "")
    assert table.resolver.holds(pending(2, 1), "")


def test_a_version_of_a_lost_history_is_not_mistaken_for_one_of_this() -> None:
    """The revision alone was once compared, whatever epoch it was of."""
    table = Table()
    table.decide("A", create('{"x":1}'))
    resolver = table.resolver
    resolver.effective = lambda epoch, revision: revision if epoch == 2 else min(revision, 0)
    assert resolver.holds(Precondition("robots", "r1", version=at(1, epoch=2)), "")
    assert not resolver.holds(Precondition("robots", "r1", version=at(1, epoch=1)), "")


def test_a_precondition_sees_what_the_same_commits_elders_did() -> None:
    table = Table()
    table.decide("B", create('{"x":1}'))
    made = table.decide(
        "B", patch('{"x":2}'), base=0, seen=1, extra=Extra(preconditions=(pending(0, 1),))
    )
    assert made.kind == "applied"
