"""Who may call what at the hub's port: one table, and whatever is not in it is refused.

Over TLS the caller is who his certificate says, by its URI (holdfast.tls.identity), and each method
names the roles that may call it. On a loopback port without TLS there are no identities: whoever
reaches it may do everything, as `--insecure` says.

The table is about methods. Which spaces and collections an identity may read and write, and as
which actors, is not limited yet.

Invariant: over TLS no method runs before the table has been asked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from inspect import isasyncgenfunction
from typing import Any

import grpc

from holdfast.host.refusal import Refusal
from holdfast.tls.identity import Identity, InvalidIdentity, Role, only_one

Context = grpc.aio.ServicerContext[Any, Any]

ANYBODY = frozenset({Role.EDGE, Role.OPERATOR, Role.CLIENT})
"""Everybody but other hubs. An edge may use the hub's door, too: what can be done there it can do
by its stream as well."""

EDGES = frozenset({Role.EDGE})
OPERATORS = frozenset({Role.OPERATOR})

_TABLE: Mapping[str, Mapping[frozenset[Role], tuple[str, ...]]] = {
    "grpc.health.v1.Health": {ANYBODY: ("Check", "Watch")},
    "grpc.reflection.v1alpha.ServerReflection": {OPERATORS: ("ServerReflectionInfo",)},
    "holdfast.v1.StateService": {
        ANYBODY: (
            "Commit", "Get", "BatchGet", "List", "Watch", "History", "GetOutcome", "Wait",
        ),
    },
    "holdfast.v1.ConflictService": {
        ANYBODY: (
            "ListConflicts", "GetConflict", "WatchConflicts", "ResolveConflict", "UndoConflict",
        ),
    },
    "holdfast.v1.WorkflowService": {
        ANYBODY: (
            "PutDefinition", "GetDefinition", "CreateWorkflow", "SaveWorkflowState", "GetWorkflow",
            "ListWorkflows", "Transition", "RecordExecution", "ListExecutions", "TakeAuthority",
            "ReleaseAuthority", "GetWorkflowHistory",
        ),
    },
    "holdfast.v1.CheckpointService": {
        ANYBODY: (
            "SaveCheckpoint", "PutChunk", "LoadCheckpoint", "ReadChunk", "ListCheckpoints",
            "ListThreads", "GetThread", "PutWrites", "TakeThread", "ReleaseThread",
            "DeleteThread", "PruneThread",
        ),
    },
    "holdfast.v1.BlobService": {EDGES: ("FindMissing", "KeepBlobs", "FetchBlobs")},
    "holdfast.v1.ReplicationService": {EDGES: ("Replicate",)},
    "holdfast.v1.AdminService": {
        OPERATORS: (
            "GetHubStatus", "ListEdges", "ListSpaces", "ListPolicies", "GetPolicy", "SetPolicy",
            "ListEpochs", "ListForkSigns", "DeclareEpoch",
        ),
    },
}  # fmt: skip

RIGHTS: Mapping[str, frozenset[Role]] = {
    f"/{service}/{method}": roles
    for service, rows in _TABLE.items()
    for roles, methods in rows.items()
    for method in methods
}
"""The roles that may call a method, by its path."""

OLDEST = b"TLSv1.3"


def identity_of(context: Context) -> Identity | None:
    """Who calls; None on a port without TLS. Raises Refusal IDENTITY_REFUSED."""
    return identity_in(context.auth_context())


def identity_in(found: Mapping[str, Iterable[bytes]]) -> Identity | None:
    """The same, from what gRPC knows of a connection."""
    if b"ssl" not in found.get("transport_security_type", ()):
        return None
    # The ciphers that the process allows have ruled this out already (holdfast.host.channels).
    if any(version != OLDEST for version in found.get("ssl_tls_version", ())):
        raise Refusal("IDENTITY_REFUSED", "the connection is of a version of TLS below 1.3")
    try:
        return only_one([uri.decode() for uri in found.get("peer_uri", ())])
    except (InvalidIdentity, UnicodeDecodeError) as error:
        raise Refusal("IDENTITY_REFUSED", str(error)) from None


def check(method: str, who: Identity | None, trust: str) -> None:
    """Whether somebody may call a method; `trust` is the hub's own domain. Raises Refusal."""
    if who is None:
        raise Refusal("IDENTITY_REFUSED", "the connection has no identity")
    if who.trust != trust:
        message = f"{who} is not of this hub's domain, {trust}"
        raise Refusal("IDENTITY_REFUSED", message)
    roles = RIGHTS.get(method, frozenset())
    if who.role not in roles:
        allowed = ", ".join(sorted(roles)) or "nobody"
        raise Refusal("NOT_ALLOWED", f"{method} may be called by {allowed}, and not by {who}")


class Gatekeeper(grpc.aio.ServerInterceptor):
    """Asks the table before every call, whatever serves it. `trust` tells the hub's domain."""

    def __init__(self, trust: Callable[[], str]) -> None:
        self._trust = trust

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        for shape in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            inner = getattr(handler, shape, None)
            if inner is not None:
                return handler._replace(**{shape: self._guarded(method, inner)})
        return handler

    def _guarded(self, method: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def admit(context: Context) -> None:
            try:
                check(method, identity_of(context), self._trust())
            except Refusal as refusal:
                await context.abort(refusal.status, refusal.details, refusal.trailers())

        async def generator(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            await admit(context)
            async for response in inner(request, context):
                yield response

        async def coroutine(request: Any, context: Context) -> Any:
            await admit(context)
            return await inner(request, context)

        return generator if isasyncgenfunction(inner) else coroutine
