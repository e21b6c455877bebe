"""The port of a hub process: its services, its certificates, its health, its reflection.

Draining takes two steps, since what has been taken is decided between them: first the world is told
that no new calls are wanted, in the end those in flight have their time.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from grpc_health.v1 import health, health_pb2

from cloud_hub.access import Gatekeeper
from cloud_hub.certificates import Certificates
from cloud_hub.meter import Meter
from holdfast.host.channels import server_options
from holdfast.host.door import UnknownMethods, add_service
from holdfast.host.health import add_health
from holdfast.v1 import (
    admin_service_pb2,
    blob_service_pb2,
    checkpoint_service_pb2,
    conflict_service_pb2,
    replication_service_pb2,
    state_service_pb2,
    workflow_service_pb2,
)

DRAIN_SECONDS = 10.0
"""Time for calls in flight; what has been taken is decided in any case."""

SERVICES = {
    "StateService": state_service_pb2.DESCRIPTOR,
    "ConflictService": conflict_service_pb2.DESCRIPTOR,
    "WorkflowService": workflow_service_pb2.DESCRIPTOR,
    "CheckpointService": checkpoint_service_pb2.DESCRIPTOR,
    "BlobService": blob_service_pb2.DESCRIPTOR,
    "ReplicationService": replication_service_pb2.DESCRIPTOR,
    "AdminService": admin_service_pb2.DESCRIPTOR,
}


class Server:
    """Serves `services` by name; with `certificates` over TLS, and by the table of rights."""

    def __init__(
        self, services: Mapping[str, object], certificates: Certificates | None, meter: Meter,
        *, reflection: bool,
    ) -> None:  # fmt: skip
        self._services, self._certificates, self._meter = services, certificates, meter
        self._reflection = reflection
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self, listen: str) -> int:
        """Listens, and returns the port. Raises OSError if the address is taken."""
        server = self._server = self._made()
        for name, service in self._services.items():
            descriptor = SERVICES[name].services_by_name[name]
            add_service(server, descriptor, service, self._meter.refused)
        add_health(server, self._health)
        if self._reflection:
            _enable_reflection(server)
        server.add_generic_rpc_handlers((UnknownMethods(),))
        try:
            port = self._bound(server, listen)
        except RuntimeError as error:
            said = "it is in use, or no address of this machine"
            raise OSError(f"cannot listen on {listen}: {said}") from error
        await server.start()
        return port

    async def healthy(self) -> None:
        """Says that all of it is served."""
        for name in ("", *(f"holdfast.v1.{each}" for each in self._services)):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def leaving(self) -> None:
        """Says that no new calls are wanted."""
        await self._health.enter_graceful_shutdown()

    async def stop(self) -> None:
        """Ends, after some time for calls in flight."""
        if self._server is not None:
            await self._server.stop(DRAIN_SECONDS)
            self._server = None  # it ends with this loop, not when a collector comes by

    def _made(self) -> grpc.aio.Server:
        if self._certificates is None:
            return grpc.aio.server(options=server_options())
        certificates = self._certificates
        gate = Gatekeeper(lambda: certificates.trust)
        return grpc.aio.server(interceptors=[gate], options=server_options())

    def _bound(self, server: grpc.aio.Server, listen: str) -> int:
        if self._certificates is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, self._certificates.credentials())


def _enable_reflection(server: grpc.aio.Server) -> None:
    from grpc_reflection.v1alpha import reflection

    names = [f"holdfast.v1.{name}" for name in SERVICES]
    reflection.enable_server_reflection(
        [*names, "grpc.health.v1.Health", reflection.SERVICE_NAME], server
    )
