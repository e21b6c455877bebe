"""The locked requirements fit what pyproject.toml asks for, and name no place to get them from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
LOCKS = {
    "run": [
        *PROJECT["project"]["dependencies"],
        *EXTRAS["edge"],
        *EXTRAS["hub"],
        *EXTRAS["demo"],
        *GROUPS["build"],
    ],
    "dev": [
        *PROJECT["project"]["dependencies"],
        *(r for extra in EXTRAS.values() for r in extra),
        *GROUPS["build"],
    ],
    "proto": GROUPS["proto"],
}


def _text(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text()


def _pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", _text(lock), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_to_an_allowed_version(lock: str) -> None:
    pins = _pins(lock)
    wanted = {canonicalize_name(r.name): r for r in map(Requirement, LOCKS[lock])}
    assert [str(r) for name, r in wanted.items() if pins.get(name, "") not in r.specifier] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_no_address(lock: str) -> None:
    text = _text(lock)
    entries = re.findall(r"^[a-z0-9-]+==.*(?:\n +.*)*", text, re.MULTILINE)
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "--index" not in text


def test_development_runs_on_the_versions_that_are_run() -> None:
    assert _pins("run").items() <= _pins("dev").items()
