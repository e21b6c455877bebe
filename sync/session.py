"""Session tokens: what a client has seen, carried by the client itself.

A token holds, per space, the newest position seen and, per origin, the newest
commit seen while it was still undecided. It only ever makes its holder wait, so
it needs no secret; a checksum tells a damaged one from a valid one, and the
first byte is its version.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from sync.position import ID_BYTES, Position

VERSION = 1
MAX_TOKEN_BYTES = 64 << 10
"""A session that roams over hundreds of spaces and edges still fits."""


class InvalidToken(ValueError):
    """A token that no door of this project made, or a damaged one."""

    reason = "TOKEN_INVALID"


@dataclass(frozen=True, slots=True)
class SessionToken:
    """`positions` by space; `pending` by (space, origin), the newest undecided seq seen."""

    positions: Mapping[str, Position] = field(default_factory=dict)
    pending: Mapping[tuple[str, bytes], int] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether its holder has seen nothing yet."""
        return not self.positions and not self.pending

    def pending_in(self, space: str) -> dict[bytes, int]:
        """By origin the newest seq of the space that was seen undecided."""
        return {origin: seq for (name, origin), seq in self.pending.items() if name == space}

    def saw(self, position: Position, pending: Mapping[bytes, int]) -> SessionToken:
        """The token after an answer from one space. Never forgets a later position;
        what the answer no longer holds as pending of an origin is decided there."""
        space = position.space
        known = self.positions.get(space)
        newest = position if known is None or _order(known) <= _order(position) else known
        others = {key: seq for key, seq in self.pending.items() if key[0] != space}
        mine = {key: seq for key, seq in self.pending.items() if key[0] == space}
        for origin, seq in pending.items():
            mine[space, origin] = max(seq, mine.get((space, origin), 0))
        return SessionToken({**self.positions, space: newest}, {**others, **mine})

    def without(self, space: str, decided: Mapping[bytes, int]) -> SessionToken:
        """The token less what is decided within its position."""
        left = {
            (name, origin): seq
            for (name, origin), seq in self.pending.items()
            if name != space or seq > decided.get(origin, 0)
        }
        return SessionToken(self.positions, left)

    def encode(self) -> bytes:
        body = orjson.dumps(
            {
                "at": {s: [p.epoch, p.revision] for s, p in sorted(self.positions.items())},
                "own": [[s, o.hex(), q] for (s, o), q in sorted(self.pending.items())],
            }
        )
        return bytes([VERSION]) + zlib.crc32(body).to_bytes(4) + body


def _order(position: Position) -> tuple[int, int]:
    return position.epoch, position.revision


def decode_token(data: bytes) -> SessionToken:
    """The token in an answer; an empty one is a new session. Raises InvalidToken."""
    if not data:
        return SessionToken()
    if len(data) > MAX_TOKEN_BYTES or data[0] != VERSION:
        raise InvalidToken("a session token of another version, or too long")
    if zlib.crc32(data[5:]) != int.from_bytes(data[1:5]):
        raise InvalidToken("a damaged session token")
    try:
        body = orjson.loads(data[5:])
        positions = {space: Position(e, space, r) for space, (e, r) in body["at"].items()}
        pending = {(space, bytes.fromhex(o)): int(seq) for space, o, seq in body["own"]}
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        raise InvalidToken("a session token that cannot be read") from error
    if any(len(origin) != ID_BYTES for _, origin in pending):
        raise InvalidToken("a session token that cannot be read")
    return SessionToken(positions, pending)
