"""All histories of three operations on one record: who wrote, who had seen whom, whose stamp is
later.

Each history is decided by the rules; what must hold of it is then said without them, from what was
visible to whom and from what took effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sync import values
from sync.apply import apply, fields_of
from sync.commit import NO_EXTRA, Extra, Kind, Op
from sync.policy import CollectionPolicy, DeleteRule, Granularity, Policies, Rule, Ruling
from tests.unit.sync.rules import (
    Decision,
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

FIRST = '{"n":1,"x":0,"z":0}'
BEGIN = {"none": None, "live": create(FIRST)}
NODES = ["AAA", "AAB", "ABA", "ABB", "ABC"]
"""Who writes which of the three, up to names."""


def op(kind: Kind, j: int) -> Op:
    """The operation of a kind that the j-th author writes; no two write the same value."""
    return {
        Kind.CREATE: create(f'{{"x":{j}}}'),
        Kind.REPLACE: replace(f'{{"x":{j}}}'),
        Kind.PATCH: patch(f'{{"x":{j},"y":{j}}}'),
        Kind.REMOVE: remove("x"),
        Kind.DELETE: delete(),
        Kind.ADD: add(f'{{"n":{10**j}}}'),
        Kind.ADD_CREATE: add_create(f'{{"n":{10**j}}}'),
    }[kind]


@dataclass(frozen=True, slots=True)
class Seen:
    """What an author had seen: revisions up to `base`, own seqs up to `own`, and `others`."""

    base: int
    own: int
    others: tuple[tuple[bytes, int], ...] = ()


@dataclass(slots=True)
class History:
    """Three operations, and for each what its author had seen."""

    policies: Policies
    begin: Op | None
    nodes: str
    ops: tuple[Op, ...]
    seen: tuple[Seen, ...]
    stamps: tuple[int, ...]

    @property
    def start(self) -> int:
        return 0 if self.begin is None else 1

    def seq(self, j: int) -> int:
        return self.nodes[: j + 1].count(self.nodes[j])

    def visible(self, i: int, j: int) -> bool:
        """Whether the author of j had seen i."""
        if self.start + i + 1 <= self.seen[j].base or (origin(self.nodes[i]), self.seq(i)) in (
            self.seen[j].others
        ):
            return True
        return self.nodes[i] == self.nodes[j] and self.seq(i) <= self.seen[j].own

    def later(self, j: int, i: int) -> bool:
        """Whether j wins over i by last-writer-wins."""
        mine, yours = ((self.stamps[k], self.nodes[k], self.seq(k)) for k in (j, i))
        return mine > yours

    def table(self) -> Table:
        table = Table(self.policies)
        if self.begin is not None:
            table.decide("H", self.begin, stamp=1)
        return table

    def decide(self, table: Table, j: int) -> Decision:
        seen = self.seen[j]
        extra = Extra(seen=seen.others) if seen.others else NO_EXTRA
        return table.decide(
            self.nodes[j], self.ops[j], base=seen.base, seen=seen.own, stamp=self.stamps[j],
            extra=extra,
        )  # fmt: skip

    def sensible(self) -> bool:
        """Whether every author could have written its operation on what it had seen."""
        for j, made in enumerate(self.ops):
            live = None if self.begin is None else self.begin.payload
            for i in range(j):
                if self.visible(i, j):
                    live = apply(self.ops[i].kind, self.ops[i].payload, live)
            if (live is None) != (made.kind in (Kind.CREATE, Kind.ADD_CREATE)):
                return made.kind is Kind.DELETE and live is not None
        return True


def contexts(nodes: str, start: int) -> Iterator[tuple[Seen, ...]]:
    """All that three authors may have seen. Time goes on: who has seen something of its own origin
    has seen what that had."""
    choices = []
    for j in range(3):
        own = nodes[:j].count(nodes[j])
        seen = [Seen(base, o) for base in range(start, start + j + 1) for o in range(own + 1)]
        if nodes == "ABC" and j == 2:  # a roaming author, who has seen the second and not the first
            seen.append(Seen(start, 0, ((origin("B"), 1),)))
        choices.append(seen)
    for each in itertools.product(*choices):
        if all(
            each[i].base <= each[j].base
            for i, j in itertools.combinations(range(3), 2)
            if nodes[i] == nodes[j] and each[j].own >= nodes[: i + 1].count(nodes[i])
        ):
            yield each


def stamps(
    nodes: str, seen: tuple[Seen, ...], start: int, order: tuple[int, ...]
) -> tuple[int, ...]:
    """Stamps in the wanted order as far as causality and the origin's own clock allow."""
    found: list[int] = []
    for j in range(3):
        floor = 1
        for i in range(j):
            if (
                nodes[i] == nodes[j]
                or start + i + 1 <= seen[j].base
                or (seen[j].others and nodes[i] == "B")
            ):
                floor = max(floor, found[i])
        found.append(max(10 * (order[j] + 1), floor + 1))
    return tuple(found)


