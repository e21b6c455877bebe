"""What asyncpg raises, by who must act and whether the work may be run again.

Whether a transaction happened is known in all cases but one: the connection was lost after COMMIT
had been sent. Before that, losing it means that nothing of the work is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import asyncpg

from cloud_hub.storage.driver import (
    Retry,
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    UnsafeDatabase,
)


class Lost(StorageUnavailable):
    """The connection was lost, or could not be had; nothing of the work is there."""


ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""All that asyncpg raises for what is not a mistake in calling it."""

_RETRIED = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)
_REFUSALS = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
_CORRUPT = (asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError)
_NO_PRIMARY = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # a standby has no position to write at
)
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # as when the connection is lost just as a statement begins
    OSError,
)
"""The connection is gone: what had been asked may have happened, what was not committed has not."""

_UNAVAILABLE = (
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


@contextlib.contextmanager
def mapped(*, committing: bool = False) -> Iterator[None]:
    """Turns asyncpg's errors into those of the seam."""
    try:
        yield
    except ERRORS as error:
        raise of(error, committing=committing) from error


def of(error: Exception, *, committing: bool = False) -> StorageError:
    """The error of the seam. `committing`: COMMIT had been sent."""
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, _RETRIED):
        return Retry(message)
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull(message)
    if isinstance(error, _CORRUPT):
        return StorageCorrupt(message)
    if isinstance(error, _NO_PRIMARY):
        return UnsafeDatabase("the server is a standby or read-only: connect to the primary")
    if isinstance(error, _REFUSALS):
        return StorageRefused(message)
    if committing and isinstance(error, _LOST):
        return StorageUnavailable(message, outcome_unknown=True)
    if isinstance(error, TimeoutError):
        return StorageUnavailable(message)  # it had its time: again would be no better
    if isinstance(error, _LOST):
        return Lost(message)
    if isinstance(error, _UNAVAILABLE):
        return StorageUnavailable(message)
    return StorageError(message)
