"""What the client raises: one class per decision that a caller has to make.

`reason` is for programs (see `holdfast.reasons`), the message for people; no caller needs to read
texts. The classes follow the status of the reason, so that a reason which is new to this client
still arrives as the right class.

Invariant: every status of the table of reasons has a class here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from holdfast.reasons import REASONS


class HoldfastError(Exception):
    """A request that was refused, or whose answer did not come.

    `message` says what happened, `remedy` what to do about it, `metadata` holds details by name
    (strings). `retry_after_s` is how long to wait before the same request may succeed, None where
    waiting does not help.
    """

    status: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        remedy: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        row = REASONS.get(reason)
        self.reason = reason
        self.message = message
        self.remedy = remedy if remedy is not None else row.remedy if row else ""
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        said = f"{self.message.rstrip('.')}. {self.remedy}" if self.remedy else self.message
        return f"{self.reason}: {said}"


class InvalidArgument(HoldfastError):
    """The request can never succeed as it is: correct it."""

    status = "INVALID_ARGUMENT"


class NotFound(HoldfastError):
    """What was asked for does not exist here."""

    status = "NOT_FOUND"


class WorkflowNotFound(NotFound):
    """No workflow of this id is known at this door."""


class ThreadNotFound(NotFound):
    """There is no thread of checkpoints with this id, or none any more."""


class CheckpointNotFound(NotFound):
    """The thread has no checkpoint with this id, or none at all."""


class AlreadyExists(HoldfastError):
    """It was done before."""

    status = "ALREADY_EXISTS"


class Aborted(HoldfastError):
    """Somebody else was faster: read again, decide anew, write again."""

    status = "ABORTED"


class RevisionMismatch(Aborted):
    """A record is not as the writer had seen it, or a precondition is false."""


class StaleAuthority(Aborted):
    """Another node advances this now, or nobody does: nothing was written."""


class StaleParent(Aborted):
    """Somebody else went on from the checkpoint's parent: nothing was saved. `metadata["head"]` is
    the newest."""


class PreconditionFailed(HoldfastError):
    """The system is not in a state for this: change that state, or ask for something else."""

    status = "FAILED_PRECONDITION"


class TransitionNotAllowed(PreconditionFailed):
    """The event has no place in the state of the workflow; `metadata` names `state`, `event` and
    what is `allowed`, with commas."""


class OutOfRange(HoldfastError):
    """A place in a history that is not there."""

    status = "OUT_OF_RANGE"


class Compacted(OutOfRange):
    """The place to go on from is no longer kept: read the state, then watch from now."""


class ResourceExhausted(HoldfastError):
    """A limit is reached; nothing was stored."""

    status = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(HoldfastError):
    """The answer did not come in time."""

    status = "DEADLINE_EXCEEDED"


class OutcomeUnknown(DeadlineExceeded):
    """The commit may or may not have taken effect; `metadata["commit_id"]` (hex) finds out."""


class Unavailable(HoldfastError):
    """Not at this moment; the same request may succeed later."""

    status = "UNAVAILABLE"


StorageUnavailable = Unavailable
"""What those call it who come from other stores of workflows."""

StateError = HoldfastError
"""As StorageUnavailable: what everything is that goes wrong with a workflow or a checkpoint."""


class BlobPending(Unavailable):
    """Contents of a checkpoint have not arrived at this door yet; `metadata["nearest"]` is the
    nearest ancestor that can be loaded."""


class Unimplemented(HoldfastError):
    """Named by the interface, but not built in the version that answers."""

    status = "UNIMPLEMENTED"


class PermissionDenied(HoldfastError):
    """Whoever asks may not do this."""

    status = "PERMISSION_DENIED"


class DataLoss(HoldfastError):
    """Something stored is damaged: keep the files and look at them."""

    status = "DATA_LOSS"


class Internal(HoldfastError):
    """The software, or something on the way, made a mistake: report it."""

    status = "INTERNAL"


_BY_STATUS: dict[str, type[HoldfastError]] = {
    kind.status: kind
    for kind in (
        *(InvalidArgument, NotFound, AlreadyExists, Aborted, PreconditionFailed, OutOfRange),
        *(ResourceExhausted, DeadlineExceeded, Unavailable, Unimplemented, PermissionDenied),
        *(DataLoss, Internal),
    )
}
_BY_REASON: dict[str, type[HoldfastError]] = {
    "REVISION_MISMATCH": RevisionMismatch,
    "STALE_AUTHORITY": StaleAuthority,
    "WORKFLOW_NOT_FOUND": WorkflowNotFound,
    "TRANSITION_NOT_ALLOWED": TransitionNotAllowed,
    "STALE_PARENT": StaleParent,
    "THREAD_NOT_FOUND": ThreadNotFound,
    "CHECKPOINT_NOT_FOUND": CheckpointNotFound,
    "BLOB_PENDING": BlobPending,
    "COMPACTED": Compacted,
    "OUTCOME_UNKNOWN": OutcomeUnknown,
}


def kind_of(reason: str, status: str | None = None) -> type[HoldfastError]:
    """The class for a reason; `status` is that of the answer, for reasons new to this client."""
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    if status is None:
        status = REASONS[reason].status if reason in REASONS else "INTERNAL"
    return _BY_STATUS.get(status, Internal)
