"""What people on the device must be told until it is over, by name.

Invariant: at most one entry per name, and no more than MAX_ALARMS names.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)

MAX_ALARMS = 32
"""More names than this project has; a bound, should one ever be made from input."""


@dataclass(slots=True)
class Alarms:
    """The alarms that are raised, with what to say."""

    raised: dict[str, str] = field(default_factory=dict)

    def raise_(self, name: str, message: str) -> None:
        """Raises an alarm, or says it anew."""
        if name in self.raised or len(self.raised) < MAX_ALARMS:
            if self.raised.get(name) != message:
                _log.error("alarm %s: %s", name, message)
            self.raised[name] = message

    def clear(self, name: str) -> None:
        if self.raised.pop(name, None) is not None:
            _log.info("alarm %s is over", name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.raised))
