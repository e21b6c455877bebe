"""Two versions of a text or list that go on side by side, and what happens in one as it is in the
other.

A weave is the one document that both versions are parts of: runs of units, each with what is known
of it in either version, in one order. What was deleted in one version stands there as long as the
other may still name a place by it; that is what keeps two insertions apart that had a deleted unit
between them. So edits may come one by one, on either side, in any grouping, and both ends of a
stream that follow them get the same document; a composition of edits would not.

`Bridge` is the hub's weave of what an edge had seen and what the hub has. `Undecided` is the edge's
weave of what the hub has and what its own pending edits make of it.

Where two insertions meet, the hub's stands to the left: it was decided before.

Invariant: no run is empty, and neighbours differ in what is known of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from sync.transform import Content, Run, Splice, SpliceMismatch, apply, joined, splice

MAX_STRANDS = 20_000
"""Runs of a weave: each edit walks over them, some milliseconds for so many. An edge whose text
has gone so far apart from the hub's is told so."""

FOREVER = -1


class Strand(NamedTuple):
    """Units that an author and the hub know alike.

    `since` is the revision by which the hub inserted them, 0 if the author has always known them;
    `until` that by which they were gone from the hub, 0 if they are there. `mine` is FOREVER where
    the author deleted them, or the revision by which that deletion was refused.
    """

    units: int
    since: int = 0
    until: int = 0
    mine: int = 0

    def cut(self, count: int) -> tuple[Strand, Strand]:
        """The first units, and the others."""
        return self._replace(units=count), self._replace(units=self.units - count)


class Bridge:
    """From the document that an author wrote on to the hub's.

    The author is an edge: he has seen the hub's revisions up to `base`, and all his own edits.
    Feed it every edit of the document in the hub's order: those of others to `foreign`, his own to
    `own` (or `refuse`), each after `advance` to its base.
    """

    __slots__ = ("base", "strands")

    def __init__(self, base: int, strands: Iterable[Sequence[int]]) -> None:
        self.base = base
        self.strands = [Strand(*strand) for strand in strands]

    @classmethod
    def over(cls, length: int, base: int) -> Bridge:
        """Both documents are one."""
        return cls(base, [(length,)] if length else [])

    @property
    def length(self) -> int:
        """Of the author's document."""
        return sum(strand.units for strand in self.strands if self._written(strand))

    @property
    def even(self) -> bool:
        """Whether both documents are one."""
        return all(not (s.since or s.until or s.mine) for s in self.strands)

    def advance(self, base: int) -> None:
        """The author has seen the revisions up to `base`."""
        if base <= self.base:
            return
        self.base = base
        self.strands = _compact([self._aged(strand) for strand in self.strands])

    def foreign(self, edit: Splice, revision: int) -> None:
        """An edit of others, as it took effect at the hub."""
        walk = _Walk(self.strands, _held)
        for run in edit.runs:
            if not isinstance(run, int):
                walk.out.append(Strand(len(run), revision))
                continue
            for strand in walk.take(abs(run)):
                walk.out.append(strand if run > 0 else strand._replace(until=revision))
        walk.pass_rest()
        self.strands = _compact(walk.out)

    def own(self, edit: Splice) -> Splice:
        """An edit of the author, and what it is at the hub. Raises SpliceMismatch."""
        return self._write(edit, 0)

    def refuse(self, edit: Splice, revision: int) -> None:
        """An edit of the author that has no effect; he will know once he has seen `revision`."""
        self._write(edit, revision)

    def _write(self, edit: Splice, refused: int) -> Splice:
        if edit.before != self.length:
            raise SpliceMismatch(f"written on {edit.before} units, where there are {self.length}")
        walk = _Walk(self.strands, self._written)
        marked: list[tuple[int, Content | None]] = []
        for run in edit.runs:
            if not isinstance(run, int):
                walk.pass_while(self._unknown)
                marked.append((len(walk.out), run))
                walk.out.append(Strand(len(run), 0, refused))
                continue
            for strand in walk.take(abs(run)):
                if run < 0:
                    marked.append((len(walk.out), None))
                walk.out.append(strand if run > 0 else strand._replace(mine=refused or FOREVER))
        walk.pass_rest()
        there = splice(()) if refused else self._at_the_hub(walk.out, dict(marked))
        self.strands = _compact(walk.out)
        return there

    @staticmethod
    def _at_the_hub(strands: list[Strand], marked: dict[int, Content | None]) -> Splice:
        """What was just written, as an edit of the hub's document. `marked` has the places of what
        was inserted, and, with None, of what was deleted."""
        runs: list[Run] = []
        for place, strand in enumerate(strands):
            content = marked.get(place)
            if content is not None:
                runs.append(content)
            elif place not in marked:
                runs.append(strand.units if _held(strand) else 0)
            elif not strand.until:
                runs.append(-strand.units)
        return splice(runs)

    def _unknown(self, strand: Strand) -> bool:
        return strand.since > self.base

    def _written(self, strand: Strand) -> bool:
        """Whether the author has it before his eyes."""
        seen_gone = 0 < strand.until <= self.base
        deleted = strand.mine == FOREVER or strand.mine > self.base
        return strand.since <= self.base and not seen_gone and not deleted

    def _aged(self, strand: Strand) -> Strand:
        if strand.since > self.base:
            return strand
        mine = 0 if 0 < strand.mine <= self.base else strand.mine
        if 0 < strand.until <= self.base:
            mine = FOREVER
        return Strand(strand.units, 0, strand.until, mine)


