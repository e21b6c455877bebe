"""Checkpoints and threads as programs see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from holdfast.client.commits import Receipt
from holdfast.client.records import Actor, Answer, Version

JSON, BYTES = "json", "bytes"
"""Tags of states that this library writes by itself; programs choose any others."""

STATE = "state"
"""The part that a state is which was not given in parts."""

CHUNK_BYTES = 1 << 20
"""Parts are cut into chunks of this size, each under its own hash; the doors have the same."""

INLINE_BYTES = 1024
"""A part that is not larger has no chunks."""


class CheckpointKind(StrEnum):
    """Why a checkpoint was made."""

    AUTO = "auto"
    MANUAL = "manual"
    ERROR_RECOVERY = "error-recovery"


@dataclass(frozen=True, slots=True)
class StatePart:
    """One part of a state. `data` is None where it has not been loaded."""

    tag: str
    """What the bytes are, for the program that wrote them."""
    size: int
    sha256: bytes
    chunks: tuple[bytes, ...] = field(repr=False)
    """SHA-256 of each MiB of it; none of a part of at most 1 KiB."""
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, data: bytes, tag: str = BYTES) -> StatePart:
        """A part of these bytes."""
        chunks: tuple[bytes, ...] = ()
        if len(data) > INLINE_BYTES:
            view = memoryview(data)
            starts = range(0, len(data), CHUNK_BYTES)
            chunks = tuple(sha256(view[n : n + CHUNK_BYTES]).digest() for n in starts)
        return cls(tag, len(data), sha256(data).digest(), chunks, data)


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """What a task has written since a checkpoint and no checkpoint holds yet."""

    task_id: str
    index: int
    """Its place among the task's writes; what is below zero is replaced by what comes later."""
    channel: str
    data: bytes = field(repr=False)
    tag: str = BYTES
    task_path: str = ""
    chunks: tuple[bytes, ...] = field(default=(), repr=False, compare=False)
    """Of one that was loaded: SHA-256 of each MiB of it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint; its ids sort by time."""

    id: str
    thread: str
    space: str
    namespace: str
    parent: str
    """Empty: it is the first."""
    kind: CheckpointKind
    name: str
    """Of a place to go back to; empty: none."""
    metadata: Mapping[str, Any]
    schema_version: str
    parts: Mapping[str, StatePart] = field(repr=False)
    size: int
    """Bytes of all parts."""
    stored: int
    """Bytes that were stored anew for it."""
    created_ms: int
    """By the clock of the door: milliseconds since 1970."""
    actor: Actor | None
    version: Version | None
    writes: tuple[PendingWrite, ...] = ()
    token: int = 0
    """Of a save: the token under which the thread is advanced."""
    receipt: Receipt | None = field(default=None, compare=False)
    """Of a save: its commit."""
    answer: Answer | None = field(default=None, compare=False, repr=False)
    """Of a load: what the answer says of itself."""

    @property
    def state(self) -> Any:
        """The state as it was saved: an object or bytes; or the parts' data by name, where it was
        saved in parts."""
        from holdfast.client.values import decode_any

        if set(self.parts) != {STATE}:
            return {name: part.data for name, part in self.parts.items()}
        part = self.parts[STATE]
        if part.tag == JSON and part.data is not None:
            return decode_any(part.data.decode())
        return part.data


class CheckpointName(NamedTuple):
    """A checkpoint by its name alone, where nothing else of it is needed."""

    space: str
    thread: str
    namespace: str
    id: str


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread of checkpoints."""

    id: str
    space: str
    holder: str
    """Who may advance it: `hub`, the origin of an edge in hexadecimal digits, or nobody."""
    token: int
    """Grows whenever another takes over."""
    heads: Mapping[str, str]
    """The newest checkpoint of each namespace."""
    created_ms: int
    version: Version | None
    held_here: bool
    """Whether the door's node is the one that may advance it."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning a thread has done, or would do."""

    gone: tuple[tuple[str, str], ...]
    """Namespace and id of each."""
    kept: int
    freed: int
    """Bytes that were let go at the door."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list, and the token of the next page (empty: this was the last)."""

    found: tuple[Any, ...]
    next_token: str
