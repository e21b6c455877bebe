"""The bench runs, and what it writes can be read. No figure is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tests.benchmarks.figures import Figure, percentile, table

ROOT = Path(__file__).parents[2]


def test_a_figure_compares_neighbours() -> None:
    figure = Figure.of("rate", "changes/s", [90.0, 50.0, 200.0], [100.0, 100.0, 200.0])
    assert (figure.value, figure.low, figure.high, figure.runs) == (90.0, 50.0, 200.0, 3)
    assert (figure.bare, figure.ratio) == (100.0, 0.9)
    assert "rate" in table([figure])


def test_a_figure_may_stand_alone() -> None:
    figure = Figure.of("bytes", "bytes", [12.5])
    assert (figure.bare, figure.ratio) == (None, None)


def test_percentiles_are_of_what_was_measured() -> None:
    assert percentile(range(1, 101), 50) == 51
    assert percentile([3.0], 99) == 3.0


@pytest.mark.integration
def test_a_tiny_row_runs_from_daemons_to_json(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--tiny", "--only", "drain-put"]
    done = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=100, env=os.environ | {"GRPC_ENABLE_FORK_SUPPORT": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found
    assert {name for row in found for name in row} == {field.name for field in fields(Figure)}
    assert all(row["value"] > 0 and row["bare"] > 0 for row in found)
