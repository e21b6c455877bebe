"""The directory that holds a daemon's files, owned by one process at a time.

Two processes writing one outbox would each believe they know its newest sequence number. The lock
is `flock` on a file that is never deleted: the kernel drops it with its holder, however that dies,
so there is no stale lock to clear; and deleting the file would let a third process lock a new one
of the same name beside the holder.

Invariant: as long as a `DataDirectory` is not released, no other process has acquired the same
directory.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Self

from holdfast.host.errors import HostError

LOCK_NAME = "holdfast.lock"
_PID_BYTES = 20
"""The longest decimal 64-bit number: more than this in the lock file was not written here."""


class DirectoryInUse(HostError):
    """Another process holds the directory."""

    reason = "DIRECTORY_IN_USE"


class DirectoryUnusable(HostError):
    """The directory cannot be made, entered or locked."""

    reason = "DIRECTORY_UNUSABLE"
    default_remedy = "choose a directory on a local disk that this user may write to"


class DataDirectory:
    """A directory held by this process, until `release()` or the end of the `with` block."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd: int | None = lock_fd

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Takes the directory, making it (readable by its owner only) if absent.

        Raises `DirectoryInUse` at once if another process has it, `DirectoryUnusable` if it can't
        be had at all.
        """
        try:
            _make_private(path)
            lock_fd = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DirectoryUnusable(f"data directory {path}: {error.strerror}") from error
        try:
            _lock(lock_fd, path)
        except BaseException:
            os.close(lock_fd)
            raise
        return cls(path, lock_fd)

    def release(self) -> None:
        """Gives the directory up. May be called again."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _make_private(path: Path) -> None:
    """Like `mkdir -p`, but new parents are private as well: they too would show what lies below."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def _lock(lock_fd: int, path: Path) -> None:
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise DirectoryUnusable(
                f"data directory {path} cannot be locked: {error.strerror}"
            ) from error
        raise _in_use(lock_fd, path) from None
    # The number only serves the message of whoever comes second: a full disk must not keep a daemon
    # from starting.
    with contextlib.suppress(OSError):
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, str(os.getpid()).encode(), 0)


def _in_use(lock_fd: int, path: Path) -> DirectoryInUse:
    written = os.pread(lock_fd, _PID_BYTES, 0).decode("ascii", "replace").strip()
    if not written.isdigit():
        return DirectoryInUse(
            f"data directory {path} is in use by another process",
            f"find it with `fuser {path / LOCK_NAME}` and stop it, or use another directory",
        )
    return DirectoryInUse(
        f"data directory {path} is in use by process {written}",
        f"stop it (`kill {written}`), or use another directory",
    )
