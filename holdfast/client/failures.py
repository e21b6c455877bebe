"""From the end of a gRPC call to an exception.

Doors say why in google.rpc.ErrorInfo; nothing is ever read from a message. A status without it does
not come from a door's code: the connection broke, a deadline passed in the client, or gRPC itself
refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from holdfast.errors import (
    DeadlineExceeded,
    HoldfastError,
    Unavailable,
    kind_of,
)
from holdfast.reasons import DOMAIN, REASONS

_DETAILS_KEY = "grpc-status-details-bin"
_LOST = frozenset(
    # INTERNAL, UNKNOWN and CANCELLED are what gRPC makes of streams that broke in the middle.
    {
        *(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL),
        *(grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED),
    }
)
_OF_GRPC_ITSELF = {
    grpc.StatusCode.UNIMPLEMENTED: "UNKNOWN_METHOD",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "TOO_MANY_REQUESTS",
    grpc.StatusCode.PERMISSION_DENIED: "NOT_ALLOWED",
    grpc.StatusCode.UNAUTHENTICATED: "NOT_ALLOWED",
}

Trailers = Iterable[Any]
"""Pairs of a name and a text or bytes: gRPC's own class for them differs between its two halves."""


class ConnectionLost(Unavailable):
    """No answer came: the request may or may not have arrived."""


def failure(code: grpc.StatusCode, details: str | None, trailers: Trailers | None) -> HoldfastError:
    """The exception for a call that ended with `code`."""
    for key, value in trailers or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            told = _told(value)
            if told is not None:
                return told
    return _untold(code, details or "")


def not_connected(target: str, timeout_s: float) -> Unavailable:
    """The exception for a door that could not be reached, so that nothing was sent."""
    return Unavailable("DOOR_UNREACHABLE", f"{target} did not answer within {timeout_s:.1f} s")


def _told(data: bytes) -> HoldfastError | None:
    """What a door said, or None if this is not the word of a door."""
    try:
        status = status_pb2.Status.FromString(data)
    except DecodeError:
        return None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    has_retry = False
    for detail in status.details:
        detail.Unpack(info)
        has_retry = detail.Unpack(retry) or has_retry
    if info.domain != DOMAIN:
        return None
    metadata = dict(info.metadata)
    name = next((c.name for c in grpc.StatusCode if c.value[0] == status.code), "INTERNAL")
    return kind_of(info.reason, name)(
        info.reason,
        status.message,
        remedy=metadata.pop("remedy", None),
        metadata=metadata,
        retry_after_s=retry.retry_delay.ToMilliseconds() / 1000 if has_retry else None,
    )


def _untold(code: grpc.StatusCode, details: str) -> HoldfastError:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("DEADLINE_PASSED", REASONS["DEADLINE_PASSED"].meaning)
    if code in _LOST:
        return ConnectionLost("DOOR_UNREACHABLE", f"the connection was lost ({details[:200]})")
    reason = _OF_GRPC_ITSELF.get(code)
    message = f"{code.name}: {details[:200]}"
    if reason is None:
        return kind_of("UNEXPECTED_STATUS", code.name)("UNEXPECTED_STATUS", message)
    return kind_of(reason)(reason, message)
