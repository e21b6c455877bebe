"""Levels, and how fresh a replica can be proven to be without trusting any clock.

An edge asks at `t0` of its own boot clock; the hub answers with its head, read by a statement that
began after the question had come. Then whoever holds that head holds every commit that was
acknowledged before `t0`: the pair (t0, head) proves it for as long as the boot clock can be
believed. A pair is never a guess about time at the hub, so a device whose wall clock is wrong by
years proves the same as one that is right.

The wall clock may only take certainty away. A virtual machine that was paused does not see its
boot clock move, but sees the wall clock jump when it is set again: then all pairs go. What is too
small to be called a jump is added to the age.

Nothing here is stored: after a restart or a reboot nothing is proven until the hub has been heard.

Invariant: a bound that is given is never below the true staleness, if the boot clock's rate is
right to one part in RATE_PARTS and pauses move the wall clock sooner or later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sync.levels import Level, Levels, NotPermitted, ReadBound
from sync.position import Position

MS_NS = 1_000_000

RATE_PARTS = 1_000
"""A boot clock is believed to run at a rate right to 0.1 %: quartz is right to 0.01 %."""

JUMP_NS = 500 * MS_NS
"""Wall against boot clock between two looks, beside drift: more than the two readings of a busy
machine are apart, less than a pause that matters."""

MAX_PAIRS = 64
"""Of one space, not yet reached by the replica; beyond, every second one goes."""

MAX_ASKED = 1_000
"""Questions remembered until they are answered; an older one is as good as not asked."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What level bounded is to keep to: an age, a backlog in revisions, or both."""

    staleness_ms: int | None = None
    behind: int | None = None

    def meet(self, other: Bound) -> Bound:
        """The tighter of both."""
        return Bound(
            _least(self.staleness_ms, other.staleness_ms), _least(self.behind, other.behind)
        )


def _least(one: int | None, other: int | None) -> int | None:
    return min((n for n in (one, other) if n is not None), default=None)


NO_BOUND = Bound()


@dataclass(frozen=True, slots=True)
class ReadLevel:
    """What a read asks for. Without a level the policies decide; `bound` and `local_only` (never
    ask the hub) belong to level bounded."""

    level: Level | None = None
    bound: Bound = NO_BOUND
    local_only: bool = False

    def permitted(self, collections: Iterable[tuple[str, Levels]]) -> ReadLevel:
        """The level that a read of these collections is served at, with its bound.

        Raises NotPermitted for less than one of them allows, UnboundedRead.
        """
        allowed = list(collections)
        level = self.level
        if level is None:
            named = [max(levels.default, levels.min_read) for _, levels in allowed]
            level = max(named, default=Level.EVENTUAL)
        for name, levels in allowed:
            if level < levels.min_read:
                raise NotPermitted(f"{name} is not read below {levels.min_read.word}")
        if level is not Level.BOUNDED:
            return ReadLevel(level)
        return ReadLevel(level, self._bound(allowed), self.local_only)

    def _bound(self, allowed: Iterable[tuple[str, Levels]]) -> Bound:
        found = self.bound
        for name, levels in allowed:
            limit = _bound_of(levels.read_bound)
            if self.bound == NO_BOUND:
                found = found.meet(limit)
            elif levels.min_read is Level.BOUNDED and self.bound.meet(limit) != self.bound:
                raise NotPermitted(f"{name} is not read within wider bounds than its policy names")
        if found == NO_BOUND:
            raise UnboundedRead
        return found


class UnboundedRead(ValueError):
    """A read at level bounded that names no bound, of collections whose policies name none."""

    reason = "MALFORMED_REQUEST"

    def __init__(self) -> None:
        super().__init__("bound: level bounded needs max_staleness_ms or max_behind")


def _bound_of(limit: ReadBound) -> Bound:
    """A policy's bound, where zero stands for none."""
    return Bound(limit.max_staleness_ms or None, limit.max_revisions or None)


@dataclass(frozen=True, slots=True)
class Proof:
    """What can be proven of a state: its greatest age, and the revisions that are known of and not
    in it. None: unknown."""

    staleness_ms: int | None = None
    behind: int | None = None

    def keeps(self, bound: Bound) -> bool:
        """Whether the state is within the bound. What is unknown is not."""
        return _within(self.staleness_ms, bound.staleness_ms) and _within(self.behind, bound.behind)


