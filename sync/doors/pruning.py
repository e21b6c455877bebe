"""Pruning: checkpoints that a policy does not keep are deleted, and what only they needed too.

The records go first, by commits like any other. Then this door lets go of contents: what is left of
the thread is packed so that it stands upon what stays, and the rest goes. Other doors let go of
theirs when they prune, or never: what is not needed is no harm but for its room.

A chunk that another thread needs too is left as it is, with all that it stands upon.

Invariant: what stays reads as before, at this door and at others; what is unfinished stays with
its writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from holdfast.v1 import checkpoint_service_pb2 as pb
from sync import chains, pruning
from sync.authority import CHECKPOINTS, THREADS, WRITES
from sync.blobs import BaseMoved, Blobs, Standing
from sync.chains import Blob
from sync.codec import checkpoints as convert
from sync.doors.contents import Contents
from sync.doors.door import Asked, Call, Door, Plan
from sync.doors.threads import Threads, checked
from sync.pruning import Step
from sync.reduce import Delete, Patch, Request
from sync.threads import (
    Checkpoint,
    Place,
    checkpoint_from,
    head_names,
    heads_to,
    place_of,
    writes_from,
)

DELETED_AT_ONCE = 500
"""Records in one commit."""

Key = tuple[Place, str]
"""A checkpoint: its line and its id."""


class Pruning:
    """Prunes at one door."""

    def __init__(self, door: Door, contents: Contents) -> None:
        self._door, self._contents, self._threads = door, contents, Threads(door)

    async def prune(self, request: pb.PruneThreadRequest, call: Call) -> pb.PruneThreadResponse:
        """See CheckpointService."""
        self._door.state.named(request.actor)
        place = Place(request.thread_id)
        space, token = checked(request.space, place), request.session_token
        at, _ = await self._threads.need(space, place, call, token)
        at.shown(self._door.node(), request.token)
        found = await self._all(space, place, call, token)
        writes = await self._writes(space, place, call, token)
        gone = self._gone(request, found, at.thread.heads)
        told = pb.PruneThreadResponse(
            gone=[pb.ThreadHead(namespace=p.namespace, checkpoint_id=id_) for p, id_ in gone],
            kept=len(found) - len(gone),
        )
        if request.dry_run:
            return told
        doomed = [p.key(id_) for p, id_ in gone]
        heads = _heads_after(at.thread.heads, found, gone)
        names = [(CHECKPOINTS, key) for key in doomed]
        names += [(WRITES, key) for key in writes if key.rpartition("/")[0] in set(doomed)]
        asked = Asked(space, call, request.actor, (THREADS, place.thread), session_token=token)
        for start in range(0, len(names), DELETED_AT_ONCE):
            group: list[Request] = [Delete(*n) for n in names[start : start + DELETED_AT_ONCE]]
            if not start and heads is not None:
                group.insert(0, heads)

            async def decide(group: Sequence[Request] = group) -> Plan:
                at, _ = await self._threads.need(space, place, call, token)
                shown = at.shown(self._door.node(), request.token)
                return Plan(tuple(group), shown, session_token=token)

            told.commit.CopyFrom((await self._door.write(asked, decide)).commit)
        needed = {name for key, one in found.items() if key not in set(gone) for name in one.blobs}
        left = [blobs for key, blobs in writes.items() if key.rpartition("/")[0] not in set(doomed)]
        needed.update(*left)
        told.freed = await let_go(self._contents.blobs, space, place.thread, frozenset(needed))
        return told

    def _gone(
        self, request: pb.PruneThreadRequest, found: Mapping[Key, Checkpoint],
        heads: Mapping[str, str],
    ) -> list[Key]:  # fmt: skip
        """What is to go: what was named, or what the policy does not keep."""
        if request.drop:
            named = {(each.namespace, each.checkpoint_id) for each in request.drop}
            return sorted(key for key in found if (key[0].namespace, key[1]) in named)
        policy, now_ms = convert.policy_from(request.policy), self._door.now_ms()
        gone: list[Key] = []
        for namespace in {where.namespace for where, _ in found}:
            line = {key: one for key, one in found.items() if key[0].namespace == namespace}
            steps = [_step(id_, one) for (_, id_), one in line.items()]
            kept = pruning.kept(steps, policy, now_ms) | {heads.get(namespace, "")}
            gone += [key for key in line if key[1] not in kept]
        return sorted(gone)

    async def _all(
        self, space: str, place: Place, call: Call, token: bytes
    ) -> dict[Key, Checkpoint]:
        rows = await self._threads.all_of(space, CHECKPOINTS, f"{place.thread}/", call, token)
        return {place_of(row.key): checkpoint_from(row.value) for row in rows}

    async def _writes(
        self, space: str, place: Place, call: Call, token: bytes
    ) -> Mapping[str, set[bytes]]:
        rows = await self._threads.all_of(space, WRITES, f"{place.thread}/", call, token)
        return {row.key: writes_from(row.value).blobs for row in rows}


def _heads_after(
    heads: Mapping[str, str], found: Mapping[Key, Checkpoint], gone: Sequence[Key]
) -> Request | None:
    """What becomes of heads that go: the newest that is left of the namespace is one then."""
    left: dict[str, str] = {}
    for where, id_ in found.keys() - set(gone):
        left[where.namespace] = max(id_, left.get(where.namespace, ""))
    ended = {where.namespace for where, id_ in gone if heads.get(where.namespace) == id_}
    if not ended:
        return None
    thread = gone[0][0].thread
    moved = heads_to({name: left[name] for name in ended if name in left})
    return Patch(THREADS, thread, moved, head_names(ended - left.keys()))


def _step(id_: str, one: Checkpoint) -> Step:
    return Step(id_, one.parent or None, one.created_ms, one.stored, one.name)


async def let_go(blobs: Blobs, space: str, thread: str, needed: frozenset[bytes]) -> int:
    """Lets go of what a thread does not need any more; what it does is packed to stand without.
    Returns how many bytes that were, at this door."""
    have: dict[bytes, Standing] = {}
    after = b""
    while page := await blobs.used(space, thread, after):
        have |= page
        after = max(page)
    keep = {name for name in needed if name in have}
    keep |= _below(have, await blobs.shared(space, thread, list(have)))
    freed = 0
    for family in _families(have, keep):
        freed += await _rebased(blobs, space, thread, have, family, keep)
    return freed


def _below(have: Mapping[bytes, Standing], names: frozenset[bytes]) -> set[bytes]:
    """These, and all that they stand upon."""
    found: set[bytes] = set()
    for name in names:
        at: bytes | None = name
        while at is not None and at in have and at not in found:
            found.add(at)
            at = have[at].base
    return found


def _families(have: Mapping[bytes, Standing], keep: set[bytes]) -> list[set[bytes]]:
    """Blobs by the keyframe that they stand upon, as far as something of them goes."""
    roots: dict[bytes, bytes] = {}

    def root(name: bytes) -> bytes:
        trail = []
        while name not in roots:
            trail.append(name)
            below = have[name].base
            if below is None or below not in have:
                roots[name] = name
                break
            name = below
        found = roots[name]
        roots.update(dict.fromkeys(trail, found))
        return found

    families: dict[bytes, set[bytes]] = defaultdict(set)
    for name in have:
        families[root(name)].add(name)
    return [family for family in families.values() if not family <= keep]


async def _rebased(
    blobs: Blobs, space: str, thread: str, have: Mapping[bytes, Standing], family: set[bytes],
    keep: set[bytes],
) -> int:  # fmt: skip
    """Lets go of what is not to be kept of one family. Returns how many bytes that were."""
    kept, gone = frozenset(family & keep), family - keep
    held: dict[bytes, Blob] = {}
    for name in sorted(kept, key=lambda name: -have[name].depth):
        if name not in held:
            held |= {blob.name: blob for blob in await blobs.chain(space, name)}
    anew = chains.rebase(kept, held.get)
    before = sum(have[name].stored for name in (*gone, *anew))
    order = sorted(anew.values(), key=lambda blob: blob.depth)
    try:
        await blobs.drop(space, thread, order, gone)
    except BaseMoved:
        return 0  # somebody has come to need one of them meanwhile: it stays, with what is below
    return before - sum(len(blob.packed) for blob in order)
