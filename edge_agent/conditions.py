"""What a commit demands of records, checked on the view: versions, existence, authority.

The hub checks the same again where it decides; here the author is told at once, and without a
network.

Invariant: a version that this door has given out holds until somebody writes the record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_agent.outbox import Outbox
from edge_agent.space_view import SpaceView
from edge_agent.states import Name, live_value
from holdfast.host.refusal import Refusal
from sync import authority
from sync.commit import Precondition, Version
from sync.position import Lineage, Position, UnknownEpoch


@dataclass(frozen=True, slots=True)
class Conditions:
    """Checks what is demanded of the records of one view."""

    outbox: Outbox
    view: SpaceView

    @property
    def _space(self) -> str:
        return self.view.standing.space

    def check(self, wanted: Precondition) -> None:
        """Raises Refusal REVISION_MISMATCH, STALE_AUTHORITY."""
        name = (wanted.collection, wanted.key)
        if wanted.authority is not None:
            self._check_authority(wanted, wanted.authority)
        elif wanted.version is None:
            if (self.live(name) is not None) != wanted.exists:
                said = "exists" if not wanted.exists else "does not exist"
                raise self.mismatch(name, f"the record {said}")
        elif not self._is_at(name, wanted.version):
            raise self.mismatch(name, "the record is not at the version that was asked for")

    def _check_authority(self, wanted: Precondition, token: int) -> None:
        live = self.live((wanted.collection, wanted.key))
        node = authority.node_of(self.outbox.origin.id)
        if not authority.holds(live, token, node):
            message, metadata = authority.stale(wanted, node, live)
            raise Refusal("STALE_AUTHORITY", message, metadata=metadata)

    def live(self, name: Name) -> bytes | None:
        """A record's value in the view; None if it is absent."""
        return live_value(self.view.hub, self.view.over, name)

    def version(self, name: Name) -> Version | None:
        """The version of a record in the view; None if it is absent."""
        pending, record = self.view.over.get(name), self.view.hub.get(name)
        cursor = self.view.standing.cursor
        if pending is not None:
            origin = self.outbox.id_of(pending.ordinal)
            return Version(cursor.epoch, cursor.revision, origin, pending.seq, pending=True)
        if record is None or record.deleted:
            return None
        return Version(cursor.epoch, record.revision, record.origin, record.seq)

    def mismatch(
        self, name: Name, message: str, merged: Mapping[str, Sequence[str]] | None = None
    ) -> Refusal:
        """The refusal that names a record's present version."""
        metadata = {"collection": name[0], "key": name[1]}
        metadata |= {what: json.dumps(names) for what, names in (merged or {}).items()}
        version = self.version(name)
        if version is None:
            metadata["exists"] = "false"
        else:
            metadata |= {
                "epoch": str(version.epoch), "revision": str(version.revision),
                "origin": version.origin.hex(), "seq": str(version.seq),
                "pending": str(version.pending).lower(),
            }  # fmt: skip
        return Refusal("REVISION_MISMATCH", f"{name[0]}/{name[1]}: {message}", metadata=metadata)

    def effective(self, epoch: int, revision: int) -> int:
        """A revision of an epoch as one of the present. Raises Refusal EPOCH_UNKNOWN."""
        if revision == 0 or epoch == self.view.standing.cursor.epoch or not self.outbox.lineage:
            return revision
        try:
            return Lineage(self.outbox.lineage).effective(Position(epoch, self._space, revision))
        except UnknownEpoch as unknown:
            raise Refusal("EPOCH_UNKNOWN", str(unknown)) from unknown

    def _is_at(self, name: Name, version: Version) -> bool:
        if self.live(name) is None:
            return False
        pending, record = self.view.over.get(name), self.view.hub.get(name)
        if not version.pending:
            here = self.effective(version.epoch, version.revision)
            return pending is None and record is not None and record.revision == here
        base = self.effective(version.epoch, version.revision)
        origin, seq = self.outbox.present_name(self._space, version.origin, version.seq)
        if pending is not None:
            by_own = (
                record is not None
                and (record.origin, record.other <= base) == (origin, True)
                and record.seq <= seq
            )
            last = (self.outbox.id_of(pending.ordinal), pending.seq)
            unchanged = record is None or record.revision <= base or by_own
            return last == (origin, seq) and unchanged
        decided = record is not None and (record.origin, record.seq) == (origin, seq)
        return decided and record is not None and record.other <= base
