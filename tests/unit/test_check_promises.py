"""The checker of promises finds each way in which a promise and its tests can come apart."""

from __future__ import annotations

import pytest

from tests.check_promises import Mark, Promise, compare, marks_of, read_promises

KEPT = Promise("a-1", "Nothing is lost.", "kept", "")
LATER = Promise("a-2", "Nothing is stale.", "later", "needs snapshots")


def test_a_kept_promise_needs_a_mark() -> None:
    assert compare([KEPT, LATER], [Mark("a-1", "x:1")]) == []
    (fault,) = compare([KEPT, LATER], [])
    assert "a-1" in fault


def test_a_mark_needs_a_promise() -> None:
    (fault,) = compare([LATER], [Mark("a-9", "tests/x.py:3")])
    assert "tests/x.py:3" in fault
    assert "a-9" in fault


def test_marks_are_found_wherever_they_stand() -> None:
    source = """
pytestmark = pytest.mark.promise("on-module")

@pytest.mark.promise("on-class")
class TestIt:
    @mark.promise("one", "two")
    def test_it(self): ...

    @pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.promise("on-case"))])
    def test_cases(self, n): ...

    @pytest.mark.promise(NAME)
    def test_named(self): ...
"""
    found = {mark.id for mark in marks_of(source, "x.py")}
    assert found == {"on-module", "on-class", "one", "two", "on-case", ""}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ('id = "x"\nsays = "s"\nstatus = "kept"', None),
        ('id = "x"\nsays = "s"\nstatus = "done"', "status 'done'"),
        ('id = "x"\nsays = "s"\nstatus = "later"', "because"),
        ('id = "x"\nstatus = "kept"', "`says`"),
        ('says = "s"\nstatus = "kept"', "`id`"),
        ('id = "x"\nsays = "s"\nstatus = "kept"\nwhy = "w"', "`why`"),
    ],
)
def test_an_entry_must_be_whole(entry: str, fault: str | None) -> None:
    _, faults = read_promises(f"[[promise]]\n{entry}\n")
    assert len(faults) == (fault is not None)
    assert all(fault is not None and fault in found for found in faults)


def test_an_id_is_stated_once() -> None:
    entry = '[[promise]]\nid = "x"\nsays = "s"\nstatus = "kept"\n'
    _, faults = read_promises(entry * 2)
    assert faults == ["promise x: stated 2 times"]
