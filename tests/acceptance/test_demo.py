"""`make demo`: the story is true, line by line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.programs import environment

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


def test_the_story_is_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.demo.tell"],
        capture_output=True, text=True, cwd=tmp_path, env=environment({}), timeout=200, check=False,
    )  # fmt: skip
    assert "NOT SO" not in done.stdout, done.stdout
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "lines were so" in done.stdout.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
