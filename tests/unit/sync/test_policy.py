"""Policies as records of their space."""

from __future__ import annotations

import json

import pytest

from sync.policy import (
    DEFAULT,
    DEFAULT_SPACE,
    MAX_RULES,
    SPACE_KEY,
    CollectionPolicy,
    DeleteRule,
    Granularity,
    InvalidPolicy,
    Policies,
    Priority,
    Rule,
    Ruling,
    SpacePolicy,
    parse_collection,
    parse_space,
)


def test_an_empty_policy_is_the_default() -> None:
    assert parse_collection(b"{}") == DEFAULT == Policies().of("robots")
    assert parse_space(b"{}") == DEFAULT_SPACE


def test_every_member_says_what_it_says() -> None:
    text = b'{"coalesce":true,"deletes":"edit_wins","fields":{"n":"counter","x":"lww"}}'
    policy = parse_collection(text)
    assert (policy.coalesce, policy.deletes) == (True, DeleteRule.EDIT_WINS)
    assert [policy.rule_of(name) for name in "nxy"] == [Rule.COUNTER, Rule.LWW, Rule.LWW]
    assert policy.has_counters
    assert parse_collection(b'{"rule":"counter"}').rule_of("any") is Rule.COUNTER
    assert parse_collection(b'{"granularity":"record"}').granularity is Granularity.RECORD
    assert parse_space(b'{"priority":"control","strict":true}') == SpacePolicy(
        Priority.CONTROL, True
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"colour":"red"}', "colour"),
        ('{"granularity":"table"}', "granularity"),
        ('{"granularity":["field"]}', "granularity"),
        ('{"granularity":null}', "granularity"),
        ('{"rule":"newest"}', "rule"),
        ('{"rule":{}}', "rule"),
        ('{"rule":1}', "rule"),
        ('{"fields":[]}', "fields"),
        ('{"fields":{"n":["counter"]}}', "fields.n"),
        ('{"fields":{"n":null}}', "fields.n"),
        ('{"deletes":true}', "deletes"),
        ('{"deletes":{"a":1}}', "deletes"),
        ('{"coalesce":1}', "coalesce"),
        ('{"coalesce":"yes"}', "coalesce"),
        ('{"granularity":"record","rule":"counter"}', "granularity"),
        ('{"granularity":"record","fields":{"n":"counter"}}', "granularity"),
        ("[]", "object"),
        ("1", "object"),
        (json.dumps({"fields": {f"f{i}": "lww" for i in range(MAX_RULES + 1)}}), "fields"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused_by_name(text: str, names: str) -> None:
    with pytest.raises(InvalidPolicy, match=names) as caught:
        parse_collection(text.encode())
    assert caught.value.reason == "INVALID_POLICY"


@pytest.mark.parametrize("text", ['{"strict":1}', '{"priority":[]}', '{"rule":"lww"}', "[]"])
def test_a_space_policy_that_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(InvalidPolicy):
        parse_space(text.encode())


@pytest.mark.promise("level.unbuilt-refused")
def test_policies_follow_their_records() -> None:
    policies = Policies().with_record("jobs", b'{"coalesce":true}')
    assert (policies.declared("jobs"), policies.declared("robots")) == (True, False)
    policies = policies.with_record(SPACE_KEY, b'{"strict":true}')
    assert (policies.space.strict, policies.of("jobs").coalesce) == (True, True)
    policies = policies.with_record("jobs", None)
    assert (policies.declared("jobs"), policies.space.strict) == (False, True)
    assert policies.with_record(SPACE_KEY, None).space == DEFAULT_SPACE
    assert policies.with_record("jobs", None) == policies


def test_the_default_decides_where_nothing_else_does() -> None:
    assert CollectionPolicy(fields={"n": Ruling(Rule.COUNTER)}).rule_of("x") is Rule.LWW
