"""Bounded reads: as fresh as they were asked to be, and not refused without need."""

from __future__ import annotations

from bisect import bisect_left

from tests.blackbox.history import BOUNDED, NOWHERE, OK, STRONG, History, Place, Read


def hold_what_was_acknowledged(history: History) -> list[str]:
    """A read asked at s within T holds every commit acknowledged before s - T; and as much as the
    staleness that its answer claims."""
    problems = []
    for space in history.spaces:
        known = _Acknowledged(history, space)
        for read in history.reads:
            if read.space != space or read.status != OK:
                continue
            for bound_ms, whose in _bounds(read):
                wanted = known.before(read.invoked_s - bound_ms / 1000)
                if read.place < wanted:
                    problems.append(
                        f"{space}: {read.client} at {read.door}, {read.invoked_s:.3f} s, read"
                        f" {read.place[1]} within {bound_ms} ms {whose};"
                        f" {wanted[1]} was acknowledged before"
                    )
    return problems


def _bounds(read: Read) -> list[tuple[int, str]]:
    bounds = []
    if read.level == BOUNDED and read.max_staleness_ms is not None:
        bounds.append((read.max_staleness_ms, "as asked"))
    if read.staleness_ms is not None:
        bounds.append((read.staleness_ms, "as answered"))
    return bounds


class _Acknowledged:
    """When it was first known outside that the hub had decided a place, or one above it."""

    def __init__(self, history: History, space: str) -> None:
        told = [
            (one.returned_s, one.decided)
            for one in history.commits
            if one.space == space and one.status == OK and one.decided != NOWHERE
        ]
        told += [
            (one.at_s, one.place)
            for one in history.told
            if one.space == space and one.what in ("commit", "bookmark")
        ]
        told += [
            (one.returned_s, one.place)
            for one in history.reads
            if one.space == space and one.status == OK and one.level == STRONG
        ]
        self._times: list[float] = []
        self._places: list[Place] = []
        for at_s, place in sorted(told):
            if not self._places or place > self._places[-1]:
                self._times.append(at_s)
                self._places.append(place)

    def before(self, at_s: float) -> Place:
        known = bisect_left(self._times, at_s)
        return self._places[known - 1] if known else NOWHERE


def provable_when_calm(history: History) -> list[str]:
    """While links have been good for longer than T, no read is refused as unprovable.

    A run says so by the marks `calm` and `uneasy`."""
    problems = []
    for begins_s, ends_s in _calm(history):
        for read in history.reads:
            bound_s = (read.max_staleness_ms or 0) / 1000
            within = begins_s + bound_s < read.invoked_s and read.returned_s < ends_s
            if within and read.level == BOUNDED and read.reason == "BOUND_UNPROVABLE":
                problems.append(
                    f"{read.space}: {read.client} at {read.door}, {read.invoked_s:.3f} s, was"
                    f" refused {read.max_staleness_ms} ms, with a good link since {begins_s:.3f} s"
                )
    return problems


def _calm(history: History) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    began: float | None = None
    for mark in sorted(history.marks, key=lambda one: one.at_s):
        if mark.what == "calm" and began is None:
            began = mark.at_s
        elif mark.what == "uneasy" and began is not None:
            spans.append((began, mark.at_s))
            began = None
    return spans if began is None else [*spans, (began, float("inf"))]
