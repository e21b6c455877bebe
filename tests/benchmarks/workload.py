"""The standard work: change one record.

Keys have 24 bytes and are drawn zipf-like from 10,000; values are JSON of about 200 bytes, as a
robot would report; a patch changes two of their fields. Several edges share the keys between them,
so that what is measured is the ordinary case: no conflicts, though they are looked for.

Invariant: the same seed makes the same work, in every process.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate

import orjson

SPACE = "site"
COLLECTION = "robots"
KEYS = 10_000
ACTOR = ("arm-1", "robot")

_STATES = ("idle", "moving", "gripping", "charging")
_ZONES = ("hall-a", "hall-b", "yard", "dock-3")


def key(number: int) -> str:
    return f"arm-{number:05d}/joints/states"


def value(rng: random.Random, number: int) -> bytes:
    """A canonical object of about 200 bytes."""
    return orjson.dumps(
        {
            "battery": rng.randrange(101),
            "count": rng.randrange(100_000),
            "firmware": "4.11.2-rc1",
            "mode": "automatic",
            "ok": True,
            "operator": "plant-7/shift-b",
            "position": {"x": rng.randrange(9_999) / 100, "y": rng.randrange(9_999) / 100},
            "serial": f"HF-{number:05d}",
            "state": rng.choice(_STATES),
            "temperature": rng.randrange(200, 900) / 10,
            "zone": rng.choice(_ZONES),
        },
        option=orjson.OPT_SORT_KEYS,
    )


def patch(rng: random.Random) -> bytes:
    """A canonical object of two fields."""
    return orjson.dumps({"battery": rng.randrange(101), "state": rng.choice(_STATES)})


def drawn(count: int, seed: int, share: int = 0, shares: int = 1) -> Iterator[tuple[str, bytes]]:
    """Keys, zipf-like, with their new values. Of `shares` edges each has keys of its own."""
    return ((name, value(rng, number)) for name, number, rng in _draw(count, seed, share, shares))


def patches(count: int, seed: int, share: int = 0, shares: int = 1) -> Iterator[tuple[str, bytes]]:
    """Keys, zipf-like, with two fields to set."""
    return ((name, patch(rng)) for name, _, rng in _draw(count, seed, share, shares))


def every_record(seed: int = 7, count: int = KEYS) -> Iterator[tuple[str, bytes]]:
    """Each record once: what there is before anything is measured."""
    rng = random.Random(seed)
    return ((key(number), value(rng, number)) for number in range(count))


def _draw(
    count: int, seed: int, share: int, shares: int
) -> Iterator[tuple[str, int, random.Random]]:
    rng = random.Random(seed * 1_000 + share)
    numbers = list(range(share, KEYS, shares))
    rng.shuffle(numbers)
    weights = list(accumulate(1 / rank for rank in range(1, len(numbers) + 1)))
    for number in rng.choices(numbers, cum_weights=weights, k=count):
        yield key(number), number, rng
