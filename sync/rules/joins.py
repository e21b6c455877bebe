"""Watermarks: the greatest or the least value stands, seen or not.

A join does not ask who knew of what: a mark that was reached stays reached, so an edge can show
what the hub will decide. Only one who removes the field begins anew.

Numbers are compared exactly, by their text: `2^53` and `2^53 + 1` differ. Where two say the same in
different words (`1` and `1.0`), the one that stands stays.
"""

from __future__ import annotations

from sync.members import further, number
from sync.rules.write import Settled, Undecided, Write, lost, taken, won
from sync.values import InvalidValue


def greatest(write: Write) -> Settled:
    """The greater value."""
    return _joined(write, greatest=True)


def least(write: Write) -> Settled:
    """The lesser value."""
    return _joined(write, greatest=False)


def _joined(write: Write, *, greatest: bool) -> Settled:
    rival, had, value = write.rival, write.had, write.value
    if value is None:
        return taken(write) if rival is None else lost(write, rival)
    try:
        number(value)
        if had is None or (rival is None and not _is_number(had)):
            return taken(write) if rival is None else won(write, rival)
        stands = further(had, value, greatest=greatest)
    except InvalidValue as error:
        raise Undecided(str(error)) from error
    if stands != had:
        return taken(write) if rival is None else won(write, rival)
    return lost(write, rival or write.newest)


def _is_number(text: bytes) -> bool:
    try:
        number(text)
    except InvalidValue:
        return False
    return True
