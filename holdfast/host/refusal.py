"""What a door says when it refuses: a reason from the table, put into a gRPC status.

The status carries google.rpc.ErrorInfo (domain, reason, metadata with the remedy) and, where
waiting helps, google.rpc.RetryInfo. All of it travels in trailers, whose size HTTP/2 peers limit
(gRPC: 8 KiB), so the texts are cut here; beyond the limit a client would be told of the size of the
trailers and nothing of the reason.

Invariant: the trailers of a refusal stay below MAX_TRAILER_BYTES, whatever the texts contain.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from holdfast.reasons import DOMAIN, REASONS

DETAILS_KEY = "grpc-status-details-bin"

MAX_TRAILER_BYTES = 8 * 1024
"""What gRPC accepts by default."""

MAX_MESSAGE_BYTES = 700
"""Of UTF-8. It travels twice: percent-encoded (at worst threefold) and inside the details (base64,
four thirds), so at worst this is 3 KiB of the trailers."""

MAX_METADATA_BYTES = 2_700
"""Of all names and values together; in base64 3.6 KiB."""

Trailers = tuple[tuple[str, bytes], ...]


class Refusal(Exception):
    """A request that is refused; the door turns it into a status.

    `reason` is of the table, `message` says what is special this time (the remedy comes from the
    table), `metadata` holds details for programs. `retry_ms` replaces what the table says.
    """

    def __init__(
        self,
        reason: str,
        message: str = "",
        *,
        metadata: dict[str, str] | None = None,
        retry_ms: int | None = None,
    ) -> None:
        row = REASONS[reason]
        super().__init__(message or row.meaning)
        self.reason = reason
        self.message = message or row.meaning
        self.metadata = metadata or {}
        self.retry_ms = row.retry_ms if retry_ms is None else retry_ms

    @property
    def status(self) -> grpc.StatusCode:
        return grpc.StatusCode[REASONS[self.reason].status]

    @property
    def details(self) -> str:
        """The message, of a size that fits."""
        return _cut(self.message, MAX_MESSAGE_BYTES)

    def trailers(self) -> Trailers:
        """The machine's part of the status."""
        code, _ = self.status.value
        status = status_pb2.Status(code=code, message=self.details)
        status.details.add().Pack(self._error_info())
        if self.retry_ms is not None:
            delay = Duration()
            delay.FromMilliseconds(self.retry_ms)
            status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        return ((DETAILS_KEY, status.SerializeToString()),)

    def _error_info(self) -> error_details_pb2.ErrorInfo:
        metadata = {"remedy": REASONS[self.reason].remedy}
        room = MAX_METADATA_BYTES - len(metadata["remedy"])
        for name, value in self.metadata.items():
            kept = _cut(value, max(0, room - len(name)))
            if len(kept) < len(value):
                metadata["truncated"] = name
            if kept or not value:
                metadata[name] = kept
            room -= len(name) + len(kept.encode())
        return error_details_pb2.ErrorInfo(domain=DOMAIN, reason=self.reason, metadata=metadata)


def refusal_for(error: Exception) -> Refusal | None:
    """The refusal that an error means, or None for an error that nobody foresaw.

    Every part of this project gives its errors a `reason` of the table and a message made for
    people, some also `metadata` for programs (texts by name), so none of them needs to know of
    gRPC.
    """
    if isinstance(error, Refusal):
        return error
    reason = getattr(error, "reason", None)
    if not isinstance(reason, str) or reason not in REASONS:
        return None
    told = getattr(error, "metadata", None)
    metadata = dict(told) if isinstance(told, Mapping) else None
    message = str(getattr(error, "message", "") or error)
    return Refusal(reason, message, metadata=metadata)


def _cut(text: str, size_bytes: int) -> str:
    """The beginning of `text`, of at most `size_bytes` in UTF-8 and without halves of pairs."""
    return text.encode("utf-8", "replace")[:size_bytes].decode("utf-8", "ignore")
