"""The shortcut for single patches decides as the rules do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync.batch import batch_of
from sync.commit import Commit, Op
from sync.policy import Policies
from sync.resolve import Resolution, Resolver
from sync.working import Working
from tests.unit.sync import rules
from tests.unit.sync.rules import ROBOT, SPACE, commit_id, create, delete, patch, replace

NUMBERS = {rules.origin("A"): 1, rules.origin("B"): 2}
NAMES = {number: name for name, number in NUMBERS.items()}
NO_REASON = {-1: ""}
"""Reasons for no commit of the batch: with any, every commit goes the long way."""

keys = st.sampled_from(["r1", "r2"])
ops = st.one_of(
    keys.map(lambda key: create('{"a":1,"b":1}', key)),
    st.tuples(st.sampled_from(['{"a":2}', '{"b":3}', '{"a":1.0}']), keys).map(lambda x: patch(*x)),
    st.tuples(st.sampled_from(['{"a":2}', '{"b":3}', '{"c":4}']), keys).map(lambda x: patch(*x)),
    keys.map(lambda key: replace('{"a":5}', key)),
    keys.map(delete),
)
turns = st.lists(
    st.tuples(
        st.sampled_from("AB"),
        st.lists(st.tuples(ops, st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=5),
    ),
    max_size=5,
)


def _decided(
    history: list[tuple[str, list[tuple[Op, int, int]]]], refused: dict[int, str] | None
) -> tuple[list[Resolution], dict[tuple[str, str], Working]]:
    records: dict[tuple[str, str], Working] = {}
    resolver = Resolver(records, Policies(), NAMES, NUMBERS)
    seqs, revision, found = {"A": 0, "B": 0}, 0, []
    for letter, commits in history:
        rows = []
        for op, behind, unseen in commits:
            seqs[letter] += 1
            seq = seqs[letter]
            base, seen = max(0, revision - behind), max(0, seq - 1 - unseen)
            rows.append(Commit(commit_id(letter, seq), seq, base, seen, seq, ROBOT, (op,)))
        batch = batch_of(SPACE, rules.origin(letter), 1, rows)
        stamps = tuple(range(revision + 100, revision + 100 + len(rows)))
        number = NUMBERS[batch.origin]
        made = resolver.decide(batch, number, revision + 1, stamps, batch.bases, refused)
        found.append(made)
        revision += len(rows)
    return found, records


@given(turns)
def test_single_patches_are_decided_as_by_the_rules(
    history: list[tuple[str, list[tuple[Op, int, int]]]],
) -> None:
    assert _decided(history, None) == _decided(history, NO_REASON)
