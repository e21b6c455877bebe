"""Policies: which rule decides where.

A policy is a record of its space, in the reserved collection `_policies`, so
that a change of policy takes a revision like any other commit and every replica
has it. The key is the name of the collection; the space's own policy has the
key "@space" (no collection can be called so).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

from sync.expression import Expression, InvalidExpression
from sync.levels import DEFAULT_LEVELS, MEMBERS, InvalidLevels, Levels, parse_levels
from sync.ruling import (
    OF_FIELDS_ONLY,
    TEXTUAL,
    WATCHFUL,
    InvalidRuling,
    Rule,
    Ruling,
    parsed,
)

__all__ = ["TEXTUAL", "Rule", "Ruling"]

E = TypeVar("E", bound=StrEnum)

POLICIES = "_policies"
SPACE_KEY = "@space"
RESERVED_PREFIX = "_"
"""Collections that begin so belong to the system; agents read but do not write them."""

MAX_RULES = 256
"""Fields with a rule of their own in one collection; more is a schema in the wrong place."""

MAX_INVARIANTS = 8
"""Each is evaluated at every write of a record."""

INVARIANT_NAMES = ("key", "value")
"""What an invariant is given, as a filter is."""


class Granularity(StrEnum):
    """What concurrent writes are compared by."""

    FIELD = "field"
    RECORD = "record"


class DeleteRule(StrEnum):
    """Who wins when one deletes what another edits."""

    DELETE_WINS = "delete_wins"
    EDIT_WINS = "edit_wins"


class Priority(StrEnum):
    """In which order spaces are drained: an emergency stop overtakes telemetry."""

    CONTROL = "control"
    STATE = "state"
    BULK = "bulk"


class InvalidPolicy(ValueError):
    """A policy that cannot be kept; the message names the member and what is allowed."""

    def __init__(self, message: str, reason: str = "INVALID_POLICY") -> None:
        super().__init__(message)
        self.reason = reason


LAST_WRITER = Ruling()
"""The rule of fields that nothing is said about."""


@dataclass(frozen=True)
class CollectionPolicy:
    """How one collection is merged, and what may be thrown away of it. `revision` is of the commit
    that set it: the version of its rules."""

    granularity: Granularity = Granularity.FIELD
    ruling: Ruling = LAST_WRITER
    fields: Mapping[str, Ruling] = field(default_factory=dict)
    deletes: DeleteRule = DeleteRule.DELETE_WINS
    coalesce: bool = False
    levels: Levels = DEFAULT_LEVELS
    invariants: Mapping[str, Expression] = field(default_factory=dict)
    revision: int = field(default=0, compare=False)

    def ruling_of(self, name: str) -> Ruling:
        return self.fields.get(name, self.ruling)

    def rule_of(self, name: str) -> Rule:
        return self.ruling_of(name).rule

    def fields_with(self, names: Iterable[str], *rules: Rule) -> list[str]:
        """Those of the named fields that have one of these rules."""
        return [name for name in names if self.rule_of(name) in rules]

    @property
    def rule(self) -> Rule:
        """Of all fields that have none of their own, or of the record as a whole."""
        return self.ruling.rule

    @cached_property
    def rules(self) -> frozenset[Rule]:
        """All that occur."""
        return frozenset((self.ruling.rule, *(one.rule for one in self.fields.values())))

    @cached_property
    def has_texts(self) -> bool:
        return not TEXTUAL.isdisjoint(self.rules)

    def texts_in(self, names: Iterable[str]) -> list[str]:
        """Those of the named fields that are edited by splices."""
        return self.fields_with(names, *TEXTUAL)

    @property
    def has_counters(self) -> bool:
        return Rule.COUNTER in self.rules

    @cached_property
    def reshapes(self) -> bool:
        """Whether a record may become another than the one that was put."""
        return not self.rules.isdisjoint({Rule.SET, Rule.MAX, Rule.MIN})

    @cached_property
    def watchful(self) -> bool:
        """Whether writes are looked at even where nothing is concurrent."""
        return bool(self.invariants) or not WATCHFUL.isdisjoint(self.rules)


@dataclass(frozen=True, slots=True)
class SpacePolicy:
    """The space's own settings."""

    priority: Priority = Priority.STATE
    strict: bool = False


DEFAULT = CollectionPolicy()
DEFAULT_SPACE = SpacePolicy()


