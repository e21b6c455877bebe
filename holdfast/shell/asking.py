"""Questions that only one kind of daemon answers, as plain data: the edge about itself, the hub
about its fleet.

What a daemon answers becomes dicts that are printed as JSON as they are; tables pick from them. The
functions take an answer and not a client, so that blocking and asyncio callers share them.

Invariant: ids and digests are hex text, times unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.message import Message

from holdfast.client import wire
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge
from holdfast.v1 import replication_service_pb2

if TYPE_CHECKING:
    from holdfast.client import Client

Document = dict[str, Any]

_LINKS = {
    edge.LINK_STATE_CONNECTING: "connecting",
    edge.LINK_STATE_GREETING: "greeting",
    edge.LINK_STATE_STREAMING: "streaming",
    edge.LINK_STATE_PAUSED: "paused",
    edge.LINK_STATE_NEEDS_AUTH: "needs_auth",
}
PAGE = 1_000
"""The most that a page may have."""


def ask(client: Client, name: str, request: Message) -> Any:
    """The answer of one method."""
    return client.request(name, request)


def pages(client: Client, name: str, request: Any, member: str) -> Iterator[Any]:
    """Everything of a listing, page by page."""
    request.page_size = PAGE
    while True:
        answer = cast(Any, client.request(name, request))
        yield from getattr(answer, member)
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def digests(found: Iterable[replication_service_pb2.CollectionDigest]) -> dict[str, Document]:
    """Digest and number of live records by collection, where there are any."""
    return {
        one.collection: {"digest": f"{one.digest:016x}", "records": one.records}
        for one in found
        if one.records
    }


# -- the edge ----------------------------------------------------------------------------------


def edge_status(answer: edge.GetEdgeStatusResponse) -> Document:
    """The edge's state in numbers."""
    return {
        "edge": answer.edge,
        "version": answer.version,
        "origin": answer.origin.hex(),
        "hub": answer.hub,
        "link": _LINKS.get(answer.link, "unknown"),
        "connected": answer.link == edge.LINK_STATE_STREAMING,
        "link_reason": answer.link_reason or None,
        "pending": answer.pending,
        "alarms": list(answer.alarms),
        "outbox_bytes": answer.outbox_bytes,
        "outbox_limit_bytes": answer.outbox_limit_bytes,
        "uptime_ms": answer.uptime_ms,
        "memory_bytes": answer.memory_bytes,
        "rebuilds": dict(answer.rebuilds),
        "commits": answer.commits,
        "applied": answer.applied,
        "clock_skew_ms": answer.clock_skew_ms if answer.HasField("clock_skew_ms") else None,
        "spaces": [_edge_space(space) for space in answer.spaces],
    }


def _edge_space(space: edge.EdgeSpaceStatus) -> Document:
    return {
        "space": space.space,
        "epoch": space.position.epoch,
        "revision": space.position.revision,
        "head": space.head,
        "pending": space.pending,
        "newest_seq": space.newest_seq,
        "decided_seq": space.decided_seq,
        "verified": space.verified,
        "staleness_ms": space.staleness_ms if space.HasField("staleness_ms") else None,
        "digests": digests(space.digests),
    }


def outbox_entry(entry: edge.OutboxEntry) -> tuple[Document, tuple[Any, ...]]:
    """A commit that waits for the hub, and its operations as the client's nouns."""
    space = entry.op_id.space
    ops = tuple(op for one in entry.ops if (op := wire.op_from(space, one)) is not None)
    actor = wire.actor_from(entry.actor)
    document = {
        "space": space,
        "origin": entry.op_id.origin.hex(),
        "seq": entry.op_id.seq,
        "commit_id": entry.op_id.commit_id.hex(),
        "actor": {"id": actor.id, "kind": str(actor.kind)},
        "claimed_ms": entry.claimed >> 16,
        "offered": entry.offered,
        "coalesced_by": entry.coalesced_by or None,
    }
    return document, ops


# -- the hub -----------------------------------------------------------------------------------


def hub_status(answer: admin.GetHubStatusResponse) -> Document:
    """The hub's state in numbers."""
    return {
        "hub": answer.hub,
        "version": answer.version,
        "database": answer.database,
        "uptime_ms": answer.uptime_ms,
        "connected_edges": answer.connected_edges,
        "commits": answer.commits,
        "alarms": list(answer.alarms),
        "memory_bytes": answer.memory_bytes,
    }


def edge_info(info: admin.EdgeInfo) -> Document:
    """An edge as the hub knows it."""
    return {
        "edge": info.edge,
        "origin": info.origin.hex(),
        "connected": info.connected,
        "last_seen_ms": info.last_seen_ms,
        "pending": info.pending,
        "clock_skew_ms": info.clock_skew_ms,
        "alarms": list(info.alarms),
        "software": info.software,
        "spaces": [
            {"space": one.space, "revision": one.cursor, "lag": one.lag} for one in info.spaces
        ],
        "counters": _counters(info.counters) if info.HasField("counters") else None,
    }


def _counters(counters: replication_service_pb2.EdgeCounters) -> Document:
    """What an edge process has counted since it began, and what is so just now."""
    names = ("uptime_ms", "commits", "applied", "dials", "outbox_transactions", "outbox_us")
    return {name: getattr(counters, name) for name in names} | {
        "oldest_pending_ms": counters.oldest_pending_ms,
        "lag_ms": counters.lag_ms if counters.HasField("lag_ms") else None,
        "refusals": {one.reason: one.count for one in counters.refusals},
    }


def space_info(info: admin.SpaceInfo) -> Document:
    """A space, with its digests."""
    return {
        "space": info.space,
        "epoch": info.head.epoch,
        "revision": info.head.revision,
        "conflicts": info.conflicts,
        "open_conflicts": info.open_conflicts,
        "digests": digests(info.digests),
    }


def epoch_info(info: admin.EpochInfo) -> Document:
    """One history of the hub."""
    return {
        "epoch": info.epoch.ordinal,
        "id": info.epoch.id.hex(),
        "after": info.epoch.parent,
        "declared_ms": info.declared_ms,
        "by": info.actor,
        "timeline": info.timeline,
        "reason": info.reason,
        "forks": {fork.space: fork.revision for fork in info.epoch.forks},
    }


def fork_sign(info: admin.ForkSign) -> Document:
    """Who had seen what of another history."""
    return {
        "space": info.space,
        "witness": info.witness,
        "epoch": info.epoch,
        "revision": info.revision,
        "shared": info.shared,
        "seen_ms": info.seen_ms,
        "held": info.held,
    }


def policy_request(
    space: str, collection: str, json: str, revision: int, actor: tuple[str, str]
) -> admin.SetPolicyRequest:
    """Sets a policy; with a revision, only if that is the one in force."""
    from holdfast.client.writes import actor_of

    return admin.SetPolicyRequest(
        space=space,
        policy=admin.Policy(collection=collection, json=json, revision=revision),
        actor=wire.actor_to(actor_of(actor)),
    )


def epoch_request(
    request_id: bytes, reason: str, actor: tuple[str, str]
) -> admin.DeclareEpochRequest:
    """Declares an epoch with this id."""
    from holdfast.client.writes import actor_of

    who = wire.actor_to(actor_of(actor))
    return admin.DeclareEpochRequest(reason=reason, actor=who, request_id=request_id)
