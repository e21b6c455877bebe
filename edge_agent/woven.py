"""Texts and lists with pending edits: what the hub has, and what this edge makes of it.

A splice in the outbox says what was edited of the document that its author had before him. What
others do meanwhile moves it, so the view of a document is not made by doing pending splices anew:
each has a weave (sync.weave) that says which units are the hub's, which are pending, and which
pending edits deleted. Weaves change in the transaction that changes the records.

While an own write of another sort is pending on a field, what others do to that field does not
show: the weave is grounded on it.

Invariant: of a document, the view = its weave shown on the hub's record with own pending writes of
other sorts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.states import SQL, Name, by_collection
from sync import splices, values
from sync.apply import fields_of
from sync.commit import Kind
from sync.splices import Edits
from sync.transform import Content, Splice, SpliceMismatch
from sync.values import InvalidValue
from sync.weave import Thread, Undecided

SPLICES = frozenset({Kind.SPLICE, Kind.SPLICE_CREATE})


def tag(ordinal: int, seq: int, idx: int) -> int:
    """The name of one pending operation, growing with their order."""
    return (ordinal << 64) | (seq << 16) | (idx + 1)


@dataclass(slots=True)
class Woven:
    """One document. `ground` is the own pending write that it stands on, 0 for the hub's record."""

    undecided: Undecided
    ground: int = 0


