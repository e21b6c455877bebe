"""grpc.health.v1 for both daemons, registered through its messages.

The library's own registration adds to a server what a later generic handler
could not see; here it is one handler like the others.
"""

from __future__ import annotations

import grpc
from grpc_health.v1 import health, health_pb2


def add_health(server: grpc.aio.Server, servicer: health.aio.HealthServicer) -> None:
    """Serves grpc.health.v1.Health."""
    request, response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    handlers = {
        "Check": grpc.unary_unary_rpc_method_handler(
            servicer.Check,
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        ),
        "Watch": grpc.unary_stream_rpc_method_handler(
            servicer.Watch,
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers),)
    )
