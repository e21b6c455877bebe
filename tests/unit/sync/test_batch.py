"""Batches: columns that fit each other, within limits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from sync.batch import (
    MAX_COMMITS,
    MAX_OPS,
    Batch,
    Decided,
    MalformedBatch,
    batch_of,
    joined,
)
from sync.commit import (
    APPLIED,
    NO_EXTRA,
    Actor,
    ActorKind,
    Commit,
    Extra,
    Kind,
    Op,
    Outcome,
    OutcomeKind,
)
from sync.position import MAX_NUMBER

HUMAN = Actor("ada", ActorKind.HUMAN)
ORIGIN = b"o" * 16


def commit(seq: int, *collections: str, extra: Extra = NO_EXTRA) -> Commit:
    ops = tuple(Op(Kind.PATCH, name, f"k{seq}", b"{}") for name in collections)
    return Commit(bytes([seq]) * 16, seq, seq * 10, seq - 1, seq * 100, HUMAN, ops, extra)


ROWS = [
    commit(4, "robots", "jobs"),
    commit(5, extra=Extra(correlation_id="c")),
    commit(6, "jobs"),
    commit(7, "robots", "robots", "notes", extra=Extra(retryable=True)),
]
BATCH = batch_of("site", ORIGIN, 2, ROWS)


def decided(batch: Batch = BATCH, first_revision: int = 9) -> Decided:
    count = len(batch)
    lost = {i: Outcome(OutcomeKind.LOST, "X") for i in range(count) if i % 2}
    stamps = tuple(range(count))
    return Decided(batch, 2, first_revision, stamps, tuple(range(len(batch.keys))), lost)


def test_a_row_is_the_commit_that_it_was_made_of() -> None:
    assert [BATCH.commit(i) for i in range(len(BATCH))] == ROWS
    assert (len(BATCH), BATCH.first_seq, BATCH.last_seq) == (4, 4, 7)
    assert BATCH.op_starts() == [0, 2, 2, 3, 6]
    assert BATCH.extras.keys() == {1, 3}


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (0, 1), (1, 2), (1, 4), (3, 4)])
def test_a_slice_is_the_batch_of_its_rows(start: int, stop: int) -> None:
    assert BATCH.slice(start, stop) == batch_of("site", ORIGIN, 2, ROWS[start:stop])


def test_a_slice_of_nothing_is_none() -> None:
    with pytest.raises(MalformedBatch):
        BATCH.slice(2, 2)


def test_within_a_scope_every_commit_stays_though_its_operations_go() -> None:
    part = BATCH.within(frozenset({"jobs"}))
    assert (part.op_counts, part.collections, part.keys) == (
        (1, 0, 1, 0),
        ("jobs",) * 2,
        ("k4", "k6"),
    )
    assert (part.commit_ids, part.extras) == (BATCH.commit_ids, BATCH.extras)
    assert BATCH.within(frozenset({"jobs", "robots", "notes"})) is BATCH
    nothing = decided().within(frozenset())
    assert (nothing.batch.keys, nothing.previous, len(nothing.batch)) == ((), (), 4)
    assert decided().within(frozenset({"jobs"})).previous == (1, 2)
    assert decided().within(frozenset({"jobs"})).outcomes == decided().outcomes


def test_parts_joined_are_the_whole() -> None:
    whole = decided()
    for cuts in ((1,), (2,), (1, 2, 3)):
        edges = [0, *cuts, 4]
        parts = []
        for a, b in pairwise(edges):
            ops = slice(BATCH.op_starts()[a], BATCH.op_starts()[b])
            outcomes = {i - a: o for i, o in whole.outcomes.items() if a <= i < b}
            parts.append(
                Decided(
                    BATCH.slice(a, b), 2, 9 + a, whole.stamps[a:b], whole.previous[ops], outcomes
                )
            )
        assert joined(parts) == whole
    assert joined([whole]) is whole


@pytest.mark.parametrize(
    "change",
    [
        {"first_revision": 20},
        {"epoch": 3},
        {"batch": replace(BATCH.slice(2, 4), origin=b"p" * 16)},
        {"batch": replace(BATCH.slice(2, 4), first_seq=9)},
        {"batch": replace(BATCH.slice(2, 4), space="elsewhere")},
        {"batch": replace(BATCH.slice(2, 4), base_epoch=1)},
    ],
)
def test_what_does_not_follow_is_not_joined(change: dict[str, Any]) -> None:
    first = decided(BATCH.slice(0, 2))
    second = replace(decided(BATCH.slice(2, 4), 11), **change)
    with pytest.raises(AssertionError):
        joined([first, second])


def test_a_decided_batch_says_where_and_what() -> None:
    whole = decided()
    assert (whole.last_revision, whole.outcome(0)) == (12, APPLIED)
    assert whole.outcome(1).kind is OutcomeKind.LOST
    kinds = bytes([Kind.NONE]) + BATCH.kinds[1:]
    changed = replace(whole, batch=BATCH.with_ops(kinds, BATCH.payloads))
    assert changed.record_names() == {
        ("jobs", "k4"), ("jobs", "k6"), ("robots", "k7"), ("notes", "k7"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"bases": (1, 2, 3)},
        {"seens": ()},
        {"claimed": (1,) * 5},
        {"actors": ()},
        {"op_counts": (2, 0, 1)},
        {"op_counts": (2, 0, 1, 4)},
        {"op_counts": (2, -1, 2, 3)},
        {"collections": ("a",)},
        {"kinds": b""},
        {"payloads": ()},
        {"kinds": bytes([3] * 5 + [200])},
        {"origin": b"short"},
        {"commit_ids": (b"a" * 16, b"b" * 16, b"c" * 16, b"d" * 15)},
        {"first_seq": 0},
        {"first_seq": MAX_NUMBER},
        {"bases": (1, 2, 3, -1)},
        {"bases": (1, 2, 3, MAX_NUMBER + 1)},
        {"seens": (1, 2, 3, -1)},
        {"claimed": (-1, 2, 3, 4)},
        {"claimed": (MAX_NUMBER + 1, 2, 3, 4)},
    ],
)
def test_columns_that_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedBatch) as caught:
        replace(BATCH, **change)
    assert caught.value.reason == "MALFORMED_BATCH"


def test_a_batch_has_commits_in_sequence() -> None:
    with pytest.raises(MalformedBatch):
        batch_of("site", ORIGIN, 1, [])
    with pytest.raises(MalformedBatch):
        batch_of("site", ORIGIN, 1, [ROWS[0], ROWS[2]])


@pytest.mark.promise("rule.limits")
def test_a_batch_has_limits() -> None:
    one = batch_of("site", ORIGIN, 1, [commit(1)])
    columns = {name: getattr(one, name) for name in ("commit_ids", "bases", "seens", "claimed")}
    columns |= {"actors": one.actors, "op_counts": one.op_counts}
    full: dict[str, Any] = {name: column * MAX_COMMITS for name, column in columns.items()}
    assert len(replace(one, **full)) == MAX_COMMITS
    over: dict[str, Any] = {name: column * (MAX_COMMITS + 1) for name, column in columns.items()}
    with pytest.raises(MalformedBatch, match="more than"):
        replace(one, **over)
    for count in (MAX_OPS, MAX_OPS + 1):
        ops: dict[str, Any] = {
            "op_counts": (count,), "collections": ("a",) * count, "keys": ("k",) * count,
            "kinds": bytes([Kind.DELETE]) * count, "payloads": (b"",) * count,
        }  # fmt: skip
        if count == MAX_OPS:
            assert len(replace(one, **ops).keys) == MAX_OPS
        else:
            with pytest.raises(MalformedBatch, match="more than"):
                replace(one, **ops)


def test_a_decided_batch_fits_its_header() -> None:
    for change in (
        {"stamps": (1,)}, {"previous": ()}, {"first_revision": 0}, {"outcomes": {4: APPLIED}},
    ):  # fmt: skip
        with pytest.raises(MalformedBatch):
            replace(decided(), **change)
