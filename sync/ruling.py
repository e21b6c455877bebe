"""Which rule a field has, and what the rule was given: an order, kinds, an expression.

In a policy a rule is its name, or an object with the name and what it needs:
`"counter"`, `{"rule": "rank", "order": ["pending", "done"]}`. It is checked when it is set, since
afterwards nobody is there to be told.

Invariant: a ruling that exists can be applied; what it needs is there and sound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sync.commit import ActorKind
from sync.expression import Expression, InvalidExpression

MAX_ORDER = 64
"""Values in an order: states of a piece of work, not a vocabulary."""

MAX_ORDER_CHARS = 128
"""Of one value in an order."""

EXPRESSION_NAMES = ("base", "ours", "theirs", "actors", "fields", "CONFLICT")
"""What an expression is given."""


class Rule(StrEnum):
    """How concurrent writes of a field are merged."""

    LWW = "lww"
    COUNTER = "counter"
    FIRST = "first"
    MAX = "max"
    MIN = "min"
    SET = "set"
    RANK = "rank"
    PRIORITY = "priority"
    OWNER = "owner"
    SIBLINGS = "siblings"
    EXPR = "expr"
    ASK = "ask"
    TEXT = "text"
    LIST = "list"


JOINS = frozenset({Rule.MAX, Rule.MIN})
"""Rules whose value only ever moves one way."""

OF_FIELDS_ONLY = frozenset(
    {Rule.COUNTER, Rule.MAX, Rule.MIN, Rule.SET, Rule.RANK, Rule.PRIORITY}
    | {Rule.SIBLINGS, Rule.EXPR, Rule.TEXT, Rule.LIST}
)
"""Rules that mean nothing for a record as a whole."""

WATCHFUL = frozenset(
    {Rule.MAX, Rule.MIN, Rule.PRIORITY, Rule.OWNER, Rule.EXPR},
)
"""Rules that look at every write, also where nothing is concurrent."""

TEXTUAL = frozenset({Rule.TEXT, Rule.LIST})
"""Rules of fields that are edited by splices."""

KINDS = {kind.name.lower(): kind for kind in ActorKind}

PRIORITY = (ActorKind.HUMAN, ActorKind.ROBOT, ActorKind.AI)
"""Who goes before whom, unless declared otherwise."""


class InvalidRuling(ValueError):
    """A rule that cannot be kept; the message says what is wrong."""

    def __init__(self, message: str, reason: str = "INVALID_POLICY") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ruling:
    """A rule with what it was given. `order` is of `rank`, `kinds` of `priority` and `owner`,
    `expression` of `expr`."""

    rule: Rule = Rule.LWW
    order: tuple[str, ...] = ()
    kinds: tuple[ActorKind, ...] = ()
    expression: Expression | None = None


def parsed(value: object) -> Ruling:
    """A ruling from a policy's JSON. Raises InvalidRuling."""
    options: Mapping[str, object] = {}
    name = value
    if isinstance(value, dict):
        name = value.get("rule")
        options = {member: found for member, found in value.items() if member != "rule"}
    rule = _rule(name)
    needs, optional, make = _MAKERS.get(rule, ((), (), _plain))
    unknown = sorted(set(options) - set(needs) - set(optional))
    if unknown:
        raise InvalidRuling(f"{unknown[0]}: `{rule}` takes no such member")
    for member in needs:
        if member not in options:
            raise InvalidRuling(f"{member}: missing, as in {_EXAMPLES[rule]}")
    return make(rule, options)


def _rule(name: object) -> Rule:
    if not isinstance(name, str) or name not in set(Rule):
        raise InvalidRuling(f"one of {', '.join(Rule)}")
    return Rule(name)


def _plain(rule: Rule, _options: Mapping[str, object]) -> Ruling:
    return Ruling(rule)


def _rank(rule: Rule, options: Mapping[str, object]) -> Ruling:
    order = options["order"]
    if not isinstance(order, list) or not 2 <= len(order) <= MAX_ORDER:
        raise InvalidRuling(f"order: a list of 2 to {MAX_ORDER} texts, the least first")
    for one in order:
        if not isinstance(one, str) or len(one) > MAX_ORDER_CHARS:
            raise InvalidRuling(
                f"order: {one!r} is no text of at most {MAX_ORDER_CHARS} characters"
            )
    twice = sorted({one for one in order if order.count(one) > 1})
    if twice:
        raise InvalidRuling(f"order: {twice[0]!r} is named twice, so the order is impossible")
    return Ruling(rule, order=tuple(order))


def _priority(rule: Rule, options: Mapping[str, object]) -> Ruling:
    if "kinds" not in options:
        return Ruling(rule, kinds=PRIORITY)
    kinds = options["kinds"]
    if not isinstance(kinds, list) or not kinds:
        raise InvalidRuling(f"kinds: a list of {', '.join(KINDS)}, the strongest first")
    found = tuple(_kind("kinds", one) for one in kinds)
    if len(set(found)) < len(found):
        raise InvalidRuling("kinds: one is named twice, so the order is impossible")
    return Ruling(rule, kinds=found)


def _owner(rule: Rule, options: Mapping[str, object]) -> Ruling:
    return Ruling(rule, kinds=(_kind("kind", options["kind"]),))


def _expr(rule: Rule, options: Mapping[str, object]) -> Ruling:
    text = options["expr"]
    if not isinstance(text, str):
        raise InvalidRuling("expr: a CEL expression as a text")
    try:
        return Ruling(rule, expression=Expression(text, EXPRESSION_NAMES))
    except InvalidExpression as error:
        raise InvalidRuling(f"expr: {error}") from error


def _kind(member: str, value: object) -> ActorKind:
    if not isinstance(value, str) or value not in KINDS:
        raise InvalidRuling(f"{member}: one of {', '.join(KINDS)}")
    return KINDS[value]


_Maker = Callable[[Rule, Mapping[str, object]], Ruling]

_MAKERS: dict[Rule, tuple[tuple[str, ...], tuple[str, ...], _Maker]] = {
    Rule.RANK: (("order",), (), _rank),
    Rule.PRIORITY: ((), ("kinds",), _priority),
    Rule.OWNER: (("kind",), (), _owner),
    Rule.EXPR: (("expr",), (), _expr),
}
"""What each rule must be given, what it may be given, and how it is read."""

_EXAMPLES = {
    Rule.RANK: '{"rule": "rank", "order": ["pending", "done"]}',
    Rule.OWNER: '{"rule": "owner", "kind": "robot"}',
    Rule.EXPR: '{"rule": "expr", "expr": "ours > theirs ? ours : theirs"}',
}
