"""Additive digests: one 64-bit number by which replicas see that they hold the same live records.

Each record has a number, and a set's digest is their sum modulo 2^64, so a change costs one
subtraction and one addition and no order matters. The numbers come from BLAKE2b, which has no
seed: every process, Python version and machine agrees. They find faults (lost, doubled or stale
records), and prove nothing against someone who chooses records in order to collide.

Invariant: a digest is the sum over the live records, so removing what was added gives back the
number before.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

EMPTY = 0

_MODULUS = 1 << 64
_SIGN = 1 << 63
# Lengths of space, collection and key, then the revision. With the three lengths known the value is
# the rest, so no two records are written as the same bytes.
_HEADER = struct.Struct(">IIIQ")


def record_digest(space: str, collection: str, key: str, revision: int, outline: bytes) -> int:
    """The number, 0 <= n < 2^64, of one live record; `outline` is that of its value
    (sync.body).

    Raises ValueError for a revision outside 0 <= revision < 2^63, the range of a column.
    """
    if not 0 <= revision < _SIGN:
        raise ValueError(f"revision {revision} is outside 0 <= revision < 2^63")
    where, what, which = space.encode(), collection.encode(), key.encode()
    header = _HEADER.pack(len(where), len(what), len(which), revision)
    text = header + where + what + which + outline
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def combine(a: int, b: int) -> int:
    """The digest of two disjoint sets of records, or of a set and one record more."""
    return (a + b) % _MODULUS


def remove(a: int, b: int) -> int:
    """The digest of `a` without the records of `b`, which it contains."""
    return (a - b) % _MODULUS


def to_signed(digest: int) -> int:
    """The digest as SQL's signed 64-bit integer, -2^63 <= n < 2^63."""
    return digest - _MODULUS if digest >= _SIGN else digest


def from_signed(column: int) -> int:
    """The digest that `to_signed` made into `column`."""
    return column % _MODULUS
