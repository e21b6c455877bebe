"""One request, ready to be sent by any transport, and the steps that larger operations are made of.

An operation is a generator: it yields calls, is given their answers (or has their errors thrown
in), and returns its result. So everything is decided here once, without I/O, and the two shells
only send and wait.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from holdfast.client.limits import MAX_MESSAGE_BYTES
from holdfast.errors import ResourceExhausted
from holdfast.v1 import (
    admin_service_pb2,
    checkpoint_service_pb2,
    conflict_service_pb2,
    edge_service_pb2,
    state_service_pb2,
    workflow_service_pb2,
)

T = TypeVar("T")

_MODULES = (
    state_service_pb2,
    conflict_service_pb2,
    checkpoint_service_pb2,
    workflow_service_pb2,
    edge_service_pb2,
    admin_service_pb2,
)
_SERVICES: dict[str, ServiceDescriptor] = {
    name: service
    for module in _MODULES
    for name, service in module.DESCRIPTOR.services_by_name.items()
}


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the interface."""

    path: str
    """/package.Service/Method"""
    response: type[Message]


@cache
def method(name: str) -> Method:
    """The method of a name such as "StateService.Get". Raises KeyError."""
    service, _, called = name.partition(".")
    descriptor = _SERVICES[service].methods_by_name[called]
    path = f"/{_SERVICES[service].full_name}/{called}"
    return Method(path, GetMessageClass(descriptor.output_type))


@dataclass(frozen=True, slots=True)
class Call:
    """A request of one answer."""

    method: Method
    request: Message
    timeout_s: float
    repeatable: bool = True
    """Whether sending it twice is the same as once."""
    commit_id: bytes | None = None
    """Of a commit: if its answer does not come, it may have happened. Empty: a commit without an
    id of the client's."""

    def __post_init__(self) -> None:
        size = self.request.ByteSize()
        if size > MAX_MESSAGE_BYTES:
            raise ResourceExhausted(
                "MESSAGE_TOO_LARGE",
                f"the request has {size} bytes, the limit is {MAX_MESSAGE_BYTES}",
            )


Steps = Generator[Call, Any, T]


def serialize(message: Message) -> bytes:
    """The bytes of a request."""
    return message.SerializeToString()
