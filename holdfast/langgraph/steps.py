"""What the saver does, as steps: written once for graphs that block and graphs that do not.

A thread is begun by the first put, at the node of this door. One that nobody holds is taken by the
first who puts; one that another node holds is not (StaleAuthority), so that two nodes never go on
with one thread. A put upon a checkpoint that is not the newest is a fork, as LangGraph means it.

A put has an id that follows from what it says: repeated after an answer that did not come, it is
the same put.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.base import Checkpoint as GraphCheckpoint
from langgraph.checkpoint.serde.base import SerializerProtocol

from holdfast.client.call import Steps
from holdfast.client.checkpoint_options import ListOptions
from holdfast.client.checkpoint_records import (
    Checkpoint,
    CheckpointName,
    Page,
    PendingWrite,
    StatePart,
)
from holdfast.client.checkpoints import Checkpoints
from holdfast.client.writes import COMMIT_ID_BYTES
from holdfast.errors import CheckpointNotFound, NotFound, StaleAuthority
from holdfast.langgraph import states

T = TypeVar("T")

REMEMBERED = 1_000
"""Checkpoints whose channels' versions are remembered: the newest of so many threads."""

COUNTERS = "counters_since_delta_snapshot"
"""The member of metadata that names channels which are kept as what was added to them."""


