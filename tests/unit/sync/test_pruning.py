"""What a policy keeps, and that nothing goes which a run or a person still needs."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sync.pruning import DAY_MS, MAX_ANCESTORS, Policy, Step, kept, nearest

NOW = 20 * DAY_MS


def thread(count: int, *, every_ms: int = DAY_MS // 4) -> list[Step]:
    """Steps one after the other, the last of them now."""
    ids = [f"{i:04}" for i in range(count)]
    return [
        Step(name, ids[i - 1] if i else None, NOW - (count - 1 - i) * every_ms, 100)
        for i, name in enumerate(ids)
    ]


def test_the_last_so_many() -> None:
    assert kept(thread(10), Policy(last=3), NOW) == {"0007", "0008", "0009"}


def test_the_newest_of_each_of_the_last_days() -> None:
    # The last is the first of its day, and before it four a day.
    assert kept(thread(10), Policy(daily=3), NOW) == {"0009", "0008", "0004"}


def test_what_is_young() -> None:
    assert kept(thread(10), Policy(ttl_ms=DAY_MS // 2), NOW) == {"0008", "0009"}


def test_rules_add_up() -> None:
    both = Policy(last=2, daily=2)
    assert kept(thread(10), both, NOW) == {"0008", "0009"}
    assert kept(thread(10), Policy(last=3, daily=3), NOW) == {"0004", "0007", "0008", "0009"}


def test_a_budget_takes_the_oldest_first() -> None:
    assert kept(thread(10), Policy(budget=350), NOW) == {"0007", "0008", "0009"}
    assert kept(thread(10), Policy(last=5, budget=200), NOW) == {"0008", "0009"}


def test_heads_names_and_unfinished_tasks_stay_whatever_the_policy() -> None:
    steps = thread(10)
    steps[2] = Step("0002", "0001", 0, 100, name="before the storm")
    steps[4] = Step("0004", "0003", 0, 100, unfinished=True)
    steps.append(Step("0010", "0001", NOW, 100))
    always = {"0002", "0004", "0009", "0010"}
    assert kept(steps, Policy(last=0, daily=0, ttl_ms=0, budget=0), NOW) == always


def test_no_rule_keeps_all() -> None:
    assert len(kept(thread(10), Policy(), NOW)) == 10


STEPS = st.lists(
    st.builds(
        Step,
        id=st.integers(0, 99).map("{:02}".format),
        parent=st.none() | st.integers(0, 99).map("{:02}".format),
        at_ms=st.integers(0, NOW),
        bytes=st.integers(0, 1_000),
        name=st.sampled_from(["", "", "", "name"]),
        unfinished=st.booleans(),
    ),
    unique_by=lambda step: step.id,
)
RULE = st.none() | st.integers(0, 10)


@given(STEPS, RULE, RULE, RULE, st.none() | st.integers(0, 5_000), st.randoms())
def test_laws_of_every_policy(
    steps: list[Step],
    last: int | None,
    daily: int | None,
    days: int | None,
    budget: int | None,
    order: random.Random,
) -> None:
    policy = Policy(last, daily, None if days is None else days * DAY_MS, budget)
    stay = kept(steps, policy, NOW)
    assert stay <= {step.id for step in steps}
    followed = {step.parent for step in steps}
    always = {s.id for s in steps if s.name or s.unfinished or s.id not in followed}
    assert always <= stay
    shuffled = list(steps)
    order.shuffle(shuffled)
    assert kept(shuffled, policy, NOW) == stay
    if budget is not None and stay != always:
        assert sum(step.bytes for step in steps if step.id in stay) <= budget
    if budget is None and last is not None:
        assert stay <= kept(steps, Policy(last + 1, daily, policy.ttl_ms), NOW)


def test_the_nearest_sound_ancestor() -> None:
    parents = {"d": "c", "c": "b", "b": "a", "a": None}
    assert nearest("d", parents, lambda name: name in "ab") == "b"
    assert nearest("d", parents, lambda name: name == "d") == ""
    assert nearest("x", parents, lambda _: True) == ""
    assert nearest("d", {"d": "gone"}, lambda _: True) == ""


def test_the_search_for_an_ancestor_ends() -> None:
    asked: list[str] = []

    def look(name: str) -> bool:
        asked.append(name)
        return False

    circle = {"a": "b", "b": "a"}
    assert nearest("a", circle, look) == ""
    assert len(asked) == MAX_ANCESTORS
