"""All orders of three writes at three nodes, for every pair of rules.

One field has the one rule, one the other; each of three commits writes one of them, and has seen
none, the first, or all of those before it. By default every eleventh of the cases is tried, others
at each rule; `HOLDFAST_ALL_PAIRS=1` tries all of them, in about a minute.
"""

from __future__ import annotations

import os
from itertools import combinations_with_replacement, product

import pytest

from cloud_hub.stamps import decoded, encoded
from sync.apply import apply, removal
from sync.commit import ActorKind, Kind, Op
from sync.policy import Policies
from sync.ruling import Rule
from tests.unit.sync.rules import Decision, Table

STEP = 1 if os.environ.get("HOLDFAST_ALL_PAIRS") else 11

RULES = {
    Rule.LWW: '"lww"', Rule.COUNTER: '"counter"', Rule.FIRST: '"first"', Rule.MAX: '"max"',
    Rule.MIN: '"min"', Rule.SET: '"set"', Rule.ASK: '"ask"', Rule.SIBLINGS: '"siblings"',
    Rule.RANK: '{"rule":"rank","order":["a","b","c"]}', Rule.PRIORITY: '{"rule":"priority"}',
    Rule.OWNER: '{"rule":"owner","kind":"robot"}',
    Rule.EXPR: '{"rule":"expr","expr":"base == null ? CONFLICT : ours + theirs - base"}',
}  # fmt: skip
WRITES = {
    Rule.COUNTER: ((Kind.ADD, "1"), (Kind.ADD, "10"), (Kind.REMOVE, "")),
    Rule.MAX: ((Kind.MAX, "1"), (Kind.MAX, "3"), (Kind.REMOVE, "")),
    Rule.MIN: ((Kind.MIN, "1"), (Kind.PATCH, "3"), (Kind.REMOVE, "")),
    Rule.SET: ((Kind.SET_ADD, '["a"]'), (Kind.SET_REMOVE, '["a","z"]'), (Kind.PATCH, '["b"]')),
    Rule.RANK: ((Kind.PATCH, '"a"'), (Kind.PATCH, '"c"'), (Kind.PATCH, '"b"')),
}
PLAIN = ((Kind.PATCH, "1"), (Kind.PATCH, "2"), (Kind.REMOVE, ""))
BEGIN = {Rule.COUNTER: "0", Rule.SET: '["z"]', Rule.RANK: '"b"'}
SEEN = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
"""How many of the commits before them the second and the third have seen."""

KINDS = (ActorKind.ROBOT, ActorKind.HUMAN, ActorKind.AI)


def ops_of(rule: Rule, field: str) -> list[Op]:
    found = []
    for kind, text in WRITES.get(rule, PLAIN):
        payload = removal([field]) if kind is Kind.REMOVE else f'{{"{field}":{text}}}'.encode()
        found.append(Op(kind, "robots", "r1", payload))
    return found


def consistent(decided: Decision) -> None:
    """The outcome is the worst of the parts, and each part that cost something is kept."""
    winners = {conflict.winner for conflict in decided.conflicts}
    if decided.kind == "superseded":
        assert "ours" in winners
    elif decided.kind == "merged":
        assert winners
        assert "ours" not in winners
    elif decided.kind == "applied":
        assert not winners
    else:
        assert decided.outcome.reason in ("REFUSED_BY_RULE", "NOT_AN_INTEGER"), decided


@pytest.mark.promise("merge.same-log-same-digest")
@pytest.mark.promise("commit.worst-outcome")
@pytest.mark.promise("conflict.loser-kept")
@pytest.mark.parametrize("rule", sorted(RULES))
def test_three_writes_in_all_orders_at_three_nodes(rule: Rule) -> None:
    pairs = [pair for pair in combinations_with_replacement(sorted(RULES), 2) if pair[0] == rule]
    for place, (one, other) in enumerate(pairs):
        text = f'{{"fields":{{"x":{RULES[one]},"y":{RULES[other]}}}}}'
        policies = Policies().with_record("robots", text.encode())
        begin = f'{{"x":{BEGIN.get(one, "2")},"y":{BEGIN.get(other, "2")}}}'.encode()
        ops = [*ops_of(one, "x"), *ops_of(other, "y")]
        cases = product(product(ops, repeat=3), SEEN)
        for number, (writes, seen) in enumerate(cases):
            if number % STEP == place % STEP:
                play(policies, begin, writes, (0, *seen))


def play(policies: Policies, begin: bytes, writes: tuple[Op, ...], seen: tuple[int, ...]) -> None:
    table, replica = Table(policies), begin
    table.decide("D", Op(Kind.CREATE, "robots", "r1", begin))
    adds, counted = 0, True
    for letter, op, count, kind in zip("ABC", writes, seen, KINDS, strict=True):
        decided = table.decide(letter, op, base=1 + count, kind=kind)
        consistent(decided)
        for effect, payload in zip(decided.kinds, decided.payloads, strict=True):
            replica = apply(effect, payload, replica) or b""
        record = table.record()
        assert replica == record.value, "a replica knows no rule"
        assert decoded(encoded(record.parts)) == record.parts
        if op.kind is Kind.ADD:
            adds += int(op.payload.split(b":")[1][:-1])
        counted = counted and op.kind is not Kind.REMOVE
        for conflict in decided.conflicts:
            kept = (conflict.theirs_value, conflict.ours_value, conflict.result)
            assert any(one is not None for one in kept)
    if counted and adds and writes[0].kind is writes[1].kind is writes[2].kind is Kind.ADD:
        assert sum(int(n) for n in _numbers(replica)) == sum(int(n) for n in _numbers(begin)) + adds


def _numbers(value: bytes) -> list[str]:
    return [
        part.split(":")[1] for part in value.decode().strip("{}").split(",") if part[-1].isdigit()
    ]
