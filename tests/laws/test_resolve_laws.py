"""What holds of every history of edges and a hub, however it was sent, cut and grouped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import values
from sync.batch import Batch, Decided, joined
from sync.commit import Commit, Kind, OutcomeKind
from sync.policy import POLICIES
from sync.refused import operations
from sync.working import Conflict
from tests.fleet import HUB_ORIGIN, Hub, Replica
from tests.laws.histories import ADDITIVE, COLLECTIONS, Event, Step, World, steps

REJECTED = OutcomeKind.REJECTED


def played(history: list[Step]) -> World:
    world = World().play(history)
    world.settle()
    return world


def commits(hub: Hub) -> list[object]:
    """Everything decided, commit by commit, whatever batches it came in."""
    found: list[object] = []
    for decided in hub.log:
        starts = decided.batch.op_starts()
        for i in range(len(decided.batch)):
            ops = slice(starts[i], starts[i + 1])
            found.append(
                (
                    decided.first_revision + i, decided.batch.origin, decided.batch.commit(i),
                    decided.stamps[i], decided.previous[ops], decided.outcome(i),
                )
            )  # fmt: skip
    return found


def conflicts(hub: Hub) -> list[object]:
    return [replace(conflict, index=0) for conflict in hub.conflicts]


def same(one: Hub, other: Hub) -> None:
    assert commits(one) == commits(other)
    assert one.records == other.records
    assert conflicts(one) == conflicts(other)
    assert one.marks == other.marks
    assert (one.digest, one.floors) == (other.digest, other.floors)


def fresh_hub() -> Hub:
    return World().hub


def replay(tape: list[Event], cut: bool, group: bool) -> Hub:
    """The same again on another hub: every commit pushed by itself, or many pushes at once."""
    hub = fresh_hub()
    waiting: list[Batch] = []

    def flush() -> None:
        if waiting:
            hub.push_all(waiting)
            waiting.clear()

    for event in tape:
        if isinstance(event, Batch):
            singles = [event.slice(i, i + 1) for i in range(len(event))]
            mark = hub.mark(event.origin).seq
            singles = [one for one in singles if one.first_seq > mark]
            waiting.extend(singles if cut else [event])
            if not group:
                flush()
            continue
        flush()
        if isinstance(event, int):
            hub.now_ms += event
        elif event is not None:
            hub.request(*event)
    flush()
    return hub


@pytest.mark.promise("merge.independent-of-batches")
@given(steps())
def test_the_batch_path_equals_commit_by_commit(history: list[Step]) -> None:
    world = played(history)
    same(replay(world.tape, cut=True, group=False), world.hub)


@pytest.mark.promise("merge.independent-of-batches")
@given(steps())
def test_pushes_that_share_a_transaction_are_decided_as_apart(history: list[Step]) -> None:
    world = played(history)
    same(replay(world.tape, cut=False, group=True), world.hub)
    same(replay(world.tape, cut=False, group=False), world.hub)


@pytest.mark.promise("rule.resolved-once")
@pytest.mark.promise("merge.same-log-same-digest")
@given(steps())
def test_a_replica_that_applies_the_log_has_the_hubs_state(history: list[Step]) -> None:
    world = played(history)
    late = Replica()
    for decided in world.hub.log:
        late.adopt(decided)
    wanted = world.hub.state
    assert late.records == {key: wanted[key] for key in late.records}
    assert all(wanted[key][1] is None for key in wanted.keys() - late.records.keys())
    assert late.digest == world.hub.digest
    for edge in world.edges:
        assert (edge.replica.records, edge.replica.digest) == (late.records, late.digest)
        assert edge.pending == []
        assert all(edge.live(key) == value for key, (_, value) in late.records.items())


@given(steps(), st.sets(st.sampled_from([*COLLECTIONS, POLICIES])).map(frozenset))
def test_applying_what_is_in_scope_is_restricting_to_the_scope(
    history: list[Step], scope: frozenset[str]
) -> None:
    world = played(history)
    whole, part = Replica(), Replica()
    for decided in world.hub.log:
        whole.adopt(decided)
        part.adopt(decided.within(scope))
        wanted = {key: state for key, state in whole.records.items() if key[0] in scope}
        assert part.records == wanted
    assert part.cursor == whole.cursor


def cut(decided: Decided, at: int) -> Iterator[Decided]:
    for start, stop in ((0, at), (at, len(decided.batch))):
        starts = decided.batch.op_starts()
        yield Decided(
            decided.batch.slice(start, stop), decided.epoch, decided.first_revision + start,
            decided.stamps[start:stop], decided.previous[starts[start] : starts[stop]],
            {i - start: o for i, o in decided.outcomes.items() if start <= i < stop},
        )  # fmt: skip


@given(steps(), st.integers(1, 4))
def test_parts_joined_are_the_whole(history: list[Step], at: int) -> None:
    for decided in played(history).hub.log:
        if at < len(decided.batch):
            assert joined(list(cut(decided, at))) == decided


@pytest.mark.promise("precondition.at-hub")
@pytest.mark.promise("commit.whole")
@pytest.mark.promise("commit.worst-outcome")
@pytest.mark.promise("conflict.loser-kept")
@pytest.mark.promise("conflict.every-commit-ends")
@given(steps())
def test_every_decision_is_whole_and_leaves_a_record_of_what_it_cost(history: list[Step]) -> None:
    world = World().play(history)
    world.settle()
    rows = Counter(conflict.revision for conflict in world.hub.conflicts)
    asked = {
        (event.origin, event.first_seq + i): event.commit(i)
        for event in world.tape
        if isinstance(event, Batch)
        for i in range(len(event))
    }
    for decided in world.hub.log:
        for i in range(len(decided.batch)):
            commit, outcome = decided.batch.commit(i), decided.outcome(i)
            revision = decided.first_revision + i
            wanted = asked.get((decided.batch.origin, commit.seq), commit)
            found = [c for c in world.hub.conflicts if c.revision == revision]
            if outcome.kind is OutcomeKind.REJECTED:
                assert all(op.kind is Kind.NONE for op in commit.ops), "all or none"
                kept = Counter(op for c in found for op in _operations(c))
                assert kept == Counter(
                    (op.collection, op.key, op.kind, op.payload)
                    for op in wanted.ops
                    if op.kind is not Kind.NONE  # such as removing from what is not there
                )
                assert len({(c.collection, c.key) for c in found}) == len(found)
            elif outcome.kind is OutcomeKind.SUPERSEDED:
                assert any(c.winner == "ours" for c in found)
            elif outcome.kind is OutcomeKind.MERGED:
                assert found
                assert all(c.winner in ("theirs", "merged") for c in found)
            else:
                assert (outcome.kind, rows[revision]) == (OutcomeKind.APPLIED, 0)


def _operations(one: Conflict) -> list[tuple[str, str, Kind, bytes]]:
    """What a conflict keeps of a commit that was rejected."""
    ops = [(Kind(one.op), one.theirs_value or b"")]
    if one.op == Kind.NONE and one.theirs_value is not None:
        ops = operations(one.theirs_value)
    return [(one.collection, one.key, kind, payload) for kind, payload in ops]


@pytest.mark.promise("merge.deleted-stays-deleted")
@given(steps())
def test_what_was_deleted_comes_back_only_by_one_who_had_seen_it(history: list[Step]) -> None:
    world = played(history)
    replica = Replica()
    gone: dict[tuple[str, str], tuple[int, bytes, int]] = {}
    for decided in world.hub.log:
        for i in range(len(decided.batch)):
            commit, revision = decided.batch.commit(i), decided.first_revision + i
            for op in commit.ops:
                name = (op.collection, op.key)
                was = replica.records.get(name, (0, None))[1]
                if op.kind is Kind.DELETE and was is not None:
                    gone[name] = (revision, decided.batch.origin, commit.seq)
                elif op.kind not in (Kind.NONE, Kind.DELETE) and was is None and name in gone:
                    at, origin, seq = gone[name]
                    own = origin == decided.batch.origin and (
                        seq <= commit.seen or seq == commit.seq
                    )
                    edits_win = world.hub.policies.of(op.collection).deletes == "edit_wins"
                    assert at <= commit.base or own or edits_win
            if commit.ops:
                one = decided.batch.slice(i, i + 1)
                count = len(one.keys)
                replica.cursor = revision - 1
                replica.adopt(Decided(one, 1, revision, (0,), (0,) * count))


def pushed_once(world: World) -> Iterator[Commit]:
    """The commits that came to the hub and were not rejected, each once however often it came."""
    known: set[tuple[bytes, int]] = set()
    for event in world.tape:
        if isinstance(event, Batch):
            for commit in map(event.commit, range(len(event))):
                outcome = world.hub.outcome(event.origin, commit.seq)
                if (event.origin, commit.seq) not in known and outcome.kind is not REJECTED:
                    known.add((event.origin, commit.seq))
                    yield commit


def at_the_hub(world: World) -> Iterator[Commit]:
    for decided in world.hub.log:
        if decided.batch.origin == HUB_ORIGIN:
            yield from map(decided.batch.commit, range(len(decided.batch)))


@pytest.mark.promise("counter.each-once")
@pytest.mark.promise("merge.counters-exact")
@given(steps(ADDITIVE, conditions=False))
def test_a_counter_is_the_sum_of_what_was_added(history: list[Step]) -> None:
    """Whoever saw whom, whatever was sent twice: no addition is lost or doubled.

    Without preconditions: what was written on a commit that is rejected has no base any more.
    """
    world = World().play(history)
    world.settle()
    sums: Counter[str] = Counter()
    for commit in [*pushed_once(world), *at_the_hub(world)]:
        for op in commit.ops:
            if op.kind in (Kind.ADD, Kind.ADD_CREATE):
                sums[op.key] += values.integer(values.fields(op.payload)["n"])
    for (collection, key), record in world.hub.records.items():
        if collection == "robots":
            assert values.integer(values.fields(record.value).get("n", b"0")) == sums[key]


PROGRAM = """
from tests.fleet import Replica
from tests.laws.histories import World, story
world = World().play(story())
world.settle()
late = Replica()
for decided in world.hub.log:
    late.adopt(decided)
assert late.digest == world.hub.digest
print(late.digest, len(world.hub.conflicts), world.hub.revision)
"""


@pytest.mark.promise("merge.same-log-same-digest")
def test_every_hash_seed_gives_the_same_state() -> None:
    results = set()
    for seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        results.add(done.stdout)
    assert len(results) == 1
