"""What people type into a text: runs of letters at one place, a slip taken back, and so on.

Who deletes takes back his own last letter. So nothing is deleted twice, and how long a text is
after a round in which several typed at once is known without merging.

Invariant: the same seed makes the same work, for the product, the baseline and the peers.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

RUN = 20
SLIP = 0.1
LETTERS = string.ascii_lowercase + " "


@dataclass(frozen=True, slots=True)
class Edit:
    """At a place: code points deleted, then text inserted; in a text of so many."""

    at: int
    deleted: int
    inserted: str
    before: int

    @property
    def after(self) -> int:
        return self.before - self.deleted + len(self.inserted)


def text(size: int) -> str:
    """A text of so many letters, all of one byte."""
    rng = random.Random(size)
    return "".join(rng.choices(LETTERS, k=size))


def typed(seed: int, length: int, count: int) -> Iterator[Edit]:
    """What one person does to a text of this length."""
    rng = random.Random(seed)
    at, run = 0, 0
    for _ in range(count):
        if not run:
            at, run = rng.randint(0, length), rng.randint(1, RUN)
            edit = Edit(at, 0, rng.choice(LETTERS), length)
        elif rng.random() < SLIP:
            edit = Edit(at - 1, 1, "", length)
            run = 1
        else:
            edit = Edit(at, 0, rng.choice(LETTERS), length)
        run -= 1
        at = edit.at + len(edit.inserted)
        length = edit.after
        yield edit


def rounds(
    seed: int, length: int, people: int, each: int, count: int
) -> Iterator[list[list[Edit]]]:
    """So many rounds: in each, everybody types `each` edits on what all had made by its begin."""
    for number in range(count):
        made = [list(typed(seed + number * people + n, length, each)) for n in range(people)]
        yield made
        length += sum(edits[-1].after - length for edits in made)
