"""Rules that choose one of two: what stands, or what comes.

All but `priority` speak only where the two did not know of each other; whoever had seen what stands
writes over it. `priority` does so too, but has to remember of what kind each writer was.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from sync.context import Part, Tracked
from sync.rules.write import Settled, Undecided, Write, lost, taken, won


def last(write: Write) -> Settled:
    """The greater (stamp, origin, seq)."""
    return _chosen(write, write.later)


def written_over(write: Write) -> Settled:
    """A counter or a document that is written over as a whole, or removed. It has several writers:
    the newest may be seen and hide one that is not."""
    newest, rival = write.newest, write.rival
    if newest is None:
        return taken(write)
    if rival is None or write.later(write.author.part, rival):
        return won(write, rival or newest)
    return lost(write, rival)


def first(write: Write) -> Settled:
    """The lower revision, which is always what stands."""
    return _chosen(write, lambda _mine, _rival: False)


def ask(write: Write) -> Settled:
    """What stands stays until a person has decided."""
    rival = write.rival
    return taken(write) if rival is None else lost(write, rival, waits=True)


def rank(write: Write) -> Settled:
    """The later one in the declared order; a value goes before a removal."""
    rival = write.rival
    if rival is None:
        return taken(write)
    mine, yours = _rank(write, write.value), _rank(write, write.had)
    if mine == yours:
        return last(write)
    return won(write, rival) if mine > yours else lost(write, rival)


def _rank(write: Write, value: bytes | None) -> int:
    if value is None:
        return -1
    try:
        return write.ruling.order.index(json.loads(value))
    except ValueError:
        shown = value[:60].decode(errors="replace")
        raise Undecided(f"{shown} is not in the order that the policy declares") from None


def priority(write: Write) -> Settled:
    """The writer of the stronger kind; among equals the last one. Kinds that are not declared, and
    those not known any more, come after all that are."""
    stamped = Tracked(write.author.part, write.author.kind)
    rival = write.rival
    if rival is None:
        return taken(write, stamped)
    mine, yours = _strength(write, write.author.kind), _strength(write, write.kind)
    wins = write.later(write.author.part, rival) if mine == yours else mine < yours
    return won(write, rival, stamped) if wins else lost(write, rival)


def _strength(write: Write, kind: int) -> int:
    kinds = write.ruling.kinds
    return next((place for place, one in enumerate(kinds) if one == kind), len(kinds))


def _chosen(write: Write, wins: Callable[[Part, Part], bool]) -> Settled:
    rival = write.rival
    if rival is None:
        return taken(write)
    return won(write, rival) if wins(write.author.part, rival) else lost(write, rival)