def histories(kinds: list[Kind], policies: Policies, begins: tuple[str, ...]) -> Iterator[History]:
    """Every history whose operations are of one kind or two."""
    triples = {
        triple
        for pair in itertools.combinations_with_replacement(kinds, 2)
        for triple in itertools.product(pair, repeat=3)
    }
    orders = list(itertools.permutations(range(3)))
    for begin, nodes in itertools.product(begins, NODES):
        first = BEGIN[begin]
        start = 0 if first is None else 1
        for seen in contexts(nodes, start):
            marks = {stamps(nodes, seen, start, order) for order in orders}
            for triple in sorted(triples):
                ops = tuple(op(kind, j + 1) for j, kind in enumerate(triple))
                history = History(policies, first, nodes, ops, seen, (2, 3, 4))
                if history.sensible():
                    for mark in sorted(marks):
                        yield History(policies, first, nodes, ops, seen, mark)


@dataclass(slots=True)
class Watcher:
    """Follows one history, and says what must hold of each step."""

    history: History
    live: bytes | None
    gone: int | None = None
    writers: dict[str, int] | None = None

    def step(self, table: Table, j: int) -> None:
        before = self.live
        made = self.history.decide(table, j)
        kind, payload = made.kinds[0], made.payloads[0]
        self.live = apply(kind, payload, before)
        record = table.records.get(("robots", "r1"))
        assert (None if record is None else record.live) == self.live, "a replica has the same"
        self._outcome(made)
        self._losers(made, j, before)
        unseen = [i for i in range(j) if not self.history.visible(i, j)]
        if not unseen:
            assert (made.kind, made.conflicts) == ("applied", ()), "a successor of all"
            if self.history.ops[j].kind is not Kind.DELETE or before is not None:
                assert kind is self.history.ops[j].kind
        self._deletion(j, before, made)
        self._fields(j, before, made)
        if kind and before is None and self.live is not None:
            self.writers = {}
        for name in fields_of(kind, payload) if kind not in (Kind.NONE, Kind.DELETE) else []:
            assert self.writers is not None
            self.writers[name] = j
        if kind is Kind.DELETE:
            self.gone = j

    def _outcome(self, made: Decision) -> None:
        winners = {conflict.winner for conflict in made.conflicts}
        worst = "superseded" if "ours" in winners else "merged" if winners else "applied"
        assert made.kind == worst, "the outcome is the worst of its parts"

    def _losers(self, made: Decision, j: int, before: bytes | None) -> None:
        """Whatever lost is in a row, in full."""
        wanted = self.history.ops[j]
        had = {} if before is None else values.fields(before)
        for row in made.conflicts:
            assert row.ours_value == (had.get(row.field) if row.field else before)
            if not row.field:
                assert row.theirs_value == (None if wanted.kind is Kind.DELETE else wanted.payload)
            elif wanted.kind is Kind.REMOVE:
                assert row.theirs_value is None
            else:
                assert row.theirs_value == values.fields(wanted.payload)[row.field]
        if made.kinds[0] is Kind.NONE and not made.conflicts:
            assert wanted.kind is Kind.DELETE or self._says_nothing_new(wanted, before)
            if wanted.kind is Kind.DELETE:
                assert before is None

    def _says_nothing_new(self, wanted: Op, before: bytes | None) -> bool:
        return before is not None and apply(wanted.kind, wanted.payload, before) == before

    def _deletion(self, j: int, before: bytes | None, made: Decision) -> None:
        """What was deleted returns only by one who had seen that, or where edits win."""
        history = self.history
        edits_win = history.policies.of("robots").deletes is DeleteRule.EDIT_WINS
        if self.gone is None or history.visible(self.gone, j) or edits_win:
            return
        if before is None:
            assert self.live is None, "it came back by one who had not seen that it was deleted"
            return
        had_part = any(history.visible(i, j) for i in range(self.gone + 1, j))
        written_on_it = history.ops[j].kind not in (Kind.CREATE, Kind.ADD_CREATE)
        if written_on_it and not had_part:
            assert made.kinds[0] is Kind.NONE, "written on what is no more"

    def _fields(self, j: int, before: bytes | None, made: Decision) -> None:
        """A seen value is replaced; of two unseen the later stamp wins; sums add up."""
        history = self.history
        wanted = history.ops[j]
        rows = {row.field for row in made.conflicts}
        if before is None or self.live is None or "" in rows or self.writers is None:
            return
        had, has = values.fields(before), values.fields(self.live)
        if wanted.kind in (Kind.ADD, Kind.ADD_CREATE):
            total = values.integer(had.get("n", b"0")) + values.integer(
                values.fields(wanted.payload)["n"]
            )
            assert has["n"] == b"%d" % total
            return
        if wanted.kind not in (Kind.CREATE, Kind.PATCH, Kind.REMOVE):
            return
        sets = {} if wanted.kind is Kind.REMOVE else values.fields(wanted.payload)
        for name in fields_of(wanted.kind, wanted.payload):
            writer = self.writers.get(name)
            seen = writer is None or history.visible(writer, j)
            if seen or history.later(j, writer or 0):
                assert has.get(name) == sets.get(name), "the successor, or the later, wins"
            else:
                assert has.get(name) == had.get(name), "the later stands"
            if not seen and had.get(name) != sets.get(name):
                assert name in rows, "and both are kept"
            elif seen:
                assert name not in rows


