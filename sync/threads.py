"""Threads of checkpoints as records: their keys, and what stands in them.

A thread's record says who may advance it and which checkpoint is the newest of each namespace; a
checkpoint's record is its manifest. What tasks have written since is a record per task beside the
checkpoint. All three begin with the thread's id, so that the first governs the others.

What stands in a key is not said again in the value. Members that say nothing are left out, because
these records travel with every step of a run.

Invariant: `decode(encode(x)) == x` for all three, and keys of one namespace sort as their ids do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from sync import contents, values
from sync.authority import MEMBER, Authority, authority_of
from sync.contents import InvalidManifest, Part
from sync.values import InvalidValue
from sync.work_keys import InvalidKey, quoted, unquoted

MAX_TEXT_CHARS = 128
"""Of a name, a schema version, a channel's place: what fits into a line that people read."""

MAX_WRITES = 1_000
"""Of one task: a record holds them all."""

NOTHING = b"{}"

_HEAD = "head/"
"""Before a namespace: the member of a thread's record that names its newest checkpoint."""

_DELETING = "deleting"

_BEFORE_NAMESPACE = "="
"""A part of a key is not empty, and a namespace may be."""


class InvalidCheckpoint(ValueError):
    """A request about checkpoints that can never succeed; the message says why."""

    reason = "MALFORMED_REQUEST"


class Damaged(Exception):
    """A record of a thread that cannot be read."""

    reason = "BLOB_DAMAGED"


class CheckpointKind(StrEnum):
    """Why a checkpoint was made."""

    AUTO = "auto"
    MANUAL = "manual"
    ERROR_RECOVERY = "error-recovery"


class Place(NamedTuple):
    """A line of checkpoints: a thread's id and a namespace in it."""

    thread_id: str
    namespace: str = ""

    @property
    def thread(self) -> str:
        """The key of the thread. Raises InvalidName."""
        return quoted(self.thread_id)

    @property
    def prefix(self) -> str:
        """What keys of its checkpoints begin with. Raises InvalidName."""
        namespace = quoted(self.namespace) if self.namespace else ""
        return f"{self.thread}/{_BEFORE_NAMESPACE}{namespace}/"

    def key(self, id_: str) -> str:
        """The key of a checkpoint. Raises InvalidName."""
        return self.prefix + quoted(id_)

    def writes_prefix(self, id_: str) -> str:
        """What keys of the writes after a checkpoint begin with. Raises InvalidName."""
        return f"{self.key(id_)}/"


def place_of(key: str) -> tuple[Place, str]:
    """Where a checkpoint, or a write after it, belongs, by its key. Raises InvalidKey."""
    parts = key.split("/")
    if len(parts) < 3 or not parts[1].startswith(_BEFORE_NAMESPACE):
        raise InvalidKey(f"a checkpoint's key is THREAD/=NAMESPACE/ID, not {key[:80]!r}")
    thread, namespace, id_ = (unquoted(part) for part in parts[:3])
    return Place(thread, namespace[len(_BEFORE_NAMESPACE) :]), id_


@dataclass(frozen=True, slots=True)
class Thread:
    """Who advances a thread, and the newest checkpoint of each namespace. `deleting`: it is being
    deleted, and there is nothing in it any more for anybody else."""

    authority: Authority
    heads: Mapping[str, str] = field(default_factory=dict)
    created_ms: int = 0
    deleting: bool = False

    def encode(self) -> bytes:
        """The record's value. Raises InvalidValue."""
        heads = {_HEAD + name: orjson.dumps(id_) for name, id_ in self.heads.items()}
        created = {"created_ms": b"%d" % self.created_ms}
        deleting = {_DELETING: b"true"} if self.deleting else {}
        return values.join({MEMBER: self.authority.encode(), **heads, **created, **deleting})


def heads_to(heads: Mapping[str, str]) -> bytes:
    """The fields of a thread that name these newest checkpoints. Raises InvalidValue."""
    return values.join({_HEAD + name: orjson.dumps(id_) for name, id_ in heads.items()})


def head_names(namespaces: Iterable[str]) -> tuple[str, ...]:
    """The fields of a thread that name the newest checkpoints of these namespaces."""
    return tuple(_HEAD + name for name in sorted(namespaces))


def deleting_to() -> bytes:
    """The field of a thread that says that it is being deleted."""
    return b'{"deleting":true}'


