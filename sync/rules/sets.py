"""Sets: what is added stays until somebody removes it who had seen it added.

The value is an array of its elements in the order of their texts, each once, so that equal sets are
equal bytes. Who added an element is kept beside the record for those elements that were added after
the field was written as a whole.

Invariant: every element of the value is of a piece, or of `rest`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sync.context import Author, Part, Piece, Several, Stamped
from sync.members import array, elements
from sync.rules.write import Clash, Settled, Undecided, Write
from sync.values import InvalidValue


def replaced(write: Write) -> Settled:
    """The field is written as a whole: what its author saw is gone, and what it wrote is there."""
    try:
        had = elements(write.had) if write.had is not None else []
        wanted = elements(write.value) if write.value is not None else []
    except InvalidValue as error:
        raise Undecided(str(error)) from error
    if write.stamped is None or not write.author.unseen(write.stamped):
        value = array(wanted) if write.value is not None else None
        return Settled(value, write.author.part)
    stamped = added(write.stamped, had, wanted, write.author)
    gone = [one for one in had if one not in set(wanted)]
    stamped, kept = removed(stamped, gone, write.author)
    result = array(sorted({*wanted, *kept}))
    if not kept:
        return Settled(result if write.value is not None else None, stamped)
    return Settled(result, stamped, Clash(write.rival, "merged"))


def added(
    stamped: Stamped, had: Collection[bytes], new: Collection[bytes], author: Author
) -> Several:
    """Who is in a set after an author has added elements to it. An addition that saw an earlier one
    of the same element takes its place."""
    several = _several(stamped)
    mine, names = author.part, set(new)
    known = {piece.value for piece in several.pieces}
    kept = [
        piece for piece in several.pieces
        if piece.value not in names or author.concurrent(piece.part)
    ]  # fmt: skip
    if author.concurrent(several.rest):  # it stays in what was there before this addition
        kept += [Piece(several.rest, one) for one in sorted(names & set(had)) if one not in known]
    kept += [Piece(mine, one) for one in sorted(names)]
    return Several(several.rest, tuple(kept))


def removed(stamped: Stamped, gone: Sequence[bytes], author: Author) -> tuple[Several, list[bytes]]:
    """Who is in a set after an author has removed elements, and those that stay: they were added
    without this author having seen it."""
    several = _several(stamped)
    names = set(gone)
    known = {piece.value for piece in several.pieces}
    unseen = {
        piece.value for piece in several.pieces
        if piece.value in names and author.concurrent(piece.part)
    }  # fmt: skip
    if author.concurrent(several.rest):
        unseen |= names - known
    pieces = tuple(
        piece for piece in several.pieces
        if piece.value not in names or author.concurrent(piece.part)
    )  # fmt: skip
    return Several(several.rest, pieces), [one for one in gone if one in unseen]


def unseen_part(stamped: Stamped, kept: Collection[bytes], author: Author) -> Part:
    """One of those who keep these elements in the set."""
    several = _several(stamped)
    found = [p.part for p in several.pieces if p.value in kept and author.concurrent(p.part)]
    return max(found, default=several.rest)


def _several(stamped: Stamped) -> Several:
    if isinstance(stamped, Several):
        return stamped
    return Several(stamped if isinstance(stamped, Part) else stamped.part, ())
