"""The texts and lists that a transaction works on: what was edited lately, and by whom unseen.

For each document the hub keeps the splices as they took effect. For each origin whose own document
differs from the hub's it keeps a bridge between the two, as of that origin's newest splice; what
others did since is added when it is needed. So a splice is placed by what its author had not seen,
however long his own were pipelined, and it costs what the two documents differ in.

A field that is written in another way than by splices, or a record that is deleted, is a barrier:
whoever had not seen it edits what is no more.

Invariant: what is tried for a commit is not there for others before `accept`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from sync.context import Author, Part
from sync.transform import Splice, SpliceMismatch
from sync.weave import Bridge
from sync.working import Key

WHOLE = ""
"""In the place of a field: all of them."""


class Edited(NamedTuple):
    """One edit of a document as it took effect; None is a barrier."""

    field: str
    part: Part
    effect: Splice | None


@dataclass(frozen=True, slots=True)
class Span:
    """A bridge as of its origin's newest edit, `last`. It is broken (None) after an edit that could
    not be placed: until its author has seen that, nothing that he wrote on it can be."""

    last: Part
    bridge: Bridge | None


SpanKey = tuple[Key, str, int]
"""Record, field, and the hub's number of the origin."""


class Unplaceable(Exception):
    """An edit of a document that is no more, or never was. `kind` is that of the conflict, `part`
    what stands in its way."""

    def __init__(self, kind: str, part: Part | None = None) -> None:
        super().__init__(kind)
        self.kind, self.part = kind, part


@dataclass(slots=True)
class Texts:
    """What a transaction has loaded of documents, and what it makes of them.

    `edited` are new edits, `spans` all bridges; `stored` names those that the database has, and
    `touched` those that changed.
    """

    history: dict[Key, list[Edited]] = field(default_factory=dict)
    spans: dict[SpanKey, Span] = field(default_factory=dict)
    edited: list[tuple[Key, Edited]] = field(default_factory=list)
    touched: set[SpanKey] = field(default_factory=set)
    stored: set[SpanKey] = field(default_factory=set)
    _tried: list[tuple[Key, Edited]] = field(default_factory=list)
    _tried_spans: dict[SpanKey, Span] = field(default_factory=dict)
    _met: set[tuple[Key, str]] = field(default_factory=set)

    # -- one commit ----------------------------------------------------------

    def accept(self) -> None:
        """The commit stands."""
        for key, one in self._tried:
            self.history.setdefault(key, []).append(one)
        self.edited += self._tried
        self.spans.update(self._tried_spans)
        self.touched.update(self._tried_spans)
        self.discard()

    def discard(self) -> None:
        """The commit is rejected."""
        self._tried.clear()
        self._tried_spans.clear()
        self._met.clear()

    def place(
        self, key: Key, name: str, author: Author, edit: Splice, length: int, reviving: int = 0
    ) -> Splice:
        """The edit as it takes effect on a document of `length` units. Raises Unplaceable."""
        bridge = self._bridge(key, name, author, length, reviving)
        if not bridge.even:
            self._met.add((key, name))
        try:
            effect = bridge.own(edit)
        except SpliceMismatch as mismatch:
            raise Unplaceable("missing_base") from mismatch
        self._tried.append((key, Edited(name, author.part, effect)))
        self._tried_spans[key, name, author.origin] = Span(author.part, bridge)
        return effect

    def length_of(self, key: Key, name: str, author: Author, length: int) -> int:
        """Of the document that an author had before his eyes. Raises Unplaceable."""
        return self._bridge(key, name, author, length).length

    def met_others(self, key: Key, names: Iterable[str]) -> bool:
        """Whether an edit of these fields, just placed, was not on all that the hub has."""
        return any((key, name) in self._met for name in names)

    def barrier(self, key: Key, names: Iterable[str], part: Part) -> None:
        """These fields were written in another way."""
        self._tried += [(key, Edited(name, part, None)) for name in names]

    def refuse(self, key: Key, name: str, author: Author, edit: Splice, length: int) -> None:
        """An edit has no effect; those that its author wrote on it go on without."""
        try:
            bridge = self._bridge(key, name, author, length)
            bridge.refuse(edit, author.revision)
        except (Unplaceable, SpliceMismatch):
            self.lose(key, name, author)
            return
        self._tried_spans[key, name, author.origin] = Span(author.part, bridge)

    def lose(self, key: Key, name: str, author: Author) -> None:
        """An edit could not be placed, nor can those that its author wrote on it."""
        self._tried_spans[key, name, author.origin] = Span(author.part, None)

    # -- what the author had before his eyes ---------------------------------

    def _bridge(
        self, key: Key, name: str, author: Author, length: int, reviving: int = 0
    ) -> Bridge:
        """From the author's document to the hub's, which has `length` units."""
        edits = [one for one in self._of(key) if one.field in (name, WHOLE)]
        start = author.base
        fallen = [
            one.part
            for one in edits
            if one.effect is None and one.part.revision > start and one.part.revision != reviving
        ]
        if fallen:
            if author.concurrent(fallen[-1]):
                raise Unplaceable("concurrent", fallen[-1])
            start = fallen[-1].revision
        self._span((key, WHOLE, author), start)
        span = self._span((key, name, author), start)
        if span is not None and span.bridge is not None:
            since, bridge = span.last.revision, Bridge(span.bridge.base, span.bridge.strands)
        else:
            since = self._known_from(edits, author, start)
            later = [one.effect for one in edits if one.part.revision > since and one.effect]
            grown = sum(effect.after - effect.before for effect in later)
            bridge = Bridge.over(length - grown, since)
        for one in edits:
            own = one.part.origin == author.origin and author.saw(one.part.origin, one.part.seq)
            if one.part.revision > since and one.effect is not None and not own:
                if not author.concurrent(one.part) and one.part.revision > author.base:
                    raise Unplaceable("missing_base", one.part)  # seen amidst what was not
                bridge.foreign(one.effect, one.part.revision)
        bridge.advance(author.base)
        return bridge

    def _of(self, key: Key) -> list[Edited]:
        """With what the commit itself has done."""
        mine = [one for named, one in self._tried if named == key]
        return [*self.history.get(key, ()), *mine]

    def _span(self, of: tuple[Key, str, Author], start: int) -> Span | None:
        """The bridge that the author's edit continues; one from before `start` is of no use only if
        a barrier came after it. Raises Unplaceable for one that is broken."""
        key, name, author = of
        place = (key, name, author.origin)
        span = self._tried_spans.get(place) or self.spans.get(place)
        if span is None or not (author.saw(author.origin, span.last.seq) or
                                span.last.revision <= author.base):  # fmt: skip
            return None
        if span.bridge is None:
            if author.base < span.last.revision:
                raise Unplaceable("missing_base", span.last)
            return None
        return span if span.last.revision >= start or start == author.base else None

    @staticmethod
    def _known_from(edits: list[Edited], author: Author, start: int) -> int:
        """The revision from which on the author has seen nothing but his base."""
        seen = [
            one.part.revision
            for one in edits
            if one.part.revision > start and not author.concurrent(one.part)
        ]
        since = max(seen, default=start)
        if any(start < one.part.revision < since and author.concurrent(one.part) for one in edits):
            raise Unplaceable("missing_base")
        return since
