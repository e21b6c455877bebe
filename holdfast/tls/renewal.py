"""Credentials that are read anew when their files change, while the program runs.

New files come one after the other, so a look may find a new certificate beside an old key. Then
what was in use stays in use, the problem is said once, and the next look reads again. The same
holds for files that are broken or gone.

Invariant: `current` is never worse than it was; once there are credentials, there are always some.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from holdfast.tls.credentials import Credentials, TlsFiles, TlsRefused, load

Signature = tuple[object, ...]


class Renewal:
    """The credentials in use. Safe for threads: gRPC asks from its own.

    `problem` is why the files as they are now cannot be used; None if they are in use. `on_change`
    is told of every new `problem` or `current`.
    """

    def __init__(
        self,
        files: TlsFiles,
        on_change: Callable[[Renewal], None] = lambda _: None,
        read: Callable[[TlsFiles], Credentials] = load,
    ) -> None:
        self.files, self._on_change, self._read = files, on_change, read
        self.current: Credentials | None = None
        self.problem: TlsRefused | None = None
        self._lock = threading.Lock()
        self._seen: Signature = ()

    def look(self, *, anew: bool = False) -> bool:
        """Reads the files if they have changed, or in any case; True if other credentials are in
        use now. Never raises for what is wrong with the files: see `problem`."""
        with self._lock:
            signature = self._signature()
            if signature == self._seen and not anew:
                return False
            before, problem = self.current, self.problem
            try:
                self.current, self.problem = self._read(self.files), None
            except TlsRefused as refused:
                self.problem = refused
            self._seen = signature
            changed = self.current != before
            said = str(self.problem) != str(problem)
        if changed or said:
            self._on_change(self)
        return changed

    def _signature(self) -> Signature:
        """Differs when a file was written, replaced, or given other rights."""
        return tuple(map(_stamp, self.files.paths))


def _stamp(path: object) -> object:
    try:
        found = path.stat()  # type: ignore[attr-defined]
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode
