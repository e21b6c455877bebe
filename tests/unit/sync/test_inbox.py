"""Entries of the inbox: what they carry, and which commit an answer is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync import answering, inbox, values
from sync.answering import Seen
from sync.commit import Actor, ActorKind, Kind, Precondition, Version
from sync.inbox import Answer, CannotAnswer, Choice, Entry, Side, State
from sync.reduce import Add, Delete, Patch, Put
from sync.values import MAX_RECORD_BYTES, InvalidValue

ANN = Actor("ann", ActorKind.HUMAN)
ARM = Actor("arm-1", ActorKind.ROBOT)
AT = Version(1, 9, b"h" * 16, 4)
SEEN = Seen(AT)


def entry(**changes: object) -> Entry:
    made = Entry(
        id=bytes(15) + b"\x07", collection="tasks", key="1", field="state", kind="concurrent",
        algorithm="ask", winner="ours", reason="", state=State.OPEN, revision=7, epoch=1, left=7,
        op=int(Kind.PATCH), ours=Side(b"a" * 16, 3, 5 << 16, 4 << 16, ARM, b'"idle"'),
        theirs=Side(b"b" * 16, 2, 6 << 16, 6 << 16, ANN, b'"busy"'), base=b'"new"',
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def whole(op: Kind, payload: bytes | None, **changes: object) -> Entry:
    """Work on a whole record that was rejected."""
    theirs = Side(b"b" * 16, 2, 6 << 16, 6 << 16, ANN, payload)
    return entry(field="", kind="rejected", op=int(op), theirs=theirs, ours=None, **changes)


# -- as a record ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        entry(),
        entry(ours=None, base=None, clock_suspect=True),
        entry(state=State.RESOLVED, answer=Answer(Choice.THEIRS, True, ANN, "it was")),
        entry(ours=Side(b"a" * 16, 3, 1, 1, None, None), reason="NOT_AN_INTEGER"),
        entry(theirs=Side(b"b" * 16, 2, 1, 1, ANN, b"18446744073709551617"), base=b"1.0"),
    ],
)
def test_an_entry_is_read_as_it_was_written(made: Entry) -> None:
    assert inbox.decode(made.id.hex(), inbox.encode(made)) == made


def test_what_is_too_large_or_too_deep_goes_without_its_values() -> None:
    large = b'"' + b"x" * (MAX_RECORD_BYTES - 10) + b'"'
    deep = b"[" * 64 + b"]" * 64
    for value in (large, deep):
        made = entry(theirs=replace(entry().theirs, value=value))
        read = inbox.decode(made.id.hex(), inbox.encode(made))
        assert (read.abridged, read.theirs.value, read.ours.value) == (True, None, None)  # type: ignore[union-attr]
        assert read.theirs.actor == ANN
        with pytest.raises(CannotAnswer) as refused:
            answering.resolve(read, SEEN, Choice.THEIRS, None, ANN)
        assert refused.value.reason == "CONFLICT_ABRIDGED"
        assert answering.resolve(read, SEEN, Choice.VALUE, b"1", ANN).requests


def test_only_an_answer_is_one() -> None:
    answered = answering.resolve(entry(), SEEN, Choice.OURS, None, ANN).requests[-1]
    assert isinstance(answered, Patch)
    found = inbox.answer_of(answered.sets)
    assert found is not None
    assert found[0] == State.RESOLVED
    for other in (b"{}", b'{"state":"resolved"}', b'{"answer":1,"state":"open"}', b"[1]", b"?"):
        assert inbox.answer_of(other) is None
    assert inbox.answer_of(values.merge(answered.sets, b'{"key":"2"}')) is None


# -- answers -------------------------------------------------------------------------------------


def test_an_answer_writes_the_field_and_the_entry_on_both_conditions() -> None:
    made = answering.resolve(entry(), SEEN, Choice.THEIRS, None, ANN, "asked Maria")
    write, mark = made.requests
    assert write == Patch("tasks", "1", b'{"state":"busy"}')
    assert isinstance(mark, Patch)
    assert (mark.collection, mark.key) == ("_conflicts.tasks", entry().id.hex())
    said = values.fields(mark.sets)["answer"]
    assert inbox.answer_from(said) == Answer(Choice.THEIRS, True, ANN, "asked Maria")
    assert made.preconditions == (
        Precondition("tasks", "1", version=Version(1, 7)),
        Precondition("_conflicts.tasks", entry().id.hex(), version=AT),
    )


def test_a_field_that_shall_not_be_is_removed() -> None:
    (write, _) = answering.resolve(entry(), SEEN, Choice.VALUE, None, ANN).requests
    assert write == Patch("tasks", "1", b"{}", ("state",))


@pytest.mark.parametrize(
    ("op", "payload", "request_"),
    [
        (Kind.CREATE, b'{"x":1}', Put("tasks", "1", b'{"x":1}')),
        (Kind.REPLACE, b'{"x":1}', Put("tasks", "1", b'{"x":1}')),
        (Kind.PATCH, b'{"x":1}', Patch("tasks", "1", b'{"x":1}')),
        (Kind.REMOVE, b'["x"]', Patch("tasks", "1", b"{}", ("x",))),
        (Kind.DELETE, None, Delete("tasks", "1")),
        (Kind.ADD, b'{"n":2}', Add("tasks", "1", b'{"n":2}')),
    ],
)
def test_rejected_work_is_done_again_as_it_was_meant(
    op: Kind, payload: bytes | None, request_: object
) -> None:
    made = answering.resolve(whole(op, payload), SEEN, Choice.THEIRS, None, ANN)
    assert made.requests[0] == request_


def test_letting_rejected_work_rest_writes_the_entry_alone() -> None:
    made = answering.resolve(whole(Kind.PATCH, b"{}", left=0), SEEN, Choice.OURS, None, ANN)
    assert [request.collection for request in made.requests] == ["_conflicts.tasks"]
    assert made.preconditions[0] == Precondition("tasks", "1", exists=False)


def test_another_value_for_a_record_is_an_object() -> None:
    rejected = whole(Kind.PATCH, b"{}")
    made = answering.resolve(rejected, SEEN, Choice.VALUE, b'{"x":2}', ANN)
    assert made.requests[0] == Put("tasks", "1", b'{"x":2}')
    with pytest.raises(InvalidValue):
        answering.resolve(rejected, SEEN, Choice.VALUE, b"2", ANN)


@pytest.mark.parametrize(
    ("seen", "condition"),
    [
        (Seen(AT, Version(1, 30), record_seen=True), {"version": Version(1, 30)}),
        (Seen(AT, None, record_seen=True), {"exists": False}),
    ],
)
def test_what_was_seen_instead_is_the_condition(seen: Seen, condition: dict[str, object]) -> None:
    made = answering.resolve(entry(), seen, Choice.THEIRS, None, ANN)
    assert made.preconditions[0] == Precondition("tasks", "1", **condition)  # type: ignore[arg-type]


# -- undoing -------------------------------------------------------------------------------------


def value_of(made: answering.Answering) -> tuple[bytes, bytes]:
    """The value that an answer writes to the field, and the state of the entry."""
    write, mark = made.requests
    assert isinstance(write, Patch)
    text = mark.value if isinstance(mark, Put) else mark.sets  # type: ignore[union-attr]
    return values.fields(write.sets)["state"], values.fields(text)["state"]


def test_undo_goes_round_and_an_undo_can_be_undone() -> None:
    auto = entry(state=State.AUTO, winner="theirs")
    made = answering.undo(auto, Seen(None), ANN)
    assert value_of(made) == (b'"idle"', b'"undone"')
    assert made.preconditions[1] == Precondition("_conflicts.tasks", auto.id.hex(), exists=False), (
        "what only the log holds comes into the inbox by this"
    )
    undone = replace(auto, state=State.UNDONE, answer=Answer(Choice.OURS, True, ANN))
    made = answering.undo(undone, SEEN, ANN)
    assert value_of(made) == (b'"busy"', b'"auto"')
    assert made.preconditions[0] == Precondition("tasks", "1", version=AT), (
        "an answer writes record and entry at once, so one has the version of the other"
    )


def test_undoing_what_a_person_did_opens_the_conflict_again() -> None:
    done = entry(state=State.RESOLVED, answer=Answer(Choice.THEIRS, True, ANN))
    assert value_of(answering.undo(done, SEEN, ANN)) == (b'"idle"', b'"open"')
    rested = whole(Kind.PATCH, b"{}", state=State.RESOLVED, answer=Answer(Choice.OURS, False, ANN))
    assert len(answering.undo(rested, SEEN, ANN).requests) == 1, (
        "nothing was written: nothing is now"
    )


def test_what_cannot_be_said_is_refused_by_name() -> None:
    with pytest.raises(CannotAnswer) as refused:
        answering.undo(entry(), SEEN, ANN)
    assert refused.value.reason == "CONFLICT_OPEN"
    with pytest.raises(CannotAnswer) as refused:
        answering.resolve(entry(state=State.AUTO), SEEN, Choice.OURS, None, ANN)
    assert refused.value.reason == "CONFLICT_DECIDED"
    with pytest.raises(CannotAnswer) as refused:
        answering.resolve(entry(), SEEN, Choice.OURS, None, ANN, "x" * 1_001)
    assert refused.value.reason == "MALFORMED_REQUEST"


@pytest.mark.parametrize("text", ["1", '"a"', '{"a":1}', "18446744073709551617", "null"])
def test_any_value_keeps_its_text(text: str) -> None:
    assert inbox.any_value(text) == text.encode()


@pytest.mark.parametrize("text", ['1,"x":2', "", "1 2", "}{", "NaN"])
def test_what_is_not_one_value_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        inbox.any_value(text)


def test_the_systems_own_records_are_not_written_by_an_answer() -> None:
    rejected = whole(Kind.PATCH, b'{"strict":false}', state=State.AUTO, collection="_policies")
    with pytest.raises(CannotAnswer) as refused:
        answering.undo(rejected, Seen(None), ANN)
    assert refused.value.reason == "RESERVED_COLLECTION"
