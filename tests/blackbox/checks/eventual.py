"""In the end: what doors say of themselves once all is healed and nobody writes any more."""

from __future__ import annotations

from collections import defaultdict

from tests.blackbox.history import Final, History
from tests.blackbox.hub_log import logs_of


def all_agree(history: History) -> list[str]:
    """Equal digests, empty outboxes, every position at the head of the log."""
    logs = logs_of(history)
    by_space: dict[str, list[Final]] = defaultdict(list)
    for final in history.finals:
        by_space[final.space].append(final)
    problems = []
    for space, finals in by_space.items():
        head = logs[space].head if space in logs else finals[0].place
        first = finals[0]
        for one in finals:
            if one.pending:
                problems.append(f"{space}: {one.door} has {one.pending} pending")
            if one.place != head:
                problems.append(f"{space}: {one.door} is at {one.place[1]} of {head[1]}")
            if one.digests != first.digests:
                problems.append(
                    f"{space}: {one.door} has {one.digests}, {first.door} has {first.digests}"
                )
    return problems
