"""Style that a machine can see: the sizes, names and openings that keep the files readable.

The limits are ceilings, not aims: most files are far below. Lower one when the tree allows it.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("holdfast", "sync", "edge_agent", "cloud_hub")
GENERATED = ROOT / "holdfast" / "v1"

SOURCE_LINES = 450
TEST_LINES = 900
FUNCTION_LINES = 60

NO_NAME = re.compile(r"(^|_)(base|common|helper|helpers|manager|misc|util|utils)$")
"""Names that say nothing, and so collect everything."""

COMMENT_OPENERS = {".proto": "//", ".sql": "--", ".sh": "#!", ".service": "#"}

# Written in pieces, so that this file does not contain what it looks for.
FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w.-])/" + r"(?:work|root|home)/\w",
            "py" + r"pi\.org",
            "python" + r"hosted\.org",
            "np" + r"mjs\.",
        ]
    )
)
"""Paths of one machine, and hosts of package registries."""

UNFINISHED = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]))


def _files() -> list[Path]:
    """What is tracked or about to be; without git (an unpacked archive), what is there."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        found = [ROOT / name for name in listed.split("\0") if name]
    else:
        found = [p for p in ROOT.rglob("*") if not p.relative_to(ROOT).parts[0].startswith(".venv")]
    return sorted(path for path in found if path.is_file())


FILES = _files()
PYTHON = [path for path in FILES if path.suffix == ".py" and GENERATED not in path.parents]
SOURCE = [path for path in PYTHON if path.relative_to(ROOT).parts[0] in SOURCES]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in PYTHON}
    limits = {path: SOURCE_LINES if path in SOURCE else TEST_LINES for path in PYTHON}
    assert [f"{_name(p)}: {n} lines" for p, n in lengths.items() if n > limits[p]] == []


def test_functions_are_short() -> None:
    long = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in SOURCE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES
    ]
    assert long == []


def test_files_open_with_what_they_are() -> None:
    silent = [_name(p) for p in PYTHON if not ast.get_docstring(ast.parse(p.read_text()))]
    silent += [
        _name(path)
        for path in FILES
        if path.suffix in COMMENT_OPENERS
        and not path.read_text().lstrip().startswith(COMMENT_OPENERS[path.suffix])
    ]
    assert silent == []


def test_names_say_something() -> None:
    parts = {_name(path): [*path.relative_to(ROOT).parts[:-1], path.stem] for path in PYTHON}
    assert [name for name, names in parts.items() if any(map(NO_NAME.search, names))] == []


@pytest.mark.parametrize("banned", [FOREIGN, UNFINISHED], ids=["foreign", "unfinished"])
def test_nothing_of_one_machine_and_nothing_unfinished(banned: re.Pattern[str]) -> None:
    found = [
        f"{_name(path)}:{number}: {line.strip()[:120]}"
        for path in FILES
        if (text := _text(path)) is not None
        for number, line in enumerate(text.splitlines(), start=1)
        if banned.search(line)
    ]
    assert found == []