def _within(found: int | None, limit: int | None) -> bool:
    return limit is None or (found is not None and found <= limit)


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks."""

    boot_ns: int
    wall_ms: int

    def drift_ns(self, earlier: Instant) -> int:
        """How much more the wall clock has moved since than the boot clock."""
        return (self.wall_ms - earlier.wall_ms) * MS_NS - (self.boot_ns - earlier.boot_ns)


@dataclass(frozen=True, slots=True)
class Pair:
    """Whoever holds `head` holds all that was acknowledged before `asked`."""

    asked: Instant
    head: Position


@dataclass(slots=True)
class Freshness:
    """What one edge can prove of its replica, per space. `look` whenever the time is at hand; the
    other methods do not look by themselves."""

    _pairs: dict[str, list[Pair]] = field(default_factory=dict)
    """Per space in the order of asking; heads of one epoch, rising."""
    _known: dict[str, Position] = field(default_factory=dict)
    _asked: dict[int, Instant] = field(default_factory=dict)
    _last: Instant | None = None
    jumps: int = 0
    """Times that the clocks parted."""

    def look(self, now: Instant) -> None:
        """Compares the clocks with the last look; if one has jumped, nothing is proven any more."""
        last, self._last = self._last, now
        if last is None:
            return
        elapsed_ns = now.boot_ns - last.boot_ns
        allowed_ns = JUMP_NS + max(elapsed_ns, 0) // RATE_PARTS
        if elapsed_ns < 0 or abs(now.drift_ns(last)) > allowed_ns:
            self.jumps += 1
            self._pairs.clear()
            self._asked.clear()  # what was asked before may have waited through a pause

    def asked(self, now: Instant) -> None:
        """The hub is asked for its heads now; `now.boot_ns` comes back with the answer."""
        self.look(now)
        self._asked[now.boot_ns] = now
        while len(self._asked) > MAX_ASKED:
            del self._asked[min(self._asked)]

    def heard(self, asked_ns: int, heads: Iterable[Position], now: Instant) -> None:
        """The hub has answered the question of `asked_ns` with heads read after it had come."""
        self.look(now)
        asked = self._asked.get(asked_ns)
        for head in heads:
            self.told(head)
            if asked is not None:
                self._add(Pair(asked, head))
        for earlier in [ns for ns in self._asked if ns <= asked_ns]:
            del self._asked[earlier]

    def told(self, head: Position) -> None:
        """The space has reached this revision; nothing is said of when."""
        known = self._known.get(head.space)
        if known is not None and known.epoch != head.epoch:
            self.forget(head.space)
            known = None
        if known is None or known.revision < head.revision:
            self._known[head.space] = head

    def forget(self, space: str) -> None:
        """What was heard of a space is of another history, or of a replica that is no more."""
        self._pairs.pop(space, None)
        self._known.pop(space, None)

    def proof(self, held: Position, at: Instant) -> Proof:
        """What is proven of a state at `held`, seen at `at`: it holds every commit that was
        acknowledged more than `staleness_ms` before."""
        age_ns = None
        for pair in reversed(self._pairs.get(held.space, ())):
            if _holds(held, pair.head):
                age_ns = _age_ns(pair.asked, at)
                break
        known = self._known.get(held.space)
        behind = None
        if known is not None and (known.epoch == held.epoch or held.revision == 0):
            behind = max(0, known.revision - held.revision)
        return Proof(None if age_ns is None else -(-age_ns // MS_NS), behind)

    def _add(self, pair: Pair) -> None:
        pairs = self._pairs.setdefault(pair.head.space, [])
        if pairs and pairs[-1].asked.boot_ns >= pair.asked.boot_ns:
            return  # answers that overtook each other: the newer one is here
        if pairs and pairs[-1].head.revision > pair.head.revision:
            pairs.clear()  # the hub went back: what was proven before is of another history
        if pairs and pairs[-1].head == pair.head:
            pairs.pop()
        pairs.append(pair)
        if len(pairs) > MAX_PAIRS:
            del pairs[1:-1:2]


def _holds(held: Position, head: Position) -> bool:
    """Before its first commit a space is the same in every epoch, and held by whoever has nothing
    of it yet."""
    same = held.epoch == head.epoch and held.revision >= head.revision
    return same or head.revision == 0


def _age_ns(asked: Instant, at: Instant) -> int:
    """The age at most. What the wall clock has gained is added, too little as it is for a jump: it
    may be a short pause."""
    elapsed_ns = at.boot_ns - asked.boot_ns
    if elapsed_ns <= 0:
        return 0
    return elapsed_ns + elapsed_ns // RATE_PARTS + max(0, at.drift_ns(asked))
