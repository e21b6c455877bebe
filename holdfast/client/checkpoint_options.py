"""What requests about checkpoints may be told by keyword, typed once for both clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from holdfast.client.checkpoint_records import Checkpoint, CheckpointKind
from holdfast.client.records import Actor, JsonObject, Level

State = JsonObject | bytes


class PlaceOptions(TypedDict, total=False):
    """Where a thread is."""

    space: str
    """Default `default`."""
    namespace: str
    """A line of checkpoints within the thread; default the one without a name."""
    timeout_s: float
    """Until an answer; default `limits.READ_TIMEOUT_S`, or `WRITE_TIMEOUT_S`."""


class WriteOptions(PlaceOptions, total=False):
    """Of what advances a thread."""

    token: int
    """The token under which it is advanced. Default the one that this client was told last; without
    one, that of the door's node."""
    actor: Actor | tuple[str, str]
    """Who does it, if not the actor of the client."""


class SaveOptions(WriteOptions, total=False):
    """Of a save."""

    id: str
    """Default one of this moment. Ids sort by time."""
    parent: Checkpoint | str | None
    """The checkpoint that it follows; None: it is the first. Default the one of this thread and
    namespace that this client has saved or loaded last."""
    fork: bool
    """The parent need not be the newest; the thread goes on from here."""
    kind: CheckpointKind | str
    name: str
    """Names a place to go back to; pruning keeps it."""
    metadata: JsonObject
    schema_version: str
    unchanged: Iterable[str]
    """Names of parts that are as in the parent: nothing of them is sent."""
    commit_id: bytes
    """16 random bytes that were chosen before, with the id: then a retry finds the first save."""
    correlation_id: str


class LoadOptions(PlaceOptions, total=False):
    """Of a load."""

    level: Level | str
    """What the answer must promise; unset: the default of the collection."""
    as_of: int
    """As it was at this revision, at the hub only."""
    metadata_only: bool
    """Without contents."""


class ListOptions(TypedDict, total=False):
    """Of a list."""

    space: str
    namespace: str | None
    """None: all of them, one after the other. Default the one without a name."""
    before: Checkpoint | str
    """Only those before it."""
    metadata: JsonObject
    """Only those that have these members."""
    kinds: Iterable[CheckpointKind | str]
    named: bool
    """Only those with a name."""
    with_writes: bool
    page_size: int
    level: Level | str
    timeout_s: float


class PruneOptions(WriteOptions, total=False):
    """Of pruning: what stays. Heads, and what has a name, always do."""

    last: int
    """The newest so many."""
    daily: int
    """The newest of each of the last so many days that have any."""
    ttl_s: float
    """Those younger than so many seconds."""
    budget: int
    """At most so many bytes, of those that need not stay."""
    drop: Iterable[tuple[str, str]]
    """Exactly these go, namespace and id of each, heads too; the rules are not asked."""
    dry_run: bool
    """Only say what would go."""
