"""Do the tests show what tests/promises.toml promises?

A promise of status `kept` needs a test marked with its id; one that is `later` or `changed` needs
its reason; a mark needs a promise. The marks are read from the source, so that a test that is
skipped on this machine still counts as written, and nothing has to be imported.

Run as `python -m tests.check_promises`: prints the counts, and exits 1 with what is wrong.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
STATUSES = ("kept", "later", "changed")


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing the project promises, in its own words, and how matters stand with it."""

    id: str
    says: str
    status: str
    because: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A test's claim to show a promise; `id` is empty where the mark is not a plain string."""

    id: str
    place: str


def read_promises(text: str) -> tuple[list[Promise], list[str]]:
    """The promises, and what is wrong with their entries."""
    promises: list[Promise] = []
    faults: list[str] = []
    for number, entry in enumerate(tomllib.loads(text).get("promise", []), start=1):
        promise = Promise(
            *(str(entry.get(name, "")) for name in ("id", "says", "status", "because"))
        )
        promises.append(promise)
        faults += [f"promise {promise.id or number}: {fault}" for fault in _faults(promise, entry)]
    counted = Counter(promise.id for promise in promises)
    faults += [f"promise {name}: stated {n} times" for name, n in counted.items() if n > 1]
    return promises, faults


def _faults(promise: Promise, entry: dict[str, Any]) -> Iterator[str]:
    for name in ("id", "says"):
        if not entry.get(name):
            yield f"has no `{name}`"
    if promise.status not in STATUSES:
        yield f"has the status {promise.status!r}; it may be {', '.join(STATUSES)}"
    if promise.status in ("later", "changed") and not promise.because:
        yield f"is {promise.status}, but does not say why in `because`"
    for name in sorted(set(entry) - {"id", "says", "status", "because"}):
        yield f"has an unknown member `{name}`"


def read_marks(folder: Path) -> list[Mark]:
    """Every `pytest.mark.promise(...)` in the test files of a folder."""
    return [
        mark
        for path in sorted(folder.rglob("test_*.py"))
        for mark in marks_of(path.read_text(), path.relative_to(folder.parent).as_posix())
    ]


def marks_of(source: str, name: str) -> Iterator[Mark]:
    """The promise marks in one file's text; a mark may name several promises."""
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.promise"):
            place = f"{name}:{node.lineno}"
            for argument in node.args or [ast.Constant("")]:
                literal = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                yield Mark(argument.value if literal else "", place)  # type: ignore[attr-defined]


def compare(promises: Iterable[Promise], marks: Iterable[Mark]) -> list[str]:
    """What is promised and not shown, and what is shown and not promised."""
    marks = list(marks)
    shown = {mark.id for mark in marks}
    stated = {promise.id for promise in promises}
    unshown = [p.id for p in promises if p.status == "kept" and p.id not in shown]
    return [f"promise {name}: kept, but no test is marked with it" for name in unshown] + [
        f"{mark.place}: marks the promise {mark.id!r}, which is not in promises.toml"
        for mark in marks
        if mark.id not in stated
    ]


def main() -> int:
    """Check this project's own promises."""
    path = TESTS / "promises.toml"
    if not path.exists():
        print(f"{path.relative_to(TESTS.parent)} is missing: it states what the tests must show")
        return 1
    promises, faults = read_promises(path.read_text())
    marks = read_marks(TESTS)
    faults += compare(promises, marks)
    print(*faults, sep="\n", end="\n" if faults else "")
    counts = Counter(promise.status for promise in promises)
    standing = ", ".join(f"{counts[status]} {status}" for status in STATUSES)
    print(f"{len(promises)} promises: {standing}; {len(marks)} marks in tests")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