class Thread(NamedTuple):
    """Units of an edge's document. `since` is the name of the pending edit that inserted them, 0 if
    the hub has them; `until` that of the one that deleted them. `content` is what was inserted."""

    units: int
    since: int = 0
    until: int = 0
    content: Content = ""

    def cut(self, count: int) -> tuple[Thread, Thread]:
        """The first units, and the others."""
        return (
            self._replace(units=count, content=self.content[:count]),
            self._replace(units=self.units - count, content=self.content[count:]),
        )


class Undecided:
    """From the hub's document to that which an edge shows, by its own pending edits.

    They are named by numbers that grow. The hub decides them in order: each ends with `settle` or
    `refuse`.
    """

    __slots__ = ("threads",)

    def __init__(self, threads: Iterable[Sequence[Any]]) -> None:
        self.threads = [Thread(*thread) for thread in threads]

    @classmethod
    def over(cls, length: int) -> Undecided:
        """Nothing is pending."""
        return cls([(length,)] if length else [])

    @property
    def length(self) -> int:
        """Of the document that is shown."""
        return sum(thread.units for thread in self.threads if not thread.until)

    @property
    def even(self) -> bool:
        """Whether nothing is pending."""
        return all(not (thread.since or thread.until) for thread in self.threads)

    def own(self, edit: Splice, name: int) -> None:
        """An edit of the document that is shown. Raises SpliceMismatch."""
        if edit.before != self.length:
            raise SpliceMismatch(f"written on {edit.before} units, where there are {self.length}")
        walk = _Walk(self.threads, _shown)
        for run in edit.runs:
            if not isinstance(run, int):
                walk.out.append(Thread(len(run), name, 0, run))
                continue
            for thread in walk.take(abs(run)):
                if run > 0:
                    walk.out.append(thread)
                elif thread.since != name:
                    walk.out.append(thread._replace(until=name))
        walk.pass_rest()
        self.threads = _merged(walk.out)

    def foreign(self, edit: Splice) -> None:
        """An edit of others that the hub decided. Raises SpliceMismatch."""
        walk = _Walk(self.threads, _decided)
        for run in edit.runs:
            if not isinstance(run, int):
                walk.out.append(Thread(len(run)))
                continue
            for thread in walk.take(abs(run)):
                if run > 0:
                    walk.out.append(thread)
        walk.pass_rest()
        self.threads = _merged(walk.out)

    def written(self, name: int) -> Splice:
        """What the hub decides of an edit, if all before it are decided."""
        runs: list[Run] = []
        for thread in self.threads:
            if thread.since == name:
                runs.append(thread.content)
            elif not thread.since:
                runs.append(-thread.units if thread.until == name else thread.units)
        return splice(runs)

    def settle(self, name: int) -> None:
        """The hub has decided an edit as it is here."""
        left = (t for t in self.threads if t.until != name)
        self.threads = _merged(Thread(t.units, 0, t.until) if t.since == name else t for t in left)

    def refuse(self, name: int) -> None:
        """The hub has decided that an edit has no effect."""
        left = (t for t in self.threads if t.since != name)
        self.threads = _merged(t._replace(until=0) if t.until == name else t for t in left)

    def shown(self, document: Content) -> Content:
        """The hub's document with what is pending. Raises SpliceMismatch."""
        runs: list[Run] = []
        for thread in self.threads:
            if thread.since:
                runs.append(thread.content if not thread.until else 0)
            else:
                runs.append(-thread.units if thread.until else thread.units)
        return apply(splice(runs), document)


