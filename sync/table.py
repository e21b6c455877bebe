"""What the rules decide on: the records of a space, its policies, and the names of origins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sync import authority
from sync.commit import Precondition
from sync.context import Part
from sync.policy import Policies
from sync.texts import Texts
from sync.working import Key, Working


def _of_the_present(_epoch: int, revision: int) -> int:
    """For a hub that has had one history only."""
    return revision


@dataclass(slots=True)
class Table:
    """The state that commits are decided on; absent keys are absent records.

    `names` and `numbers` translate between origins and the hub's numbers;
    `effective` makes a revision of an epoch into one of the present (zero if
    there is none).
    """

    records: dict[Key, Working]
    policies: Policies
    names: Mapping[int, bytes]
    numbers: Mapping[bytes, int]
    effective: Callable[[int, int], int] = _of_the_present
    texts: Texts = field(default_factory=Texts)

    def holds(self, wanted: Precondition, node: str) -> bool:
        """Whether a precondition of a commit by `node` is true of the records as they stand.

        A pending version holds iff its commit is the record's last writer and no
        part of the record is concurrent with it.
        """
        record = self.records.get((wanted.collection, wanted.key))
        live = record is not None and not record.deleted
        if wanted.authority is not None:
            value = record.live if record is not None else None
            return authority.holds(value, wanted.authority, node)
        if wanted.version is None:
            return live == wanted.exists
        if record is None or not live:
            return False
        version = wanted.version
        here = self.effective(version.epoch, version.revision)
        if not version.pending:
            return record.revision == version.revision == here
        origin = self.numbers.get(version.origin)
        sole = record.other <= here
        return (record.origin, record.seq) == (origin, version.seq) and sole

    def later(self, mine: Part, yours: Part) -> bool:
        """Whether `mine` wins by last-writer-wins: the greater (stamp, origin, seq)."""
        if mine.stamp != yours.stamp:
            return mine.stamp > yours.stamp
        return self.time_of(mine) > self.time_of(yours)

    def time_of(self, part: Part) -> tuple[int, bytes, int]:
        """What last-writer-wins goes by."""
        return part.stamp, self.names[part.origin], part.seq
