"""Edits of texts and lists, and how two that did not know of each other become one.

An edit is a `Splice`: runs that retain, insert or delete, over the whole of a document, in code
points of a text or elements of a list. The algebra is that of operational transformation with a
server that orders: `transform` satisfies TP1, and TP2 is not needed, since every edit meets others
in the hub's order only.

Where two edits insert at one place, the leading one (the earlier in the hub's order) goes to the
left. What is inserted beside a deletion of the same edit stands before it.

Transforming over a composition is not always transforming over its parts: what was deleted in
between is no longer there to keep two insertions apart. Whoever follows two histories edit by edit
uses a weave (weave.py), which remembers it; this algebra is for single edits.

Invariant: a Splice is normal: no empty run, no two neighbours of one kind, and an insertion beside
a deletion stands before it. Equal effects of one history have equal runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Content = str | tuple[bytes, ...]
"""What is inserted: text, or canonical JSON elements."""

Run = int | Content
"""A positive number retains so many, a negative one deletes so many, content is inserted."""

MAX_RUNS = 100_000
"""Of one edit, composed ones too: a document of the greatest size has hardly more to say."""


class SpliceMismatch(ValueError):
    """An edit that was not written on this document, or has no meaning at all."""

    reason = "SPLICE_MISMATCH"


@dataclass(frozen=True, slots=True)
class Splice:
    """An edit of a document of `before` units into one of `after`. Built by `splice`, which makes
    any runs normal."""

    runs: tuple[Run, ...]
    before: int = field(compare=False)
    after: int = field(compare=False)

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return any(not (isinstance(run, int) and run > 0) for run in self.runs)


class _Builder:
    """Collects runs in their order and keeps them normal."""

    __slots__ = ("after", "before", "runs")

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.before = self.after = 0

    def retain(self, count: int) -> None:
        self.before += count
        self.after += count
        last = self.runs[-1] if self.runs else None
        if isinstance(last, int) and last > 0:
            self.runs[-1] = last + count
        elif count:
            self.runs.append(count)

    def delete(self, count: int) -> None:
        self.before += count
        last = self.runs[-1] if self.runs else None
        if isinstance(last, int) and last < 0:
            self.runs[-1] = last - count
        elif count:
            self.runs.append(-count)

    def insert(self, content: Content) -> None:
        if not content:
            return
        self.after += len(content)
        runs = self.runs
        place = len(runs)
        if runs and isinstance(runs[-1], int) and runs[-1] < 0:
            place -= 1  # before what is deleted here
        last = runs[place - 1] if place else None
        if last is None or isinstance(last, int):
            runs.insert(place, content)
        else:
            runs[place - 1] = joined(last, content)

    def splice(self) -> Splice:
        if len(self.runs) > MAX_RUNS:
            raise SpliceMismatch(f"an edit of more than {MAX_RUNS} runs")
        return Splice(tuple(self.runs), self.before, self.after)


def splice(runs: Iterable[Run]) -> Splice:
    """The edit that these runs mean, normal. Raises SpliceMismatch: text and elements in one."""
    built = _Builder()
    for run in runs:
        if not isinstance(run, int):
            built.insert(run)
        elif run > 0:
            built.retain(run)
        else:
            built.delete(-run)
    kinds = {type(run) for run in built.runs if not isinstance(run, int)}
    if len(kinds) > 1:
        raise SpliceMismatch("an edit inserts text or elements, not both")
    return built.splice()


def identity(length: int) -> Splice:
    """The edit that changes nothing in a document of this length."""
    return splice((length,))


def extended(edit: Splice, length: int) -> Splice:
    """The edit as one of a document of `length` units, whose rest is kept.

    Raises SpliceMismatch if it covers more than there is.
    """
    if edit.before > length:
        raise SpliceMismatch(f"the edit covers {edit.before} of {length}")
    return splice((*edit.runs, length - edit.before))


def apply(edit: Splice, document: Content) -> Content:
    """The document after an edit. Raises SpliceMismatch unless it was written on its length."""
    _check(edit.before, len(document), "the document")
    at = 0
    parts: list[Content] = []
    for run in edit.runs:
        if not isinstance(run, int):
            if type(run) is not type(document):
                raise SpliceMismatch("text is inserted into texts, elements into lists")
            parts.append(run)
        elif run > 0:
            parts.append(document[at : at + run])
            at += run
        else:
            at -= run
    if isinstance(document, str):
        return "".join(part for part in parts if isinstance(part, str))
    return tuple(unit for part in parts for unit in part if isinstance(unit, bytes))


def invert(edit: Splice, document: Content) -> Splice:
    """The edit that leads back to `document`, on which `edit` was written."""
    _check(edit.before, len(document), "the document")
    at, built = 0, _Builder()
    for run in edit.runs:
        if not isinstance(run, int):
            built.delete(len(run))
        elif run > 0:
            built.retain(run)
            at += run
        else:
            built.insert(document[at : at - run])
            at -= run
    return built.splice()


def compose(first: Splice, second: Splice) -> Splice:
    """One edit for two, the second written on what the first leaves. Raises SpliceMismatch."""
    _check(second.before, first.after, "what the first leaves")
    one, two, built = _Reader(first.runs), _Reader(second.runs), _Builder()
    while one.run is not None or two.run is not None:
        if isinstance(one.run, int) and one.run < 0:
            built.delete(one.take(-one.run))
        elif isinstance(two.run, str | tuple):
            built.insert(two.cut(len(two.run)))
        else:
            count = min(one.left, two.left)
            kept = isinstance(two.run, int) and two.run > 0
            if isinstance(one.run, str | tuple):
                content = one.cut(count)
                if kept:
                    built.insert(content)
            elif kept:
                built.retain(one.take(count))
            else:
                built.delete(one.take(count))
            two.take(count)
    return built.splice()


def composed(edits: Sequence[Splice]) -> Splice:
    """One edit for several, of which there is at least one, halving: each run is copied a
    logarithmic number of times."""
    rest = list(edits)
    while len(rest) > 1:
        pairs = [compose(a, b) for a, b in zip(rest[::2], rest[1::2], strict=False)]
        rest = pairs + rest[len(pairs) * 2 :]
    return rest[0]


def transform(following: Splice, leading: Splice) -> tuple[Splice, Splice]:
    """Both edits, written on one document, each as it is to be applied after the other.

    TP1: `leading` and then the first result make what `following` and then the second result make.
    Raises SpliceMismatch.
    """
    _check(following.before, leading.before, "the other edit")
    one, two = _Reader(following.runs), _Reader(leading.runs)
    first, second = _Builder(), _Builder()
    while one.run is not None or two.run is not None:
        if isinstance(two.run, str | tuple):
            content = two.cut(len(two.run))
            first.retain(len(content))
            second.insert(content)
        elif isinstance(one.run, str | tuple):
            content = one.cut(len(one.run))
            first.insert(content)
            second.retain(len(content))
        else:
            count = min(one.left, two.left)
            mine, yours = one.kept, two.kept
            one.take(count)
            two.take(count)
            if mine and yours:
                first.retain(count)
                second.retain(count)
            elif yours:
                first.delete(count)
            elif mine:
                second.delete(count)
    return first.splice(), second.splice()


class _Reader:
    """Runs, taken from the front in parts."""

    __slots__ = ("_at", "_runs", "run")

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs, self._at = runs, 0
        self.run: Run | None = runs[0] if runs else None

    @property
    def left(self) -> int:
        """Units of the run that have not been taken."""
        run = self.run
        return abs(run) if isinstance(run, int) else len(run or ())

    @property
    def kept(self) -> bool:
        return isinstance(self.run, int) and self.run > 0

    def take(self, count: int) -> int:
        """Takes so many units of a run, content not wanted."""
        run = self.run
        if isinstance(run, int):
            self.run = run - count if run > 0 else run + count
            if not self.run:
                self._next()
        else:
            self.cut(count)
        return count

    def cut(self, count: int) -> Content:
        """Takes so many units of content."""
        run = self.run
        assert isinstance(run, str | tuple), run
        self.run = run[count:]
        if not self.run:
            self._next()
        return run[:count]

    def _next(self) -> None:
        self._at += 1
        self.run = self._runs[self._at] if self._at < len(self._runs) else None


def _check(written_on: int, length: int, what: str) -> None:
    if written_on != length:
        raise SpliceMismatch(f"the edit was written on {written_on} units; {what} has {length}")


def joined(one: Content, two: Content) -> Content:
    """Both contents, one after the other. Raises SpliceMismatch: text and elements."""
    if isinstance(one, str) and isinstance(two, str):
        return one + two
    if isinstance(one, tuple) and isinstance(two, tuple):
        return one + two
    raise SpliceMismatch("an edit inserts text or elements, not both")
