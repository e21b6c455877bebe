"""What was edited, told from the document before and after.

A put says what a text or list shall be; merged with what others write meanwhile, it has to be an
edit. Ends that are equal are kept, and between them the shortest edit is searched for in the manner
of Myers, as long as it is cheap: what differs in more places is replaced as a whole.

Invariant: applying the difference to `before` makes `after`.
"""

from __future__ import annotations

from sync.transform import Content, Run, Splice, splice

MAX_CHANGES = 64
"""Units inserted and deleted that are told apart: the search costs their square. Whoever changes
more in one go says so by splices."""

MAX_STEPS = 200_000
"""Units compared in one search: some ten milliseconds."""


def difference(before: Content, after: Content) -> Splice:
    """The edit that makes `after` of `before`; both are texts, or both lists."""
    start = _common(before, after)
    before_rest, after_rest = before[start:], after[start:]
    end = _common(before_rest[::-1], after_rest[::-1])
    old = before_rest[: len(before_rest) - end]
    new = after_rest[: len(after_rest) - end]
    found = _shortest(old, new)
    return splice([start, *(found or [-len(old), new]), end])


def _common(one: Content, two: Content) -> int:
    """How many units both begin with: halving, since slices compare fast."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _shortest(old: Content, new: Content) -> list[Run] | None:
    """The runs of the shortest edit, None if it is not found at little cost."""
    reached, trail, steps = {1: 0}, [], 0
    for changes in range(min(MAX_CHANGES, len(old) + len(new)) + 1):
        trail.append(dict(reached))
        for line in range(-changes, changes + 1, 2):
            down = line == -changes or (line != changes and reached[line - 1] < reached[line + 1])
            at = reached[line + 1] if down else reached[line - 1] + 1
            start = at
            while at < len(old) and at - line < len(new) and old[at] == new[at - line]:
                at += 1
            steps += at - start + 1
            reached[line] = at
            if at >= len(old) and at - line >= len(new):
                return _walked_back(old, new, trail)
        if steps > MAX_STEPS:
            return None
    return None


def _walked_back(old: Content, new: Content, trail: list[dict[int, int]]) -> list[Run]:
    runs: list[Run] = []
    at, there = len(old), len(new)
    for changes in range(len(trail) - 1, -1, -1):
        reached, line = trail[changes], at - there
        down = line == -changes or (line != changes and reached[line - 1] < reached[line + 1])
        before = reached[line + 1] if down else reached[line - 1]
        before_there = before - (line + 1 if down else line - 1)
        kept = at - (before if down else before + 1)
        if not changes:
            runs.append(at)
            break
        runs.append(kept)
        runs.append(new[before_there : before_there + 1] if down else -1)
        at, there = before, before_there
    return runs[::-1]
