"""Histories written down by hand: the words in which the scenarios of this folder are told.

A store of records `things/x`, commits called by letters, origins by names, times in seconds. What a
word leaves open is what goes well: a write at a hub is decided in the order of the scenario's log.
"""

from __future__ import annotations

from typing import Any

from tests.blackbox.history import (
    EVENTUAL,
    NOWHERE,
    OK,
    STRONG,
    Commit,
    Decided,
    Expect,
    Found,
    Line,
    Op,
    Place,
    Read,
    Told,
    Value,
)

SPACE = "site"
HUB = "hub"


def at(revision: int, epoch: int = 1) -> Place:
    return (epoch, revision) if revision else NOWHERE


def named(record: str) -> str:
    return f"things/{record}"


def put(record: str, n: int) -> Op:
    return Op("put", named(record), {"n": n})


def decided(
    revision: int, commit: str, writes: dict[str, int | None], *, origin: str = HUB, seq: int = 0,
    outcome: str = "applied", base: int = 0, seen: dict[str, int] | None = None, epoch: int = 1,
) -> Decided:  # fmt: skip
    """An entry of the log. At the hub seqs are revisions, if no other is given."""
    return Decided(
        space=SPACE, place=at(revision, epoch), origin=origin, seq=seq or revision,
        commit_id=commit, outcome=outcome, base=at(base), seen=seen or {},
        writes={named(r): None if n is None else {"n": n} for r, n in writes.items()},
    )  # fmt: skip


def wrote(
    commit: str, writes: dict[str, int], when: tuple[float, float], *, revision: int = 0,
    client: str = "ann", session: str = "", door: str = HUB, level: str = EVENTUAL,
    status: str = OK, reason: str = "", origin: str = HUB, seq: int = 0, place: int = 0,
    seen: dict[str, int] | None = None, expects: tuple[Expect, ...] = (), outcome: str = "",
) -> Commit:  # fmt: skip
    """An attempt to write. With `revision` the answer says that it is decided there."""
    return Commit(
        client=client, session=session, door=door, space=SPACE, level=level, invoked_s=when[0],
        returned_s=when[1], status=status, reason=reason, place=at(place or revision),
        seen=seen or {}, commit_id=commit, ops=tuple(put(r, n) for r, n in writes.items()),
        expects=expects, origin=origin if status == OK else "", seq=seq or revision,
        decided=at(revision), outcome=outcome or ("applied" if revision else "pending"),
    )  # fmt: skip


def strongly(commit: str, writes: dict[str, int], when: tuple[float, float], **more: Any) -> Commit:
    return wrote(commit, writes, when, **{"level": STRONG, **more})


def read(
    found: dict[str, Found | None], when: tuple[float, float], revision: int, *,
    client: str = "bob", session: str = "", door: str = "edge", level: str = EVENTUAL,
    status: str = OK, reason: str = "", seen: dict[str, int] | None = None,
    within_ms: int | None = None, staleness_ms: int | None = None,
) -> Read:  # fmt: skip
    """A read of the records named in `found`; None: it was absent."""
    return Read(
        client=client, session=session, door=door, space=SPACE, level=level, invoked_s=when[0],
        returned_s=when[1], status=status, reason=reason, place=at(revision), seen=seen or {},
        paths=tuple(named(r) for r in found), max_staleness_ms=within_ms,
        staleness_ms=staleness_ms, records={named(r): f for r, f in found.items() if f is not None},
    )  # fmt: skip


def version(n: int, revision: int, *, origin: str = HUB, seq: int = 0) -> Found:
    """A record with this content, as the commit decided there left it."""
    return Found({"n": n}, at(revision), origin, seq or revision)


def pending(n: int, origin: str, seq: int) -> Found:
    """A record as an undecided commit of that origin left it."""
    return Found({"n": n}, NOWHERE, origin, seq, pending=True)


def expects(record: str, n: int, revision: int) -> Expect:
    """At the version that was read with this content."""
    return Expect(named(record), "version", at(revision), {"n": n})


def told(
    what: str, at_s: float, revision: int, changes: dict[str, int | None] | None = None, *,
    watch: str = "w", origin: str = HUB, seq: int = 0,
) -> Told:  # fmt: skip
    """A message of a watch of everything."""
    values: dict[str, Value] = {
        named(r): None if n is None else {"n": n} for r, n in (changes or {}).items()
    }
    return Told(
        watch=watch, space=SPACE, at_s=at_s, what=what, place=at(revision), origin=origin,
        seq=seq or revision, changes=values,
    )  # fmt: skip


Lines = tuple[Line, ...]
