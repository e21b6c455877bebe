"""The log replayed by another hand than production's: plain JSON objects, a dozen lines of rules.

Invariant: `at(name, revision)` is the record's live value after that revision, None if absent.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sync.commit import Kind

if TYPE_CHECKING:
    from tests.blackbox.hub_rows import Entry, Name

MARKS = {Kind.MAX: True, Kind.MAX_CREATE: True, Kind.MIN: False, Kind.MIN_CREATE: False}

Value = dict[str, Any] | None


def step(kind: int, payload: bytes, live: Value) -> Value:
    """The live value after one operation."""
    if kind == Kind.DELETE:
        return None
    if kind == Kind.NONE:
        return live
    content: Any = json.loads(payload)
    if kind == Kind.REPLACE or (kind == Kind.CREATE and live is None):
        return dict(content)
    if kind == Kind.CREATE:
        return {**(live or {}), **content}
    if kind in (Kind.SPLICE, Kind.SPLICE_CREATE):
        return _spliced(kind, json.loads(payload), live)
    if kind in (Kind.ADD, Kind.ADD_CREATE):
        if live is None and kind == Kind.ADD:
            return None
        had = live or {}
        return {**had, **{name: had.get(name, 0) + more for name, more in content.items()}}
    if kind in (Kind.SET_ADD, Kind.SET_ADD_CREATE, Kind.SET_REMOVE):
        return _members(kind, content, live)
    if kind in MARKS:
        return _marks(kind, content, live)
    if live is None:
        return None
    if kind == Kind.PATCH:
        return {**live, **content}
    assert kind == Kind.REMOVE, kind
    return {name: value for name, value in live.items() if name not in content}


class Replay:
    """Every state that a space ever had."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._states: dict[Name, tuple[list[int], list[Value]]] = {}
        for entry in entries:
            for op in entry.ops:
                if op.kind != Kind.NONE:
                    self._write((op.collection, op.key), entry.revision, op.kind, op.payload)

    def _write(self, name: Name, revision: int, kind: int, payload: bytes) -> None:
        revisions, values = self._states.setdefault(name, ([0], [None]))
        after = step(kind, payload, values[-1])
        if revisions[-1] == revision:
            values[-1] = after
        else:
            revisions.append(revision)
            values.append(after)

    def at(self, name: Name, revision: int) -> Value:
        return self.state(name, revision)[1]

    def state(self, name: Name, revision: int) -> tuple[int, Value]:
        """The revision that last wrote a record, and its value then."""
        revisions, values = self._states.get(name, ([0], [None]))
        place = bisect_right(revisions, revision) - 1
        return revisions[place], values[place]

    def live(self, revision: int) -> dict[Name, tuple[int, dict[str, Any]]]:
        """All live records after a revision."""
        found = {}
        for name in self._states:
            at, value = self.state(name, revision)
            if value is not None:
                found[name] = at, value
        return found


def _marks(kind: int, content: dict[str, Any], live: Value) -> Value:
    """Watermarks go one way; what stands stays if neither is beyond the other."""
    if live is None and kind not in (Kind.MAX_CREATE, Kind.MIN_CREATE):
        return None
    after = dict(live or {})
    for name, value in content.items():
        had = after.get(name)
        beyond = had is None or (value > had if MARKS[Kind(kind)] else value < had)
        after[name] = value if beyond else had
    return after


def _members(kind: int, content: dict[str, list[Any]], live: Value) -> Value:
    """Elements of sets come or go; a set has them in the order of their texts."""
    if live is None and kind != Kind.SET_ADD_CREATE:
        return None
    after = dict(live or {})
    for name, elements in content.items():
        texts = {_text(one) for one in after.get(name, ())}
        changed = {_text(one) for one in elements}
        texts = texts - changed if kind == Kind.SET_REMOVE else texts | changed
        after[name] = [json.loads(text) for text in sorted(texts, key=str.encode)]
    return after


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _spliced(kind: int, edits: dict[str, list[Any]], live: Value) -> Value:
    """Runs over documents: a number above zero keeps, one below deletes, the rest is inserted."""
    if live is None and kind == Kind.SPLICE:
        return None
    after = dict(live or {})
    for name, runs in edits.items():
        text = after.get(name, [] if any(isinstance(run, list) for run in runs) else "")
        at, made = 0, text[:0]
        for run in runs:
            if isinstance(run, int):
                made += text[at : at + run] if run > 0 else text[:0]
                at += abs(run)
            else:
                made += run
        assert at == len(text), f"{name}: an edit of {at} units, where there are {len(text)}"
        after[name] = made
    return after
