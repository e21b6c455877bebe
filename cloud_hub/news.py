"""What hub processes on one database tell each other: where a space is, and whose stream is whose.

A hint and nothing more. It may be lost, late, repeated or made up; whoever hears it looks into the
database, which he does now and then in any case.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync import names
from sync.position import ID_BYTES, parse_number


@dataclass(frozen=True, slots=True)
class HeadMoved:
    """A space has a newer head, or goes on in another epoch."""

    space: str
    epoch: int
    revision: int

    def encode(self) -> str:
        """As it is sent: a word, two numbers, and the name, which may contain blanks."""
        return f"head {self.epoch} {self.revision} {self.space}"


@dataclass(frozen=True, slots=True)
class StreamTaken:
    """An edge has opened a newer stream; one that is still open elsewhere is to end."""

    origin: bytes

    def encode(self) -> str:
        """As it is sent."""
        return f"stream {self.origin.hex()}"


News = HeadMoved | StreamTaken


def decode(text: str) -> News | None:
    """What was told; None if this version does not understand it, which is nobody's fault."""
    kind, _, rest = text.partition(" ")
    try:
        if kind == "head":
            epoch, revision, space = rest.split(" ", 2)
            return HeadMoved(names.check_space(space), parse_number(epoch), parse_number(revision))
        if kind == "stream":
            origin = bytes.fromhex(rest)
            return StreamTaken(origin) if len(origin) == ID_BYTES else None
    except ValueError:
        return None
    return None
