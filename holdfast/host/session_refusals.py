"""What a session is told where its guarantees cannot be kept; the same at every door.

Names of commits are `origin:seq` or `origin:first-last` with the origin in hex, in the metadata as
in the message.

Invariant: what is lost or pending is named, as far as it fits into a refusal, and its number said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from holdfast.host.refusal import Refusal


class Position(Protocol):
    """A place in a history."""

    @property
    def epoch(self) -> int: ...

    @property
    def revision(self) -> int: ...


def not_caught_up(pending: Mapping[bytes, int]) -> Refusal:
    """Commits that the session has seen are still undecided at another edge."""
    names = ",".join(f"{origin.hex()}:{seq}" for origin, seq in pending.items())
    text = f"still pending at another edge: {names}"
    return Refusal("SESSION_NOT_CAUGHT_UP", text, metadata={"pending": names})


def writes_lost(lost: Mapping[bytes, Iterable[tuple[int, int]]]) -> Refusal:
    """Commits that the session has seen were declared lost; first seqs and counts by origin."""
    ranges = [(origin, *each) for origin, some in lost.items() for each in _joined(some)]
    names = ",".join(
        f"{origin.hex()}:{first}" + (f"-{first + count - 1}" if count > 1 else "")
        for origin, first, count in ranges
    )
    total = sum(count for _, _, count in ranges)
    metadata = {"count": str(total), "lost": names}
    return Refusal("WRITES_LOST", f"{total} declared lost: {names}", metadata=metadata)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same with neighbours as one."""
    found: list[tuple[int, int]] = []
    for first, count in sorted(ranges):
        if found and sum(found[-1]) == first:
            found[-1] = (found[-1][0], found[-1][1] + count)
        else:
            found.append((first, count))
    return found


def epoch_changed(seen: Position, epoch: int, last: int) -> Refusal:
    """The session has seen more of an epoch than what the present one shares with it."""
    gone = f"revisions {last + 1} to {seen.revision} of epoch {seen.epoch}"
    metadata = {
        "epoch": str(epoch),
        "seen_epoch": str(seen.epoch),
        "first_gone": str(last + 1),
        "last_gone": str(seen.revision),
    }
    text = f"{gone} are gone; the present epoch is {epoch}"
    return Refusal("EPOCH_CHANGED", text, metadata=metadata)
