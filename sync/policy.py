"""Policies: which rule decides where.

A policy is a record of its space, in the reserved collection `_policies`, so
that a change of policy takes a revision like any other commit and every replica
has it. The key is the name of the collection; the space's own policy has the
key "@space" (no collection can be called so).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from sync.levels import DEFAULT_LEVELS, MEMBERS, InvalidLevels, Levels, parse_levels

E = TypeVar("E", bound=StrEnum)

POLICIES = "_policies"
SPACE_KEY = "@space"
RESERVED_PREFIX = "_"
"""Collections that begin so belong to the system; agents read but do not write them."""

MAX_RULES = 256
"""Fields with a rule of their own in one collection; more is a schema in the wrong place."""


class Rule(StrEnum):
    """How concurrent writes of a field are merged."""

    LWW = "lww"
    COUNTER = "counter"


NOT_IMPLEMENTED = frozenset(
    {"first", "max", "min", "set", "rank", "priority", "owner", "siblings", "expr", "text"}
    | {"list", "ask"}
)
"""Rules that are named but not built: refused by name, never accepted and ignored."""


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


@dataclass(frozen=True, slots=True)
class CollectionPolicy:
    """How one collection is merged, and what may be thrown away of it."""

    granularity: Granularity = Granularity.FIELD
    rule: Rule = Rule.LWW
    fields: Mapping[str, Rule] = field(default_factory=dict)
    deletes: DeleteRule = DeleteRule.DELETE_WINS
    coalesce: bool = False
    levels: Levels = DEFAULT_LEVELS

    def rule_of(self, name: str) -> Rule:
        return self.fields.get(name, self.rule)

    @property
    def has_counters(self) -> bool:
        return self.rule is Rule.COUNTER or Rule.COUNTER in self.fields.values()


@dataclass(frozen=True, slots=True)
class SpacePolicy:
    """The space's own settings."""

    priority: Priority = Priority.STATE
    strict: bool = False


DEFAULT = CollectionPolicy()
DEFAULT_SPACE = SpacePolicy()


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies of a space at one revision."""

    collections: Mapping[str, CollectionPolicy] = field(default_factory=dict)
    space: SpacePolicy = DEFAULT_SPACE

    def of(self, collection: str) -> CollectionPolicy:
        return self.collections.get(collection, DEFAULT)

    def declared(self, collection: str) -> bool:
        return collection in self.collections

    def with_record(self, key: str, value: bytes | None) -> Policies:
        """These policies after the policy record `key` became `value` (None: deleted).

        Raises InvalidPolicy.
        """
        if key == SPACE_KEY:
            return Policies(self.collections, parse_space(value) if value else DEFAULT_SPACE)
        others = {name: p for name, p in self.collections.items() if name != key}
        if value is not None:
            others[key] = parse_collection(value)
        return Policies(others, self.space)


def parse_collection(text: bytes) -> CollectionPolicy:
    """A collection's policy from its JSON. Raises InvalidPolicy."""
    members = _members(text, {"granularity", "rule", "fields", "deletes", "coalesce"} | MEMBERS)
    fields = members.get("fields", {})
    if not isinstance(fields, dict) or len(fields) > MAX_RULES:
        raise InvalidPolicy(f"fields: an object of at most {MAX_RULES} field names and rules")
    policy = CollectionPolicy(
        granularity=_choice(Granularity, members, "granularity", Granularity.FIELD),
        rule=_rule("rule", members.get("rule", "lww")),
        fields={name: _rule(f"fields.{name}", rule) for name, rule in fields.items()},
        deletes=_choice(DeleteRule, members, "deletes", DeleteRule.DELETE_WINS),
        coalesce=_flag(members, "coalesce"),
        levels=_levels(members),
    )
    if policy.granularity is Granularity.RECORD and policy.has_counters:
        raise InvalidPolicy("granularity: counters need `field`; a whole record cannot be added to")
    return policy


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


def _rule(name: str, value: object) -> Rule:
    if isinstance(value, str) and value in NOT_IMPLEMENTED:
        raise InvalidPolicy(f"{name}: the rule `{value}` is not implemented", "NOT_IMPLEMENTED")
    if not isinstance(value, str) or value not in set(Rule):
        raise InvalidPolicy(f"{name}: one of {', '.join(Rule)}")
    return Rule(value)


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
