"""What differs between two states, and putting some places of one into the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import errors
from holdfast.client import checkpoint_diff as diffs
from holdfast.client import values
from holdfast.client.checkpoint_diff import diff, with_paths
from holdfast.client.checkpoint_records import JSON, Checkpoint, CheckpointKind, StatePart


def checkpoint(**parts: Any) -> Checkpoint:
    made = {
        name: part
        if isinstance(part, StatePart)
        else StatePart.of(values.encode_field(part).encode(), JSON)
        for name, part in parts.items()
    }
    return Checkpoint(
        "id", "t", "s", "", "", CheckpointKind.AUTO, "", {}, "", made, 0, 0, 0, None, None
    )


def paths(before: Any, after: Any) -> list[tuple[str, str, Any, Any]]:
    changed = diff(checkpoint(state=before), checkpoint(state=after))
    if not changed:
        return []
    assert changed[0].paths is not None
    return [(one.path, str(one.change), one.before, one.after) for one in changed[0].paths]


def test_paths_are_pointers_to_what_differs() -> None:
    before: dict[str, Any] = {
        "a": {"b": 1, "c~/": 2},
        "list": [1, 2, 3],
        "gone": None,
        "same": [{}],
    }
    after = {"a": {"b": 1.0, "c~/": 3}, "list": [1, 9], "new": {}, "same": [{}]}
    assert paths(before, after) == [
        ("/a/b", "changed", 1, 1.0),
        ("/a/c~0~1", "changed", 2, 3),
        ("/gone", "removed", None, None),
        ("/list/1", "changed", 2, 9),
        ("/list/2", "removed", 3, None),
        ("/new", "added", None, {}),
    ]
    assert paths(before, before) == []


def test_parts_that_are_not_json_are_told_by_what_they_are() -> None:
    one, other = StatePart.of(b"1", "raw"), StatePart.of(b"2", "raw")
    found = diff(checkpoint(p=one, q=one, r={}), checkpoint(p=other, s={}, q=one))
    assert [(each.name, str(each.change), each.paths) for each in found] == [
        ("p", "changed", None), ("r", "removed", None), ("s", "added", None),
    ]  # fmt: skip


def test_no_more_paths_are_told_than_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffs, "MAX_PATHS", 3)
    (found,) = diff(checkpoint(state=[0] * 9), checkpoint(state=[1] * 9))
    assert found.paths is not None
    assert (len(found.paths), found.truncated) == (3, True)


NAMES = st.text("ab~/", max_size=2)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(JSON_VALUES, JSON_VALUES)
def test_nothing_differs_exactly_where_the_texts_are_equal(one: Any, other: Any) -> None:
    assert (paths(one, other) == []) == values.same(one, other)


def test_some_places_are_put_back() -> None:
    present = {"a": {"b": 1, "x": 5}, "plan": [1, 2], "new": 7}
    wanted = {"a": {"b": 0, "c": {"d": 4}}, "plan": [3]}
    assert with_paths(present, wanted, ("/a/b", "/plan")) == (
        {"a": {"b": 0, "x": 5}, "plan": [3], "new": 7}
    )
    assert with_paths(present, wanted, ("/a/c/d", "/new")) == (
        {"a": {"b": 1, "x": 5, "c": {"d": 4}}, "plan": [1, 2]}
    )
    assert with_paths(present, wanted, ("/a/x",)) == {**present, "a": {"b": 1}}
    assert with_paths(present, wanted, ("/none/at/all",)) == present
    for path in ("a", "/plan/0", "/new/x"):
        with pytest.raises(errors.InvalidArgument):
            with_paths(present, wanted, (path,))