@dataclass(frozen=True)
class Policies:
    """All policies of a space at one revision."""

    collections: Mapping[str, CollectionPolicy] = field(default_factory=dict)
    space: SpacePolicy = DEFAULT_SPACE

    def of(self, collection: str) -> CollectionPolicy:
        return self.collections.get(collection, DEFAULT)

    def declared(self, collection: str) -> bool:
        return collection in self.collections

    @cached_property
    def watchful(self) -> frozenset[str]:
        """Collections whose writes are looked at even where nothing is concurrent."""
        return frozenset(name for name, policy in self.collections.items() if policy.watchful)

    def with_record(self, key: str, value: bytes | None, revision: int = 0) -> Policies:
        """These policies after the policy record `key` became `value` (None: deleted) at a
        revision.

        Raises InvalidPolicy.
        """
        if key == SPACE_KEY:
            return Policies(self.collections, parse_space(value) if value else DEFAULT_SPACE)
        others = {name: p for name, p in self.collections.items() if name != key}
        if value is not None:
            others[key] = replace(parse_collection(value), revision=revision)
        return Policies(others, self.space)


def parse_collection(text: bytes) -> CollectionPolicy:
    """A collection's policy from its JSON. Raises InvalidPolicy."""
    known = {"granularity", "rule", "fields", "deletes", "coalesce", "invariants"}
    members = _members(text, known | MEMBERS)
    fields = _named(members, "fields", "field names and rules")
    policy = CollectionPolicy(
        granularity=_choice(Granularity, members, "granularity", Granularity.FIELD),
        ruling=_ruling("rule", members.get("rule", "lww")),
        fields={name: _ruling(f"fields.{name}", rule) for name, rule in fields.items()},
        deletes=_choice(DeleteRule, members, "deletes", DeleteRule.DELETE_WINS),
        coalesce=_flag(members, "coalesce"),
        levels=_levels(members),
        invariants=_invariants(members),
    )
    if policy.granularity is Granularity.RECORD:
        _check_whole(policy)
    if policy.has_texts and policy.coalesce:
        raise InvalidPolicy("coalesce: an edit of a text or list builds on every earlier one")
    return policy


def _check_whole(policy: CollectionPolicy) -> None:
    """With the granularity `record` there is one part, and one rule. Raises InvalidPolicy."""
    if policy.fields:
        raise InvalidPolicy("fields: the granularity `record` has no rules of single fields")
    if policy.ruling.rule in OF_FIELDS_ONLY:
        raise InvalidPolicy(f"granularity: `{policy.ruling.rule}` needs `field`")


def parse_space(text: bytes) -> SpacePolicy:
    """A space's own policy from its JSON. Raises InvalidPolicy."""
    members = _members(text, {"priority", "strict"})
    return SpacePolicy(
        priority=_choice(Priority, members, "priority", Priority.STATE),
        strict=_flag(members, "strict"),
    )


def _members(text: bytes, known: set[str]) -> dict[str, object]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise InvalidPolicy("a policy is a JSON object")
    unknown = sorted(set(value) - known)
    if unknown:
        raise InvalidPolicy(f"{unknown[0]}: unknown; known are {', '.join(sorted(known))}")
    return value


def _levels(members: Mapping[str, object]) -> Levels:
    try:
        return parse_levels(members)
    except InvalidLevels as error:
        raise InvalidPolicy(str(error)) from error


def _named(members: dict[str, object], name: str, what: str) -> dict[str, object]:
    found = members.get(name, {})
    if not isinstance(found, dict) or len(found) > MAX_RULES:
        raise InvalidPolicy(f"{name}: an object of at most {MAX_RULES} {what}")
    return found


def _ruling(name: str, value: object) -> Ruling:
    try:
        return parsed(value)
    except InvalidRuling as error:
        raise InvalidPolicy(f"{name}: {error}", error.reason) from error


def _invariants(members: dict[str, object]) -> dict[str, Expression]:
    found = _named(members, "invariants", "names and expressions")
    if len(found) > MAX_INVARIANTS:
        raise InvalidPolicy(f"invariants: at most {MAX_INVARIANTS}")
    made: dict[str, Expression] = {}
    for name, text in found.items():
        if not isinstance(text, str):
            raise InvalidPolicy(f"invariants.{name}: a CEL expression as a text")
        try:
            made[name] = Expression(text, INVARIANT_NAMES)
        except InvalidExpression as error:
            raise InvalidPolicy(f"invariants.{name}: {error}") from error
    return made


def _choice(kind: type[E], members: dict[str, object], name: str, default: E) -> E:
    value = members.get(name, default)
    if not isinstance(value, str) or value not in set(kind):
        raise InvalidPolicy(f"{name}: one of {', '.join(kind)}")
    return kind(value)


def _flag(members: dict[str, object], name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise InvalidPolicy(f"{name}: true or false")
    return value