class SaverSteps:
    """The saver's operations upon `checkpoints` of one space."""

    def __init__(self, checkpoints: Checkpoints, space: str, serde: SerializerProtocol) -> None:
        self._checkpoints, self._space, self._serde = checkpoints, space, serde
        self._versions: OrderedDict[CheckpointName, dict[str, Any]] = OrderedDict()

    def with_serde(self, serde: SerializerProtocol) -> SaverSteps:
        """The same with another serializer."""
        return SaverSteps(self._checkpoints, self._space, serde)

    # -- one checkpoint --------------------------------------------------------

    def put(
        self, config: RunnableConfig, checkpoint: GraphCheckpoint, metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Steps[RunnableConfig]:  # fmt: skip
        """Stores a checkpoint upon the one that the config names."""
        parent = self.name_of(config)
        before = yield from self._kept_versions(parent)
        parts, unchanged = states.parts_of(self._serde, checkpoint, new_versions, before)
        told = get_serializable_checkpoint_metadata(config, metadata)
        plain, more = states.metadata_to(self._serde, told)
        if more is not None:
            parts[states.METADATA] = more
        name = parent._replace(id=checkpoint["id"])
        saved = yield from self._save(name, parent.id, parts, plain, unchanged)
        self._remember(name, states.kept_versions(saved, checkpoint["channel_versions"]))
        return states.config_of(name.thread, name.namespace, name.id)

    def _save(
        self, name: CheckpointName, parent: str, parts: dict[str, StatePart],
        metadata: dict[str, Any], unchanged: Sequence[str] = (),
    ) -> Steps[Checkpoint]:  # fmt: skip
        said = [*name, parent, *(f"{each}{part.sha256.hex()}" for each, part in parts.items())]
        commit_id = blake2b("\0".join(said).encode(), digest_size=COMMIT_ID_BYTES).digest()

        def attempt() -> Steps[Checkpoint]:
            return self._checkpoints.save(
                name.thread,
                None,
                parts,
                {
                    "space": name.space,
                    "namespace": name.namespace,
                    "id": name.id,
                    "parent": parent,
                    "fork": True,
                    "metadata": metadata,
                    "unchanged": unchanged,
                    "commit_id": commit_id,
                },
            )

        return (yield from self._held(name.thread, attempt))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str,
        task_path: str,
    ) -> Steps[None]:  # fmt: skip
        """Stores what a task has written after a checkpoint."""
        name = self.name_of(config)
        made = states.writes_of(self._serde, writes, task_id, task_path)
        if made:
            yield from self._put_writes(name, made)

    def _put_writes(self, name: CheckpointName, writes: list[PendingWrite]) -> Steps[None]:
        yield from self._held(
            name.thread, lambda: self._checkpoints.put_writes(name, writes, {})
        )  # fmt: skip

    def get_tuple(self, config: RunnableConfig) -> Steps[CheckpointTuple | None]:
        """The checkpoint that a config names, or the newest; None if there is none."""
        found = yield from self._load(self.name_of(config))
        return None if found is None else states.tuple_of(self._serde, found)

    def _load(self, name: CheckpointName) -> Steps[Checkpoint | None]:
        try:
            found = yield from self._checkpoints.load(
                name.thread, name.id, {"space": name.space, "namespace": name.namespace}
            )
        except NotFound:
            return None
        versions = states.loaded(self._serde, found.parts[states.BODY])["channel_versions"]
        named = name._replace(id=found.id)
        self._remember(named, states.kept_versions(found, versions))
        return found

    # -- lists -----------------------------------------------------------------

    def threads(self, token: str) -> Steps[Page]:
        """A page of the threads of the space."""
        return self._checkpoints.of_threads.threads({"space": self._space}, token)

    def page(
        self, thread: str, namespace: str | None, before: str, token: str
    ) -> Steps[Page]:  # fmt: skip
        """A page of names and metadata of checkpoints of a thread, newest first."""
        options: ListOptions = {"space": self._space, "namespace": namespace}
        if before and namespace is not None:
            options["before"] = before
        try:
            return (yield from self._checkpoints.page(thread, options, token))
        except NotFound:
            return Page((), "")

    def listed(
        self, found: Checkpoint, before: str, wanted: dict[str, Any]
    ) -> Steps[CheckpointTuple | None]:
        """A checkpoint of a list with its contents; None if it is not wanted."""
        if before and found.id >= before:
            return None
        whole = states.METADATA not in found.parts
        if whole and not _matches(found.metadata, wanted):
            return None
        name = CheckpointName(found.space, found.thread, found.namespace, found.id)
        loaded = yield from self._load(name)
        if loaded is None:
            return None
        made = states.tuple_of(self._serde, loaded)
        return made if _matches(made.metadata, wanted) else None

    # -- threads ---------------------------------------------------------------

    def delete_thread(self, thread_id: str) -> Steps[None]:
        """Deletes a thread with all that is in it."""
        yield from self._held(
            str(thread_id),
            lambda: self._checkpoints.of_threads.delete(str(thread_id), {"space": self._space}),
        )

    def delete_for_runs(self, run_ids: Sequence[str]) -> Steps[None]:
        """Deletes the checkpoints of runs, with what was written after them."""
        for thread in (yield from self._all_threads()):
            found = yield from self._all(thread)
            drop = [one for one in found if one.metadata.get("run_id") in set(run_ids)]
            yield from self._drop(thread, drop)

    def copy_thread(self, source: str, target: str) -> Steps[None]:
        """Copies a thread with all that is in it."""
        found = yield from self._all(str(source))
        for one in sorted(found, key=lambda one: one.id):
            name = CheckpointName(one.space, one.thread, one.namespace, one.id)
            loaded = yield from self._load(name)
            if loaded is None:
                continue
            copy = name._replace(thread=str(target))
            there = {each.id for each in found if each.namespace == one.namespace}
            parent = loaded.parent if loaded.parent in there else ""
            yield from self._save(copy, parent, dict(loaded.parts), dict(loaded.metadata))
            for task in sorted({write.task_id for write in loaded.writes}):
                mine = [write for write in loaded.writes if write.task_id == task]
                yield from self._put_writes(copy, mine)

    def prune(self, thread_ids: Sequence[str], strategy: str) -> Steps[None]:
        """Keeps the newest checkpoint of each namespace with what it needs, or deletes all."""
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategies are keep_latest and delete, not {strategy!r}")
        for thread in map(str, thread_ids):
            if strategy == "delete":
                yield from self.delete_thread(thread)
                continue
            found = yield from self._all(thread)
            newest = {one.namespace: one for one in sorted(found, key=lambda one: one.id)}
            kept = {(one.namespace, one.id) for one in newest.values()}
            for one in newest.values():
                kept |= _needed(one, {(each.namespace, each.id): each for each in found})
            drop = [one for one in found if (one.namespace, one.id) not in kept]
            yield from self._drop(thread, drop)

    def _drop(self, thread: str, found: Sequence[Checkpoint]) -> Steps[None]:
        if found:
            names = [(one.namespace, one.id) for one in found]
            threads, space = self._checkpoints.of_threads, self._space
            yield from self._held(
                thread, lambda: threads.prune(thread, {"space": space, "drop": names})
            )

    def _all(self, thread: str) -> Steps[list[Checkpoint]]:
        """All checkpoints of a thread without their contents."""
        found: list[Checkpoint] = []
        token = ""
        while True:
            page = yield from self.page(thread, None, "", token)
            found += page.found
            token = page.next_token
            if not token:
                return found

    def _all_threads(self) -> Steps[list[str]]:
        found: list[str] = []
        token = ""
        while True:
            page = yield from self.threads(token)
            found += [thread.id for thread in page.found]
            token = page.next_token
            if not token:
                return found

    # -- what they share -------------------------------------------------------

    def name_of(self, config: RunnableConfig) -> CheckpointName:
        """The checkpoint that a config names; an empty id if it names none."""
        told = config["configurable"]
        namespace = told.get("checkpoint_ns") or ""
        id_ = get_checkpoint_id(config) or ""
        return CheckpointName(self._space, str(told["thread_id"]), namespace, id_)

    def _held(self, thread: str, attempt: Callable[[], Steps[T]]) -> Steps[T]:
        """Does it; where nobody holds the thread, once more after taking it."""
        try:
            return (yield from attempt())
        except StaleAuthority as stale:
            if stale.metadata.get("holder"):
                raise
        yield from self._checkpoints.of_threads.take(thread, False, {"space": self._space})
        return (yield from attempt())

    def _kept_versions(self, name: CheckpointName) -> Steps[dict[str, Any]]:
        """At which versions a parent has channels in parts of their own."""
        if not name.id:
            return {}
        if name not in self._versions:
            try:
                yield from self._load(name)
            except CheckpointNotFound:
                return {}
        return self._versions.get(name, {})

    def _remember(self, name: CheckpointName, versions: dict[str, Any]) -> None:
        self._versions[name] = versions
        if len(self._versions) > REMEMBERED:
            self._versions.popitem(last=False)


def is_wanted(found: CheckpointTuple, before: str, wanted: dict[str, Any]) -> bool:
    """Whether a checkpoint is before another, and has these members in its metadata."""
    earlier = not before or found.config["configurable"]["checkpoint_id"] < before
    return earlier and _matches(found.metadata, wanted)


def _matches(metadata: Any, wanted: dict[str, Any]) -> bool:
    return all(metadata.get(name) == value for name, value in wanted.items())


def _needed(one: Checkpoint, known: dict[tuple[str, str], Checkpoint]) -> set[tuple[str, str]]:
    """Ancestors that hold what channels were added to, down to one that has them whole."""
    missing = {states.part_of(channel) for channel in one.metadata.get(COUNTERS) or ()}
    missing -= one.parts.keys()
    found: set[tuple[str, str]] = set()
    at = known.get((one.namespace, one.parent))
    while missing and at is not None and (at.namespace, at.id) not in found:
        found.add((at.namespace, at.id))
        missing -= at.parts.keys()
        at = known.get((at.namespace, at.parent))
    return found
