"""Rules that are written as expressions (CEL).

An expression is given `base`, `ours`, `theirs` (null where there is none, or it is not known any
more), `fields` (the record as it stands), `actors.ours` and `actors.theirs` (kinds), and CONFLICT.
Its value is the field's new value; if that is CONFLICT, or it gives none, what stands stays and a
conflict is opened.

The base is the newest value that the author had seen. So of each field with such a rule the last
values are remembered, with who wrote them.
"""

from __future__ import annotations

from sync.commit import ActorKind
from sync.context import Part, Piece, Tracked, parts_of
from sync.expression import Failed
from sync.rules.write import Clash, Settled, Undecided, Write, lost, taken, won

MAX_EARLIER = 8
"""Values remembered of a field: more have seldom been written while an edge was away, and each
weighs as much as the field."""

MAX_EARLIER_BYTES = 1024
"""Of one value that is remembered; of a greater one only that it was there."""

MAX_OTHERS = 64
"""Writers of one merged value; each weighs as much as a small field."""

CONFLICT = b'"\\u0001CONFLICT"'
"""What the name CONFLICT stands for: a text that nobody writes by mistake."""

_KINDS = {int(kind): kind.name.lower() for kind in ActorKind}


def evaluated(write: Write) -> Settled:
    """What the expression says."""
    rival = write.rival
    stamped = Tracked(write.author.part, write.author.kind, _earlier(write))
    if rival is None:
        return taken(write, stamped)
    if write.had == write.value:
        return (
            taken(write, stamped) if write.later(write.author.part, rival) else lost(write, rival)
        )
    result = _result(write)
    if result is None:
        return lost(write, rival, waits=True)
    if result == write.had:
        return lost(write, rival)
    if result == write.value:
        return won(write, rival, stamped)
    return Settled(result, stamped._replace(also=_others(write)), Clash(rival, "merged"))


def _others(write: Write) -> tuple[Part, ...]:
    """Those who are still in a value that was made of theirs and this write's."""
    assert write.stamped is not None, write
    found = write.author.unseen(write.stamped)
    if len(found) > MAX_OTHERS:
        raise Undecided(f"more than {MAX_OTHERS} have written it without knowing of each other")
    return tuple(found)


def _result(write: Write) -> bytes | None:
    """None: CONFLICT. Raises Undecided."""
    expression = write.ruling.expression
    assert expression is not None, write.ruling
    actors = b'{"ours":%b,"theirs":%b}' % (_kind(write.kind), _kind(write.author.kind))
    given = {
        "base": _base(write), "ours": write.had or b"null", "theirs": write.value or b"null",
        "actors": actors, "fields": write.fields, "CONFLICT": CONFLICT,
    }  # fmt: skip
    try:
        result = expression.written(given)
    except Failed as failed:
        raise Undecided(str(failed)) from failed
    return None if result == CONFLICT else result


def _kind(kind: int) -> bytes:
    return b'"%b"' % _KINDS.get(kind, "").encode()


def _base(write: Write) -> bytes:
    assert write.stamped is not None, write
    if isinstance(write.stamped, Tracked):
        for piece in write.stamped.earlier:
            if not write.author.concurrent(piece.part):
                return piece.value or b"null"
    return b"null"


def _earlier(write: Write) -> tuple[Piece, ...]:
    """What is remembered once this write stands."""
    if write.stamped is None:
        return ()
    before = write.stamped.earlier if isinstance(write.stamped, Tracked) else ()
    value = write.had if write.had is not None and len(write.had) <= MAX_EARLIER_BYTES else None
    newest = max(parts_of(write.stamped))
    return (Piece(newest, value, write.kind), *before)[:MAX_EARLIER]
