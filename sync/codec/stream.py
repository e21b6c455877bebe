"""The messages of the stream, to protobuf and back, by their types and field names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.v1 import replication_service_pb2 as pb
from sync import messages as m
from sync.codec import edge_messages, hub_messages
from sync.codec.nouns import MalformedMessage
from sync.names import InvalidName


def edge_message_to(message: m.EdgeMessage) -> pb.ReplicateRequest:
    """A message of the edge as it travels."""
    name, convert = edge_messages.TO[type(message)]
    return pb.ReplicateRequest(**{name: convert(message)})


def hub_message_to(message: m.HubMessage) -> pb.ReplicateResponse:
    """A message of the hub as it travels."""
    name, convert = hub_messages.TO[type(message)]
    return pb.ReplicateResponse(**{name: convert(message)})


def edge_message_from(request: pb.ReplicateRequest) -> m.EdgeMessage:
    """A message of an edge. Raises MalformedMessage."""
    message: m.EdgeMessage = _read(request, edge_messages.FROM)
    return message


def hub_message_from(response: pb.ReplicateResponse) -> m.HubMessage:
    """A message of the hub. Raises MalformedMessage."""
    message: m.HubMessage = _read(response, hub_messages.FROM)
    return message


def _read(message: Any, table: Mapping[str, Callable[[Any], Any]]) -> Any:
    which = message.WhichOneof("message")
    if which is None:
        raise MalformedMessage("an empty message, or one that this version does not know")
    try:
        return table[which](getattr(message, which))
    except (InvalidName, AssertionError) as error:
        raise MalformedMessage(str(error)) from error
