"""Places in histories.

A position is (epoch, space, revision). The hub may have had several histories:
a new epoch begins where the tail of the one before it may have been lost. A
position stays valid as far as its epoch and the present one share their past;
above that it counts as the fork. Naked revisions are therefore never compared
across epochs: they go through `Lineage.effective` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ID_BYTES = 16
"""Size of origins, commit ids and epoch ids: random 128 bits never meet."""

MAX_NUMBER = (1 << 63) - 1
"""Greatest seq, revision, epoch and stamp: what a signed column of a database holds."""


def parse_number(text: str) -> int:
    """A number as tokens carry it: 0 to MAX_NUMBER, in plain digits. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_NUMBER):
        raise ValueError(f"not a number of a token: {text[:40]!r}")
    return int(text)


class UnknownEpoch(Exception):
    """A position names an epoch that is not in the table of histories."""

    reason = "EPOCH_UNKNOWN"

    def __init__(self, ordinal: int) -> None:
        super().__init__(f"epoch {ordinal} is not known here")
        self.ordinal = ordinal


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one history of one space; revision 0 is before the first commit."""

    epoch: int
    space: str
    revision: int

    def __post_init__(self) -> None:
        assert self.epoch >= 0 and self.revision >= 0, self


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a replica is, with the hub's proof that it was there."""

    epoch: int
    revision: int
    token: bytes = b""


NOWHERE = Cursor(0, 0)
"""The cursor of a replica that has never heard from a hub."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One history; `forks` holds, per space, the last revision shared with `parent`."""

    ordinal: int
    id: bytes
    parent: int
    forks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The table of histories, oldest first. The last one is the present."""

    epochs: tuple[Epoch, ...]

    def __post_init__(self) -> None:
        assert self.epochs, "a lineage has at least its first epoch"
        assert all(e.parent < e.ordinal for e in self.epochs), self.epochs

    @property
    def present(self) -> Epoch:
        return self.epochs[-1]

    def effective(self, position: Position) -> int:
        """The revision of the present epoch that `position` stands for.

        Raises UnknownEpoch. Walks both histories up to their common ancestor
        and takes the least fork on the way.
        """
        if position.revision == 0 or position.epoch == self.present.ordinal:
            return position.revision
        by_ordinal = {epoch.ordinal: epoch for epoch in self.epochs}
        if position.epoch not in by_ordinal:
            raise UnknownEpoch(position.epoch)
        revision = position.revision
        here, there = self.present, by_ordinal[position.epoch]
        while here.ordinal != there.ordinal:
            later = here if here.ordinal > there.ordinal else there
            revision = min(revision, later.forks.get(position.space, 0))
            parent = by_ordinal[later.parent]
            here, there = (parent, there) if later is here else (here, parent)
        return revision
