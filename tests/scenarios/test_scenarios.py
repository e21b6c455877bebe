"""Plays every scenario and compares each answer with the one below its command.

`HOLDFAST_REWRITE=1` writes the answers instead; read the difference before you believe it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.scenarios.stage import Stage

FOLDER = Path(__file__).parent
SCENARIOS = sorted(FOLDER.glob("*.txt"))
MARK = "----"


def played(text: str) -> str:
    """The scenario with the answers that it has now. Comments and blank lines stay."""
    stage, lines, answering = Stage(), [], False
    for line in text.splitlines():
        if line == MARK:
            answering = True
        elif not line.strip():
            answering = False
            lines.append("")
        elif line.startswith("#"):
            lines.append(line)
        elif not answering:
            lines.append(line)
            answer = stage.run(line)
            lines += [MARK, *answer] if answer else []
    return "\n".join(lines).rstrip("\n") + "\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    text = path.read_text()
    now = played(text)
    if os.environ.get("HOLDFAST_REWRITE"):
        path.write_text(now)
    else:
        assert now == text, f"{path.name} tells another story now; see {Path(__file__).name}"


def test_there_are_scenarios_and_each_says_what_it_is_about() -> None:
    assert len(SCENARIOS) >= 12
    assert all(path.read_text().startswith("# ") for path in SCENARIOS)
