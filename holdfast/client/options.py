"""What every request may be told by keyword, typed once for both clients."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TypedDict

from holdfast.client.commits import Expect
from holdfast.client.records import Actor, Context, Level, Record, Version


class ReadOptions(TypedDict, total=False):
    """Of a read."""

    level: Level | str
    """What the answer must promise; unset: the default of the collection, or bounded if one of
    the following is given."""
    max_staleness: float | timedelta
    """Seconds: the answer has all that the hub acknowledged earlier than this before the request.
    If that cannot be proven, and not be had from the hub in time: Unavailable."""
    max_behind: int
    """At most so many revisions that are known of are missing in the answer."""
    local_only: bool
    """Never ask the hub for a bound: prove it from what is known here, or refuse."""
    timeout_s: float
    """Until an answer; default `limits.READ_TIMEOUT_S`."""


class LevelOptions(TypedDict, total=False):
    """What the reads of a session promise where they do not say otherwise."""

    level: Level | str
    max_staleness: float | timedelta
    max_behind: int
    local_only: bool


class CommitOptions(TypedDict, total=False):
    """Of a commit."""

    level: Level | str
    """What an answer promises; unset: the default of the collection, or bounded if one of the
    following is given."""
    max_pending: int
    """At an edge: fewer than so many commits of the space are pending. Else Unavailable, and
    nothing is stored."""
    max_age: float | timedelta
    """At an edge: the oldest of them is younger than so many seconds."""
    timeout_s: float
    """Until an answer; default `limits.WRITE_TIMEOUT_S`."""
    actor: Actor | tuple[str, str]
    """Who writes, if not the actor of the client."""
    based_on: Record | Iterable[Record]
    """What was read for this write: what happened since then counts as concurrent with it."""
    context: Context
    """The same, when no record is at hand."""
    expect: Iterable[Expect]
    """What must be true for the commit to happen."""
    retry: bool
    """Give the commit an id, so that it is sent again safely when a connection breaks. Default
    True."""
    commit_id: bytes
    """That id, 16 random bytes, if it was chosen before; by it, a retry is known for 7 days."""
    correlation_id: str
    """Ties commits of one piece of work together; at most 128 characters."""
    causation_id: bytes
    """The commit id of what caused this one."""


class WriteOptions(CommitOptions, total=False):
    """Of a write of one record: what must be true of that record."""

    if_version: Version | Record
    """It is at exactly this version."""
    if_absent: bool
    """It does not exist, or was deleted."""
    if_exists: bool
    """It exists."""