def thread_from(value: bytes) -> Thread:
    """A thread from its record. Raises Damaged."""
    found = authority_of(value)
    try:
        said = {name: orjson.loads(text) for name, text in values.fields(value).items()}
    except (InvalidValue, ValueError) as error:
        raise Damaged("the thread's record cannot be read") from error
    if found is None:
        raise Damaged("the thread's record does not say who may advance it")
    heads = {n[len(_HEAD) :]: str(id_) for n, id_ in said.items() if n.startswith(_HEAD)}
    return Thread(found, heads, int(said.get("created_ms", 0)), said.get(_DELETING) is True)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint's record says. `stored` are bytes that were stored anew for it."""

    parts: Mapping[str, Part]
    parent: str = ""
    kind: CheckpointKind = CheckpointKind.AUTO
    name: str = ""
    metadata: bytes = NOTHING
    """A JSON object, canonical."""
    schema_version: str = ""
    stored: int = 0
    created_ms: int = 0

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("schema version", self.schema_version)):
            if len(text) > MAX_TEXT_CHARS:
                raise InvalidCheckpoint(f"a {what} has at most {MAX_TEXT_CHARS} characters")

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts.values())

    @property
    def blobs(self) -> set[bytes]:
        """What has to be there for it to be read."""
        return {name for part in self.parts.values() for name in part.chunks}

    def encode(self) -> bytes:
        """The record's value. Raises InvalidValue, InvalidManifest."""
        said: dict[str, object] = {"created_ms": self.created_ms, "stored": self.stored}
        optional = {"parent": self.parent, "name": self.name, "schema": self.schema_version}
        said |= {name: text for name, text in optional.items() if text}
        if self.kind is not CheckpointKind.AUTO:
            said["kind"] = str(self.kind)
        texts = {name: orjson.dumps(member) for name, member in said.items()}
        if self.metadata != NOTHING:
            texts["metadata"] = self.metadata
        return values.join({**texts, "parts": contents.encode(self.parts)})


def checkpoint_from(value: bytes) -> Checkpoint:
    """A checkpoint from its record. Raises Damaged."""
    try:
        texts = values.fields(value)
        metadata = texts.pop("metadata", NOTHING)
        parts = contents.manifest_from(texts.pop("parts"))
        said: dict[str, Any] = {name: orjson.loads(text) for name, text in texts.items()}
        return Checkpoint(
            parts,
            parent=said.get("parent", ""),
            kind=CheckpointKind(said.get("kind", "auto")),
            name=said.get("name", ""),
            metadata=metadata,
            schema_version=said.get("schema", ""),
            stored=said["stored"],
            created_ms=said["created_ms"],
        )
    except (InvalidManifest, InvalidValue, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"the checkpoint's record cannot be read: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class TaskWrites:
    """What one task has written since a checkpoint: by index the channel and the bytes."""

    path: str
    channels: Mapping[int, str]
    parts: Mapping[int, Part]

    def __post_init__(self) -> None:
        if len(self.parts) > MAX_WRITES:
            raise InvalidCheckpoint(
                f"a task has at most {MAX_WRITES} writes, not {len(self.parts)}"
            )

    def joined(self, later: TaskWrites) -> TaskWrites:
        """With what came later: of an index the first stays, but for those below zero."""
        new = [n for n in later.parts if n < 0 or n not in self.parts]
        return TaskWrites(
            later.path or self.path,
            {**self.channels, **{n: later.channels[n] for n in new}},
            {**self.parts, **{n: later.parts[n] for n in new}},
        )

    @property
    def blobs(self) -> set[bytes]:
        """What has to be there for them to be read."""
        return {name for part in self.parts.values() for name in part.chunks}

    def encode(self) -> bytes:
        """The record's value. Raises InvalidValue."""
        said = {
            str(n): {"channel": self.channels[n], **contents.members_of(part)}
            for n, part in self.parts.items()
        }
        return values.canonical(orjson.dumps({"path": self.path, "writes": said}))


def writes_from(value: bytes) -> TaskWrites:
    """What a task has written, from its record. Raises Damaged."""
    try:
        said = orjson.loads(value)
        writes = {int(n): members for n, members in said["writes"].items()}
        return TaskWrites(
            said["path"],
            {n: members["channel"] for n, members in writes.items()},
            {n: contents.part_of(members) for n, members in writes.items()},
        )
    except (InvalidManifest, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"writes of a task cannot be read: {type(error).__name__}") from error


def new_id(now_ms: int, random: bytes, after: str = "") -> str:
    """An id of this moment, as a UUID of version 7, later than `after` where that is one, too;
    `random` are 16 bytes."""
    then = after.replace("-", "")[:12]
    is_one = len(after) == 36 and all(c in "0123456789abcdef" for c in then)
    at_ms = max(now_ms, int(then, 16) + 1 if is_one else 0) & ((1 << 48) - 1)
    number = (at_ms << 80) | (int.from_bytes(random[:10]) & ((1 << 80) - 1))
    number = (number & ~(0xF << 76)) | (0x7 << 76)
    number = (number & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
