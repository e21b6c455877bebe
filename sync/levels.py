"""Levels: how much a request wants to be promised, and how little a collection allows.

A level is chosen for each request. A collection's policy names the weakest that it is written and
read at, and the one for requests that name none. A request may ask for more, never for less; what
names none is served at the stronger of default and minimum. Nothing here, or anywhere else, makes a
request weaker than it asked to be.

Invariant: levels are ordered by their numbers, which are those of the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

MAX_BOUND = (1 << 53) - 1
"""Greatest number of a bound: what every JSON reader keeps exactly."""


class Level(IntEnum):
    """What an answer promises."""

    EVENTUAL = 1
    BOUNDED = 2
    STRONG = 3

    @property
    def word(self) -> str:
        """As policies and people write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class WriteBound:
    """How much may be pending at an edge for a bounded write to be taken: fewer than `max_pending`
    commits of the space, the oldest younger than `max_age_ms`. Zero: no limit of that kind."""

    max_pending: int = 0
    max_age_ms: int = 0

    def __bool__(self) -> bool:
        return bool(self.max_pending or self.max_age_ms)

    def within(self, other: WriteBound) -> bool:
        """Whether this promises at least as much as another does."""
        return _tighter(self.max_pending, other.max_pending) and _tighter(
            self.max_age_ms, other.max_age_ms
        )


@dataclass(frozen=True, slots=True)
class ReadBound:
    """How far behind a bounded read may be: `max_staleness_ms` and `max_revisions`. Zero: no limit
    of that kind."""

    max_staleness_ms: int = 0
    max_revisions: int = 0

    def __bool__(self) -> bool:
        return bool(self.max_staleness_ms or self.max_revisions)

    def within(self, other: ReadBound) -> bool:
        """Whether this promises at least as much as another does."""
        return _tighter(self.max_staleness_ms, other.max_staleness_ms) and _tighter(
            self.max_revisions, other.max_revisions
        )


NO_WRITE_BOUND = WriteBound()
NO_READ_BOUND = ReadBound()


@dataclass(frozen=True, slots=True)
class Levels:
    """What a collection's policy says of levels. The bounds are those of bounded requests that name
    none, and where the minimum is bounded the widest that a request may name."""

    min_write: Level = Level.EVENTUAL
    min_read: Level = Level.EVENTUAL
    default: Level = Level.EVENTUAL
    write_bound: WriteBound = NO_WRITE_BOUND
    read_bound: ReadBound = NO_READ_BOUND


DEFAULT_LEVELS = Levels()

MEMBERS = frozenset(
    {"min_write_level", "min_read_level", "default_level", "write_bound", "read_bound"}
)
"""Members of a policy that are read here."""


class InvalidLevels(ValueError):
    """Members of a policy that name no level or bound; the message names the member."""


class NotPermitted(Exception):
    """A request asks for less than a collection allows."""

    reason = "LEVEL_NOT_PERMITTED"


def parse_levels(members: Mapping[str, object]) -> Levels:
    """The levels of a policy from its members. Raises InvalidLevels."""
    levels = Levels(
        min_write=_level(members, "min_write_level"),
        min_read=_level(members, "min_read_level"),
        default=_level(members, "default_level"),
        write_bound=WriteBound(*_bound(members, "write_bound", ("max_pending", "max_age_ms"))),
        read_bound=ReadBound(*_bound(members, "read_bound", ("max_staleness_ms", "max_revisions"))),
    )
    if Level.BOUNDED in (levels.min_write, levels.default) and not levels.write_bound:
        raise InvalidLevels("write_bound: needed where bounded is the minimum or the default")
    if Level.BOUNDED in (levels.min_read, levels.default) and not levels.read_bound:
        raise InvalidLevels("read_bound: needed where bounded is the minimum or the default")
    return levels


def level_of_write(asked: Level | None, collections: Iterable[tuple[str, Levels]]) -> Level:
    """The level that a write of these collections is served at. Raises NotPermitted."""
    served = asked or Level.EVENTUAL
    for name, levels in collections:
        if asked is None:
            served = max(served, levels.default, levels.min_write)
        elif asked < levels.min_write:
            raise NotPermitted(f"{name} is not written below {levels.min_write.word}")
    return served


def bound_of_write(asked: WriteBound, collections: Iterable[tuple[str, Levels]]) -> WriteBound:
    """The bound that a bounded write of these collections is judged by; empty if there is none.

    Raises NotPermitted for one that is wider than a collection allows.
    """
    found = asked
    for name, levels in collections:
        if not asked:
            found = _tightest(found, levels.write_bound)
        elif levels.min_write is Level.BOUNDED and not asked.within(levels.write_bound):
            raise NotPermitted(f"{name} is not written within wider bounds than its policy names")
    return found


def _tightest(one: WriteBound, other: WriteBound) -> WriteBound:
    pairs = ((one.max_pending, other.max_pending), (one.max_age_ms, other.max_age_ms))
    return WriteBound(*(min(filter(None, pair), default=0) for pair in pairs))


def _tighter(mine: int, limit: int) -> bool:
    return not limit or 0 < mine <= limit


def _level(members: Mapping[str, object], name: str) -> Level:
    word = members.get(name, Level.EVENTUAL.word)
    for level in Level:
        if word == level.word:
            return level
    raise InvalidLevels(f"{name}: one of {', '.join(level.word for level in Level)}")


def _bound(members: Mapping[str, object], name: str, known: tuple[str, str]) -> tuple[int, ...]:
    bound = members.get(name, {})
    wanted = f"{name}: an object of {' and '.join(known)}, whole numbers from 1"
    if not isinstance(bound, dict) or not set(bound) <= set(known):
        raise InvalidLevels(wanted)
    if any(type(n) is not int or not 1 <= n <= MAX_BOUND for n in bound.values()):
        raise InvalidLevels(wanted)
    return tuple(bound.get(each, 0) for each in known)
