"""How a value names a text or list that stands apart from it, in pages.

The member is `{"$text": N}` or `{"$list": N}`: how many code points or elements there are. So what
works on values goes on doing so at the cost of what is left in them: what a splice makes of a
reference is a sum. The content is in the pages of the record's field (pages.py).

Invariant: a reference stands only where its pages are; without them it is a member like any other.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

LONG_BYTES = 32 << 10
"""A text or list that a splice leaves longer than that, as it stands in a value, goes into pages. A
shorter one is read, hashed and written as a whole in less time than pages would take."""

TEXT, LIST = "$text", "$list"

MARKS = (b'{"$text":', b'{"$list":')

_REFERENCE = re.compile(rb'\{"\$(text|list)":(0|[1-9][0-9]{0,15}|\[.*\])\}', re.DOTALL)


class Reference(NamedTuple):
    """What a member says of a document in pages. `edit` has runs where the member is of a record
    that is brought back, and its document is edited by that."""

    is_list: bool
    units: int
    edit: bytes = b""

    @property
    def text(self) -> bytes:
        """The member."""
        return b'{"$%s":%d}' % (b"list" if self.is_list else b"text", self.units)

    @property
    def member(self) -> dict[str, Any]:
        """The member as an object."""
        return {LIST if self.is_list else TEXT: self.units}


def reference_in(member: bytes) -> Reference | None:
    """What a member refers to; None if it is a value like any other."""
    if not member.startswith(MARKS):
        return None
    found = _REFERENCE.fullmatch(member)
    if found is None:
        return None
    is_list, said = found[1] == b"list", found[2]
    return Reference(is_list, 0, said) if said[:1] == b"[" else Reference(is_list, int(said))


def refers(value: bytes) -> bool:
    """Whether a value may have references: a cheap look, now and then wrong in saying so."""
    return any(mark in value for mark in MARKS)
