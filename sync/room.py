"""How much more fits an answer.

A message has a limit, and what stands in records is others' doing: a page, or a commit as a watcher
sees it, ends where its room does and not where its count does. The first thing always fits, since
nothing that is stored is larger than a message; so whoever asks again goes on.

Invariant: what was taken is at most the limit, or one thing.
"""

from __future__ import annotations

from collections.abc import Iterable

ANSWER_BYTES = 2 * 1024 * 1024
"""Values in one answer: half of the largest message, the rest is for names and for escapes."""

SCANNED_BYTES = 4 * 1024 * 1024
"""Values that a filter is tried on for one page: up to a second of an expression's time."""

OVERHEAD_BYTES = 256
"""What a record, a commit or an operation takes beside its values and names, at most."""


class AnswerTooLarge(ValueError):
    """What was asked for, by name, is more than an answer holds."""

    reason = "MESSAGE_TOO_LARGE"


class Room:
    """Counts down from a limit in bytes."""

    __slots__ = ("_left", "_limit")

    def __init__(self, limit: int = ANSWER_BYTES) -> None:
        self._left = self._limit = limit

    def takes(self, size: int) -> bool:
        """Whether something of so many bytes still fits; then it is in."""
        size += OVERHEAD_BYTES
        if size > self._left < self._limit:
            self._left = 0  # what comes after it is not put in its place
            return False
        self._left -= size
        return True


def check_room(sizes: Iterable[int]) -> None:
    """Raises AnswerTooLarge if values of these sizes are more than one answer holds."""
    room = Room()
    if not all(map(room.takes, sizes)):
        raise AnswerTooLarge(f"the records have more than {ANSWER_BYTES} bytes: name fewer at once")