def _shown(thread: Thread) -> bool:
    return not thread.until


def _decided(thread: Thread) -> bool:
    return not thread.since


def _merged(threads: Iterable[Thread]) -> list[Thread]:
    out: list[Thread] = []
    for thread in threads:
        last = out[-1] if out else None
        if last is not None and last[1:3] == thread[1:3]:
            content = joined(last.content, thread.content)
            out[-1] = Thread(last.units + thread.units, last.since, last.until, content)
        else:
            out.append(thread)
    if len(out) > MAX_STRANDS:
        raise SpliceMismatch(f"two versions that differ in more than {MAX_STRANDS} places")
    return out


def _held(strand: Strand) -> bool:
    """Whether the hub has it."""
    return not strand.until and strand.mine != FOREVER


def _dead(strand: Strand) -> bool:
    """In neither document, and known to both."""
    return strand.mine == FOREVER and not strand.since


def _compact(strands: Iterable[Strand]) -> list[Strand]:
    """Neighbours that are known alike as one; what is dead only before what somebody does not
    know, since only there does it keep places apart."""
    out: list[Strand] = []
    for strand in strands:
        last = out[-1] if out else None
        if last is not None and _dead(last) and not strand.since and not _dead(strand):
            out.pop()
            last = out[-1] if out else None
        if last is not None and _dead(last) and _dead(strand):
            continue
        if last is not None and last[1:] == strand[1:]:
            out[-1] = last._replace(units=last.units + strand.units)
        else:
            out.append(strand)
    while out and _dead(out[-1]):
        out.pop()
    if len(out) > MAX_STRANDS:
        raise SpliceMismatch(f"two versions that differ in more than {MAX_STRANDS} places")
    return out


S = TypeVar("S", Strand, Thread)


class _Walk(Generic[S]):
    """Goes over strands, of which `counts` says which are in the document that an edit is on.
    `out` are those already passed, as they are to be."""

    __slots__ = ("_at", "_counts", "_rest", "_strands", "out")

    def __init__(self, strands: list[S], counts: Callable[[S], bool]) -> None:
        self._strands: list[S] = strands
        self._counts: Callable[[S], bool] = counts
        self._at = 0
        self._rest: S | None = None
        """What is left of a strand that was taken in part."""
        self.out: list[S] = []

    def take(self, count: int) -> Iterator[S]:
        """So many units of the document, strand by strand, which the caller puts out; what lies
        between them and is not in the document is put out before."""
        while count:
            strand = self._next()
            if not self._counts(strand):
                self.out.append(strand)
                continue
            if strand.units > count:
                strand, self._rest = strand.cut(count)
            count -= strand.units
            yield strand

    def pass_while(self, passing: Callable[[S], bool]) -> None:
        while self._rest is None and self._at < len(self._strands):
            if not passing(self._strands[self._at]):
                return
            self.out.append(self._next())

    def pass_rest(self) -> None:
        if self._rest is not None:
            self.out.append(self._next())
        self.out += self._strands[self._at :]

    def _next(self) -> S:
        rest, self._rest = self._rest, None
        if rest is not None:
            return rest
        if self._at == len(self._strands):
            raise SpliceMismatch("an edit of a longer document")
        self._at += 1
        return self._strands[self._at - 1]
