"""Proofs that a replica was where it says it was.

Every transaction writes a random token into the head and into its log row. A
cursor carries the token of its revision under the hub's key: a valid proof with
another token at that revision, or above the head, means that this history was
put back and went on differently (a fork); an invalid one means that the
replica's file cannot be trusted. The first stops what it touches, the second
concerns one replica only.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import blake2b

from sync.position import Position

TOKEN_BYTES = 16
MAC_BYTES = 16


class InvalidCursor(ValueError):
    """A proof that this hub, or one of its history, never made."""

    reason = "CURSOR_INVALID"


@dataclass(frozen=True, slots=True)
class CursorKey:
    """Makes and reads proofs. `secret` is of the database, so all processes share it."""

    secret: bytes

    def prove(self, position: Position, token: bytes) -> bytes:
        """The proof for a cursor at `position`, whose log row has `token`."""
        assert len(token) == TOKEN_BYTES, token
        return token + self._mac(position, token)

    def token(self, position: Position, proof: bytes) -> bytes:
        """The token in a proof. Raises InvalidCursor."""
        token, mac = proof[:TOKEN_BYTES], proof[TOKEN_BYTES:]
        if not hmac.compare_digest(mac, self._mac(position, token)):
            raise InvalidCursor(f"the proof for {position} does not verify")
        return token

    def _mac(self, position: Position, token: bytes) -> bytes:
        text = f"{position.epoch}:{position.revision}:{position.space}".encode()
        return blake2b(token + text, key=self.secret, digest_size=MAC_BYTES).digest()
