"""What importing a package drags in, seen by an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "aiosqlite",
    "asyncpg",
    "click",
    "google",
    "grpc",
    "orjson",
    "rich",
    "sqlite3",
    "zstandard",
)


def _imported(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("package", ["holdfast", "holdfast.reasons"])
def test_the_name_that_programs_import_is_cheap(package: str) -> None:
    assert _imported(f"import {package}").isdisjoint(HEAVY)


@pytest.mark.parametrize("package", ["holdfast", "holdfast.reasons"])
def test_the_client_stands_alone(package: str) -> None:
    assert _imported(f"import {package}").isdisjoint({"sync", "edge_agent", "cloud_hub"})