def watch(history: History) -> None:
    table = history.table()
    watcher = Watcher(history, None if history.begin is None else history.begin.payload)
    watcher.writers = {}
    for j in range(3):
        watcher.step(table, j)


FIELD_KINDS = [
    Kind.CREATE, Kind.PATCH, Kind.REMOVE, Kind.DELETE, Kind.ADD, Kind.ADD_CREATE,
]  # fmt: skip


@pytest.mark.promise("time.ancestor-loses")
@pytest.mark.promise("concurrent.by-context")
@pytest.mark.promise("conflict.loser-kept")
@pytest.mark.promise("lww.causal-order-first")
@pytest.mark.parametrize("deletes", list(DeleteRule))
def test_three_operations_field_by_field(deletes: DeleteRule) -> None:
    policy = CollectionPolicy(deletes=deletes, fields={"n": Ruling(Rule.COUNTER)})
    count = 0
    for history in histories(FIELD_KINDS, Policies({"robots": policy}), ("none", "live")):
        count += 1
        try:
            watch(history)
        except AssertionError as error:
            raise AssertionError(f"{error} in {history}") from error
    assert count > 1_000


@pytest.mark.promise("time.ancestor-loses")
@pytest.mark.promise("concurrent.granularity")
@pytest.mark.parametrize("deletes", list(DeleteRule))
def test_three_operations_on_a_record_whose_fields_belong_together(deletes: DeleteRule) -> None:
    policy = CollectionPolicy(deletes=deletes, granularity=Granularity.RECORD)
    kinds = [Kind.CREATE, Kind.REPLACE, Kind.DELETE]
    count = 0
    for history in histories(kinds, Policies({"robots": policy}), ("none", "live")):
        count += 1
        try:
            watch_whole(history)
        except AssertionError as error:
            raise AssertionError(f"{error} in {history}") from error
    assert count > 500


def watch_whole(history: History) -> None:
    """The record is always one that somebody wrote, and the later of two unseen ones."""
    table = history.table()
    live = None if history.begin is None else history.begin.payload
    writer: int | None = None
    for j, wanted in enumerate(history.ops):
        made = history.decide(table, j)
        before, live = live, apply(made.kinds[0], made.payloads[0], live)
        current = table.live()
        assert current == (None if live is None else live.decode())
        assert live in (None, before, wanted.payload), "no mixture"
        unseen = writer is not None and not history.visible(writer, j)
        if (
            wanted.kind is not Kind.DELETE
            and before is not None
            and not any(row.kind == "delete_edit" for row in made.conflicts)
        ):
            wins = not unseen or history.later(j, writer or 0)
            assert live == (wanted.payload if wins else before)
            assert bool(made.conflicts) == unseen
        if made.kinds[0] is not Kind.NONE:
            writer = j
