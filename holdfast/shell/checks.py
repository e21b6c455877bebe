"""What a doctor looks at on its own machine, and what to do about each.

It only looks. Files of a database are read by another process than their daemon, never written or
checkpointed, so that looking is safe while that runs.

Invariant: a check that is not ok says what to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.shell import printing

if TYPE_CHECKING:
    import sqlite3

LEAST_FREE_BYTES = 1 << 30
"""What an outbox may need by default; a hub's log wants no less."""

WAL_FIXED = ((3, 51, 3), (3, 53, 0))
"""SQLite versions without the fault that two connections which write to one file can damage it."""

INTEGRITY_SECONDS = 10.0
"""A file of many gigabytes is not read to its end: what a person waits for has a limit."""

_STEPS = 100_000
"""Of SQLite's machine, between two looks at the time."""

_TIME_ERROR = 5
"""What adjtimex answers while nothing has set the clock right."""

SKEW_LIMIT_MS = 5_000
"""Beyond, conflicts are marked as of a suspect clock."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `fix` is empty if it is ok."""

    name: str
    found: str
    fix: str = ""

    @property
    def row(self) -> tuple[printing.Document, tuple[str, ...]]:
        ok = not self.fix
        document = {"check": self.name, "ok": ok, "found": self.found, "fix": self.fix or None}
        return document, (self.name, "ok" if ok else "NOT OK", self.found, self.fix)


def sqlite() -> Check:
    """The SQLite library that this Python has."""
    import sqlite3

    version = sqlite3.sqlite_version_info
    fixed = version >= WAL_FIXED[1] or WAL_FIXED[0] <= version < (3, 52, 0)
    known = "" if fixed else ", with a fault in WAL that this program avoids by one writer a file"
    return Check("sqlite", f"{sqlite3.sqlite_version}{known}")


def directory(path: Path) -> Iterator[Check]:
    """A data directory: is it there, this user's, private, and is there room?"""
    if not path.is_dir():
        yield Check("directory", f"{path} is no directory", "start the daemon once, or correct it")
        return
    entry = path.stat()
    if entry.st_uid != os.geteuid() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        fix = f"run as its owner, or: chown -R {os.geteuid()} {path}"
        yield Check("directory", f"{path} belongs to user {entry.st_uid}", fix)
    elif entry.st_mode & 0o077:
        yield Check("directory", f"{path} can be entered by others", f"chmod 700 {path}")
    else:
        yield Check("directory", f"{path}, private")
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    fix = "free space; until then writes may be refused" if free < LEAST_FREE_BYTES else ""
    yield Check("disk", f"{printing.size(free)} free", fix)


def integrity(files: Iterable[tuple[Path, str]]) -> Iterator[Check]:
    """Database files that are there, each with what to do if it is damaged."""
    for path, fix in files:
        if path.is_file():
            yield _integrity(path, fix)


def _integrity(path: Path, fix: str) -> Check:
    import sqlite3
    from urllib.parse import quote

    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1.0)
        try:
            found = _quick_check(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        found = str(error)
    whole = found == "ok" or found.startswith("so far")
    return Check(path.name, f"{printing.size(path.stat().st_size)}, {found}", "" if whole else fix)


def _quick_check(connection: sqlite3.Connection) -> str:
    import sqlite3
    import time

    ends = time.monotonic() + INTEGRITY_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return f"so far ok: not read to its end in {INTEGRITY_SECONDS:.0f} s"
        raise
    return str(found)


def clock() -> Check:
    """Whether something keeps this machine's clock right, as the kernel knows it."""
    import ctypes

    asked = ctypes.create_string_buffer(512)  # a struct timex that changes nothing
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(asked)
    except (AttributeError, OSError):
        return Check("clock", "not known on this machine")
    if state == _TIME_ERROR:  # so it is inside a container, too, whatever its machine does
        return Check("clock", "nothing here keeps it right: timedatectl set-ntp true, or chrony")
    return Check("clock", "kept right by the system" if state >= 0 else "not known here")


def skew(skew_ms: int | None) -> Check:
    """This machine's clock against the hub's; None if that has not said."""
    if skew_ms is None:
        return Check("clock skew", "not known: the hub has not been heard of since the start")
    fix = "set this machine's clock right: timedatectl set-ntp true, or run chrony"
    far = abs(skew_ms) > SKEW_LIMIT_MS
    return Check("clock skew", f"{skew_ms / 1_000:.1f} s against the hub", fix if far else "")
