"""What importing costs: a program must not pay for what it does not use."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("holdfast", {"grpc", "google.protobuf", "asyncio", "click"}),
        ("holdfast.host", {"grpc", "asyncio", "sqlite3", "click"}),
        ("holdfast.host.channels", {"grpc", "asyncio"}),
        ("holdfast.host.commands", {"grpc", "asyncio", "click", "rich", "sqlite3"}),
        ("holdfast.host.migrations", {"sqlite3", "aiosqlite", "asyncpg"}),
        ("holdfast.host.sqlite_migrations", {"aiosqlite", "asyncio"}),
        ("holdfast.host.loops", {"uvloop"}),
    ],
)
def test_a_module_loads_only_what_it_needs(module: str, absent: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(found.stdout.split()) & absent == set()
