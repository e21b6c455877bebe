"""Siblings: all values that were written without knowing of each other, until one who saw them
writes another.

One value is shown as it is. Several are shown as `{"$siblings": [...]}`, in the order of their
revisions. A write takes away what its author had seen, and adds its own value; a removal adds none.

Invariant: the value shows exactly the pieces, if there is more than one.
"""

from __future__ import annotations

from sync.context import Piece, Several, Stamped, parts_of
from sync.members import shown_siblings, siblings
from sync.rules.write import Clash, Settled, Undecided, Write, taken
from sync.values import InvalidValue

MAX_SIBLINGS = 64
"""Values of one field; more is not a choice that a person can make."""


def kept(write: Write) -> Settled:
    """All that the author had not seen, and what it wrote."""
    rival = write.rival
    if write.stamped is None or rival is None:
        return taken(write)
    author = write.author
    pieces = [piece for piece in _pieces(write.stamped, write.had) if author.concurrent(piece.part)]
    if write.value is not None:
        pieces = [piece for piece in pieces if piece.value != write.value]
        pieces.append(Piece(author.part, write.value))
    if len(pieces) > MAX_SIBLINGS:
        raise Undecided(f"more than {MAX_SIBLINGS} values; write the one that is to stand")
    texts = [piece.value for piece in pieces if piece.value is not None]
    if not texts:
        return Settled(None, author.part)
    try:
        value = shown_siblings(texts)
    except InvalidValue as error:
        raise Undecided(str(error)) from error
    stamped: Stamped = Several(pieces[-1].part, tuple(pieces)) if texts[1:] else pieces[0].part
    if value == write.had and not texts[1:] and write.value is None:
        # A removal that had not seen what stands.
        return Settled(write.had, None, Clash(rival, "ours"))
    clash = Clash(rival, "merged", waits=len(texts) > 1) if value != write.value else None
    return Settled(value, stamped, clash)


def _pieces(stamped: Stamped, had: bytes | None) -> tuple[Piece, ...]:
    """Who wrote which value; where that is not kept any more, the newest wrote all of them."""
    if isinstance(stamped, Several) and stamped.pieces:
        return stamped.pieces
    newest = max(parts_of(stamped))
    return tuple(Piece(newest, one) for one in siblings(had)) if had is not None else ()
