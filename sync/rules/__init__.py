"""The rules, one table: which function settles a field that a rule looks at.

Each takes a Write and says in a Settled what the field is to be, who is in it then, and what is to
be told. They are pure: no clock, no randomness, nothing but what the write carries. A function that
cannot decide raises Undecided; that opens a conflict, and what stands stays.

Invariant: every rule that a policy can name is in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sync.rules import choices, expressions, joins, sets, siblings
from sync.rules.write import Clash, Settled, Undecided, Write, refused
from sync.ruling import Rule

__all__ = ["RULES", "Clash", "Settled", "Undecided", "Write", "settle"]

MAX_DETAIL_CHARS = 500
"""Of what is said of a rule that could not decide: it travels to every edge that has the record.
Only what can be printed: not every database takes a NUL in a text."""

RULES: Mapping[Rule, Callable[[Write], Settled]] = {
    Rule.LWW: choices.last,
    Rule.OWNER: choices.last,  # whoever may write it at all; others were rejected before
    Rule.COUNTER: choices.written_over,
    Rule.TEXT: choices.written_over,
    Rule.LIST: choices.written_over,
    Rule.FIRST: choices.first,
    Rule.ASK: choices.ask,
    Rule.RANK: choices.rank,
    Rule.PRIORITY: choices.priority,
    Rule.MAX: joins.greatest,
    Rule.MIN: joins.least,
    Rule.SET: sets.replaced,
    Rule.SIBLINGS: siblings.kept,
    Rule.EXPR: expressions.evaluated,
}


def settle(write: Write) -> Settled:
    """What becomes of one field. Never raises."""
    try:
        return RULES[write.ruling.rule](write)
    except Undecided as undecided:
        said = str(undecided)[:MAX_DETAIL_CHARS]
        detail = "".join(one if one.isprintable() else "?" for one in said)
        return refused(
            write, kind="rule_raised", reason="RULE_UNDECIDED", detail=detail, waits=True
        )
