"""What SQLite's result codes mean for the person who runs the machine.

Only what the machine is to blame for is here. A violated constraint or wrong SQL concerns the
function that ran it and passes through as sqlite3 raises it. Invariant: every code of the disk, the
file or a lock has a type and a remedy.
"""

import errno
import sqlite3
from pathlib import Path

from holdfast.host.errors import HostError


class DatabaseError(HostError):
    """The database did not do it; nothing of the function's transaction is in the file, unless said
    otherwise."""

    reason = "DATABASE"


class DiskFull(DatabaseError):
    """The disk took no more. When it failed at the very COMMIT, a crash may still bring that
    transaction back."""

    reason = "DISK_FULL"
    default_remedy = "free space on this file system (or replace the disk); work goes on by itself"


class DiskFailure(DatabaseError):
    """The file cannot be opened, read or written, for another reason than space."""

    reason = "DISK_FAILURE"
    default_remedy = (
        "check that the disk is sound, local and mounted for writing, and that the file belongs to "
        "this user"
    )


class Corrupt(DatabaseError):
    """The file is not, or is no longer, a database."""

    reason = "DATABASE_CORRUPT"
    default_remedy = (
        "keep the file and those beside it (-wal, -shm) for examination; check the disk"
    )


class Busy(DatabaseError):
    """Another process held a lock on the file for longer than the busy time-out."""

    reason = "DATABASE_BUSY"
    default_remedy = (
        "close whatever else has this file open (such as a sqlite3 shell), then try again"
    )


class TransactionLost(DatabaseError):
    """A function ended its own transaction, went on after SQLite had ended it, or left one open.

    A mistake of the function (it must let SQLite's errors pass), and the one case in which a part
    may be stored.
    """

    reason = "TRANSACTION_LOST"
    default_remedy = "report this as a bug"


class DatabaseClosed(DatabaseError):
    """Asked for after `close()`."""

    reason = "DATABASE_CLOSED"
    default_remedy = "the program is ending; ask again when it is back"


_ERRORS: dict[int, type[DatabaseError]] = {
    sqlite3.SQLITE_FULL: DiskFull,
    sqlite3.SQLITE_IOERR_WRITE: DiskFull,
    sqlite3.SQLITE_IOERR_FSYNC: DiskFull,
    sqlite3.SQLITE_IOERR_DIR_FSYNC: DiskFull,
    sqlite3.SQLITE_IOERR_TRUNCATE: DiskFull,
    sqlite3.SQLITE_IOERR_SHMSIZE: DiskFull,
    sqlite3.SQLITE_IOERR: DiskFailure,
    sqlite3.SQLITE_CANTOPEN: DiskFailure,
    sqlite3.SQLITE_READONLY: DiskFailure,
    sqlite3.SQLITE_PERM: DiskFailure,
    sqlite3.SQLITE_CORRUPT: Corrupt,
    sqlite3.SQLITE_NOTADB: Corrupt,
    sqlite3.SQLITE_BUSY: Busy,
    sqlite3.SQLITE_LOCKED: Busy,
}
"""By extended result code, else by the primary one in its low byte. Violated constraints and wrong
SQL are not here: those concern the function, not the machine, and pass through as sqlite3 raises
them."""


def typed(error: BaseException, path: Path | str) -> DatabaseError | None:
    """What an error means for the operator of the file, or None if it is none of the machine's."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return DiskFull(f"{path}: {error.strerror}") if full else None
    if not isinstance(error, sqlite3.Error):
        return None
    code: int = getattr(error, "sqlite_errorcode", 0)
    found = _ERRORS.get(code) or _ERRORS.get(code & 0xFF)
    return found(f"{path}: {error} ({error.sqlite_errorname})") if found else None
