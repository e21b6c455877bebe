"""Settings read anew in a running daemon: what is taken, and what is said of the rest.

A daemon names the settings that it can take while it runs, each with what takes it. The others are
left as they are and named in the log, since a file that says one thing while the daemon does
another would mislead whoever reads it. What lies in files that settings only name (certificates) is
read again at every reload, changed or not.

Invariant: nothing is taken unless all settings have passed their checks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from holdfast.host.config import Loaded, Row

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Reloading(Generic[T]):
    """Reads settings again. `takes` is by setting; each of `always` is called at every reload."""

    def __init__(
        self,
        read: Callable[[], Loaded[T]],
        loaded: Loaded[T],
        takes: Mapping[str, Callable[[T], None]],
        always: Sequence[Callable[[T], None]] = (),
    ) -> None:
        self._read, self._takes, self._always = read, takes, always
        self._in_force = {row.key: (_value(loaded.value, row.key), row) for row in loaded.rows}

    def reload(self) -> None:
        """Takes what can be taken. Raises HostError; if settings are wrong, none was taken."""
        found = self._read()
        for row in found.rows:
            value = _value(found.value, row.key)
            before, old = self._in_force[row.key]
            if value != before and self._taken(found.value, old, row):
                self._in_force[row.key] = (value, row)
        for each in self._always:
            each(found.value)
        _log.info("the settings were read again")

    def _taken(self, value: T, old: Row, new: Row) -> bool:
        take = self._takes.get(new.key)
        if take is None:
            _log.warning(
                "%s is now %s (%s), which needs a restart; until then it stays %s",
                new.key, new.shown, new.origin, old.shown,
            )  # fmt: skip
            return False
        take(value)
        _log.info("%s is now %s, and was %s (%s)", new.key, new.shown, old.shown, new.origin)
        return True


def _value(settings: object, key: str) -> object:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings
