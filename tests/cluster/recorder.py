"""Writes down what clients ask for and are told, as lines of a history.

Invariant: the clock is read before a request leaves and after its answer has come, so the times of
a line enclose what happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from holdfast import Add, AsyncClient, Delete, Patch, Put
from holdfast.client.commits import Expect, Op
from holdfast.client.records import Answer, Record, Version
from holdfast.errors import HoldfastError, OutcomeUnknown
from tests.blackbox import history as lines
from tests.blackbox.history import NOWHERE, OK, REFUSED, UNKNOWN, History, Place
from tests.cluster.plan import SPACE

MAX_PENDING = 20
"""Of a bounded write: so few that a frozen hub makes some of them refused."""


def now_s() -> float:
    """The clock of the whole history."""
    return time.monotonic()


def place_of(answer: Answer | None) -> Place:
    if answer is None or answer.position is None:
        return NOWHERE
    return (answer.position.epoch, answer.position.revision)


def seen_in(answer: Answer | None) -> dict[str, int]:
    if answer is None or answer.context is None:
        return {}
    return {origin.hex(): seq for origin, seq in answer.context.seen}


def path_of(full: str) -> str:
    """collection/key of space/collection/key."""
    return full.partition("/")[2]


def found_of(record: Record) -> lines.Found:
    version = record.version
    place = (version.epoch, version.revision)
    return lines.Found(record.value, place, version.origin.hex(), version.seq, version.pending)


def op_line(op: Op) -> lines.Op:
    path = path_of(op.path)
    if isinstance(op, Put):
        assert not isinstance(op.value, str)
        return lines.Op("put", path, dict(op.value))
    if isinstance(op, Patch):
        assert not isinstance(op.set, str)
        return lines.Op("patch", path, dict(op.set), tuple(op.remove))
    if isinstance(op, Add):
        return lines.Op("add", path, dict(op.deltas))
    assert isinstance(op, Delete), op
    return lines.Op("delete", path)


def expect_line(expect: Expect, known: Record | None) -> lines.Expect:
    """`known` is what was read at the version that is expected."""
    path = path_of(expect.path)
    if isinstance(expect.version, Version):
        place = (expect.version.epoch, expect.version.revision)
        return lines.Expect(path, "version", place, known.value if known is not None else None)
    return lines.Expect(path, "exists" if expect.exists else "absent")


class Recorder:
    """Asks, and writes down. One for a whole run."""

    def __init__(self) -> None:
        self.history = History()

    def mark(self, what: str, target: str = "") -> None:
        self.history.add(lines.Mark(at_s=now_s(), what=what, target=target))

    async def commit(
        self, who: Who, ops: Sequence[Op], commit_id: bytes, *, level: str, timeout_s: float,
        expect: Iterable[Expect] = (), known: Record | None = None,
    ) -> lines.Commit:  # fmt: skip
        """One attempt. `known` is what `expect` is about."""
        expect = tuple(expect)
        asked: dict[str, Any] = {
            **who.line, "level": level, "commit_id": commit_id.hex(),
            "ops": tuple(map(op_line, ops)),
            "expects": tuple(expect_line(one, known) for one in expect),
        }  # fmt: skip
        options = who.level(level)
        if options.get("level") == lines.BOUNDED:
            options["max_pending"] = MAX_PENDING
        asked["invoked_s"] = now_s()
        try:
            receipt = await who.client.commit(
                ops, commit_id=commit_id, timeout_s=timeout_s, expect=expect,
                **options,
            )  # fmt: skip
        except HoldfastError as error:
            status = UNKNOWN if isinstance(error, OutcomeUnknown) else REFUSED
            line = lines.Commit(**asked, returned_s=now_s(), status=status, reason=error.reason)
        else:
            position = receipt.known.position
            line = lines.Commit(
                **asked, returned_s=now_s(), place=place_of(receipt.answer),
                seen=seen_in(receipt.answer), origin=receipt.op_id.origin.hex(),
                seq=receipt.op_id.seq, outcome=receipt.known.kind.value,
                decided=NOWHERE if position is None else (position.epoch, position.revision),
            )  # fmt: skip
        self.history.add(line)
        return line

    async def read(
        self, who: Who, paths: Sequence[str], *, level: str, timeout_s: float,
        max_staleness_ms: int | None = None,
    ) -> tuple[dict[str, Record], lines.Read]:  # fmt: skip
        """One read of records, of which at least one exists."""
        asked: dict[str, Any] = {
            **who.line, "level": level, "paths": tuple(map(path_of, paths)),
            "max_staleness_ms": max_staleness_ms,
        }  # fmt: skip
        options: dict[str, Any] = {"timeout_s": timeout_s, **who.level(level)}
        if max_staleness_ms is not None:
            options["max_staleness"] = max_staleness_ms / 1000
        asked["invoked_s"] = now_s()
        try:
            found = await who.client.batch_get(paths, **options)
        except HoldfastError as error:
            line = lines.Read(**asked, returned_s=now_s(), status=REFUSED, reason=error.reason)
            self.history.add(line)
            return {}, line
        returned_s = now_s()
        answer = next((record.answer for record in found.values()), None)
        assert answer is not None, f"nothing of {paths} exists, so the answer cannot be placed"
        line = lines.Read(
            **asked, returned_s=returned_s, status=OK, place=place_of(answer),
            seen=seen_in(answer), staleness_ms=answer.staleness_ms,
            records={path_of(path): found_of(record) for path, record in found.items()},
        )  # fmt: skip
        self.history.add(line)
        return found, line


class Who:
    """One session of one client at the door where it is now."""

    def __init__(self, name: str, session: str, door: str, client: AsyncClient) -> None:
        self.name, self.session, self.door, self.client = name, session, door, client

    @property
    def line(self) -> dict[str, Any]:
        return {"client": self.name, "session": self.session, "door": self.door, "space": SPACE}

    def level(self, level: str) -> dict[str, Any]:
        """The option that asks for a level. A hub has but one: what it answers is strong."""
        return {"level": level} if self.door.startswith("edge") else {}
