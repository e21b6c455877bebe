"""Definitions of workflows: named steps, each after the steps that it depends on.

A definition is a JSON object with a member `steps`, an array of objects with an `id` and perhaps
`depends_on`; whatever else stands in it is the caller's. Under its name and version it never
changes: who defines it again must say the same, and an instance keeps its hash.

Invariant: a definition that was parsed has no cycle, and every dependency is one of its steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from typing import Any

import orjson

from sync import values

MAX_STEPS = 1_000
"""A person's or planner's list; each step has a word in every instance."""

MAX_DEPENDENCIES = 64
"""Of one step."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STEP = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,100}")


class InvalidWorkflow(ValueError):
    """A definition or instance that cannot be; the message names the member."""

    reason = "INVALID_WORKFLOW"


@dataclass(frozen=True, slots=True)
class Reference:
    """Which definition an instance is of: its name, its version, and what it said."""

    name: str
    version: str
    hash: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow's plan. `text` is the whole of it, canonical; `needs` are the steps in its order,
    each with those that it depends on."""

    name: str
    version: str
    text: bytes
    needs: Mapping[str, tuple[str, ...]]

    @property
    def reference(self) -> Reference:
        """What an instance keeps."""
        return Reference(self.name, self.version, sha256(self.text).hexdigest())

    def encode(self) -> bytes:
        """The record's value."""
        said = {"name": self.name, "version": self.version, "hash": self.reference.hash}
        texts = {name: orjson.dumps(text) for name, text in said.items()}
        return values.join({**texts, "definition": self.text})

    def unmet(self, step: str, done: Iterable[str]) -> tuple[str, ...]:
        """The steps that have to be done before one. Raises InvalidWorkflow for an unknown one."""
        if step not in self.needs:
            raise InvalidWorkflow(f"{self.name}@{self.version} has no step {step[:80]!r}")
        finished = set(done)
        return tuple(need for need in self.needs[step] if need not in finished)


def word(what: str, text: str) -> str:
    """A name or version. Raises InvalidWorkflow."""
    if not _WORD.fullmatch(text):
        rule = "1 to 64 letters, digits, '.', '_', '-', beginning with a letter or digit"
        raise InvalidWorkflow(f"{what}: {rule}; not {text[:80]!r}")
    return text


def step_id(text: object) -> str:
    """The name of a step. Raises InvalidWorkflow."""
    if not isinstance(text, str) or not _STEP.fullmatch(text):
        raise InvalidWorkflow(
            "a step's id is a text of 1 to 100 characters, none of them a control"
        )
    return text


def parse(name: str, version: str, text: bytes | str) -> Definition:
    """A checked definition. Raises InvalidWorkflow, InvalidValue."""
    word("name", name)
    word("version", version)
    plain = values.canonical(text)
    found = orjson.loads(plain)
    steps = found.get("steps")
    if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
        raise InvalidWorkflow(f"steps: an array of 1 to {MAX_STEPS} steps")
    needs: dict[str, tuple[str, ...]] = {}
    for step in steps:
        if not isinstance(step, dict):
            raise InvalidWorkflow("steps: each is an object with an id")
        found_id = step_id(step.get("id"))
        if found_id in needs:
            raise InvalidWorkflow(f"steps: {found_id!r} is there twice")
        needs[found_id] = _dependencies(found_id, step)
    _check(needs)
    return Definition(name, version, plain, needs)


def decode(value: bytes) -> Definition:
    """A definition from its record. Raises InvalidWorkflow if that is damaged."""
    texts = values.fields(value)
    found = parse(
        orjson.loads(texts.get("name", b'""')),
        orjson.loads(texts.get("version", b'""')),
        texts.get("definition", b"{}"),
    )
    if orjson.loads(texts.get("hash", b'""')) != found.reference.hash:
        raise InvalidWorkflow(f"{found.name}@{found.version} is not what its hash says")
    return found


def _dependencies(name: str, step: Mapping[str, Any]) -> tuple[str, ...]:
    given = step.get("depends_on", [])
    if not isinstance(given, list) or len(given) > MAX_DEPENDENCIES:
        raise InvalidWorkflow(f"steps: {name!r}: depends_on is an array of at most 64 steps")
    return tuple(dict.fromkeys(step_id(one) for one in given))


def _check(needs: Mapping[str, tuple[str, ...]]) -> None:
    for name, before in needs.items():
        unknown = [one for one in before if one not in needs]
        if unknown:
            raise InvalidWorkflow(f"steps: {name!r} depends on {unknown[0]!r}, which is no step")
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise InvalidWorkflow(f"steps: they depend on each other in a circle: {circle}") from None