@dataclass(slots=True)
class Weaves:
    """The documents of some records of a space, within one transaction."""

    connection: sqlite3.Connection
    space: str
    found: dict[Name, dict[str, Woven]] = field(default_factory=dict)
    changed: set[tuple[Name, str]] = field(default_factory=set)

    def load(self, names: Iterable[Name]) -> None:
        """Loads those of these records that have weaves and were not loaded before."""
        for collection, keys in by_collection(set(names) - self.found.keys()).items():
            for key in keys:
                self.found[collection, key] = {}
            rows = self.connection.execute(
                SQL["weaves"], (self.space, collection, json.dumps(keys))
            )
            for key, name, ground, threads in rows:
                woven = Woven(Undecided(map(_thread, json.loads(threads))), int(ground))
                self.found[collection, key][name] = woven

    def of(self, record: Name) -> Mapping[str, Woven]:
        """The weaves of a loaded record."""
        return self.found.get(record, {})

    # -- own -----------------------------------------------------------------

    def write(self, record: Name, edits: Edits, name: int) -> None:
        """A pending splice on top. An edit that does not fit has no effect in the view: the hub
        will say what becomes of it."""
        for field_, edit in edits.items():
            woven = self.found.setdefault(record, {}).get(field_)
            try:
                if woven is None:  # nothing is pending on it, so it was written on what is there
                    woven = Woven(Undecided.over(edit.before), self._ground(record, field_, name))
                woven.undecided.own(edit, name)
            except SpliceMismatch:
                continue
            self.found[record][field_] = woven
            self.changed.add((record, field_))

    def wrote(self, record: Name, kind: int, payload: bytes) -> None:
        """A pending write of another sort on top: what was woven before stands on it no more."""
        for field_ in list(self.of(record)):
            if _touches(field_, kind, payload):
                self._drop(record, field_)

    def _ground(self, record: Name, field_: str, before: int) -> int:
        """The newest own pending write of another sort on a field; 0 for none."""
        collection, key = record
        rows = self.connection.execute(
            SQL["pending_of_records"], (self.space, collection, json.dumps([key]))
        )
        found = 0
        for _, kind, payload, ordinal, seq, _, _, _, idx in rows:
            name = tag(ordinal, seq, idx)
            if name < before and kind not in SPLICES and _touches(field_, kind, payload):
                found = name
        return found

    # -- the hub's -----------------------------------------------------------

    def foreign(self, record: Name, edits: Edits) -> None:
        """Splices of others took effect."""
        for field_, edit in edits.items():
            woven = self.of(record).get(field_)
            if woven is not None and not woven.ground:
                self._try(record, field_, edit)

    def _try(self, record: Name, field_: str, edit: Splice) -> None:
        try:
            self.found[record][field_].undecided.foreign(edit)
        except SpliceMismatch:  # begun on another document: what is pending shows no more
            self.found[record][field_] = Woven(Undecided([]))
        self.changed.add((record, field_))

    def replaced(self, record: Name, kind: int, payload: bytes) -> None:
        """Others wrote fields in another way: what is pending on those is no more."""
        for field_, woven in list(self.of(record).items()):
            if not woven.ground and _touches(field_, kind, payload):
                self._drop(record, field_)

    def knows(self, record: Name, name: int) -> bool:
        """Whether an own pending operation is in what is shown of a record's documents."""
        return any(one.ground == name or _has(one, name) for one in self.of(record).values())

    def decided(self, record: Name, name: int, effect: Edits | None, *, stands: bool) -> bool:
        """An own pending operation is decided, a splice with this effect; it `stands` if it has
        any. Returns whether all that is shown does."""
        for field_, woven in list(self.of(record).items()):
            said = effect.get(field_) if effect is not None else None
            self.changed.add((record, field_))
            if woven.ground == name:
                woven.ground = 0
                if not stands:
                    self._drop(record, field_)
            elif not _has(woven, name):
                if said is not None:
                    stands = False
                    self._try(record, field_, said)
            elif said is not None and not woven.ground and woven.undecided.written(name) == said:
                woven.undecided.settle(name)
            else:
                stands = False
                woven.undecided.refuse(name)
                if said is not None and not woven.ground:
                    self._try(record, field_, said)
        return stands

    # -- the view ------------------------------------------------------------

    def shown(self, record: Name, live: bytes | None) -> bytes | None:
        """The record with its pending splices; `live` has everything else."""
        woven = self.of(record)
        if live is None or not woven:
            return live
        texts = values.fields(live)
        for field_, one in woven.items():
            content = _content(texts.get(field_), one)
            if content is None:
                continue
            try:
                after = one.undecided.shown(content)
            except SpliceMismatch:
                continue
            if field_ in texts or after:
                texts[field_] = splices.text_of(after)
        try:
            return values.join(texts)
        except InvalidValue:
            return live

    def save(self) -> None:
        """Writes what has changed; what has nothing pending any more goes."""
        for record, field_ in sorted(self.changed):
            woven = self.of(record).get(field_)
            where = (self.space, *record, field_)
            if woven is None or woven.undecided.even:
                self.connection.execute(SQL["drop_weave"], where)
                self.found.get(record, {}).pop(field_, None)
            else:
                threads = json.dumps([_written(t) for t in woven.undecided.threads])
                self.connection.execute(SQL["put_weave"], (*where, str(woven.ground), threads))
        self.changed.clear()

    def _drop(self, record: Name, field_: str) -> None:
        del self.found[record][field_]
        self.changed.add((record, field_))


def _has(woven: Woven, name: int) -> bool:
    return any(name in (thread.since, thread.until) for thread in woven.undecided.threads)


def _touches(field_: str, kind: int, payload: bytes) -> bool:
    """Whether an operation that is no splice writes a field."""
    if kind in (Kind.DELETE, Kind.REPLACE):
        return True
    return kind != Kind.NONE and bool(payload) and field_ in fields_of(kind, payload)


def _content(text: bytes | None, woven: Woven) -> Content | None:
    """The document that a weave is on; None for what is none."""
    if text is None:
        lists = any(isinstance(thread.content, tuple) for thread in woven.undecided.threads)
        return () if lists else ""
    return splices.content_of(text, Splice((), 0, 0)) if text[:1] in (b'"', b"[") else None


def _written(thread: Thread) -> list[Any]:
    content = thread.content
    if isinstance(content, tuple):
        return [thread.units, thread.since, thread.until, [one.decode() for one in content]]
    return [thread.units, thread.since, thread.until, content]


def _thread(members: list[Any]) -> list[Any]:
    content = members[3]
    if isinstance(content, list):
        content = tuple(one.encode() for one in content)
    return [*members[:3], content]
