"""The checkers are tested too: each mistake put in is found, by a promise that it breaks."""

from __future__ import annotations

import pytest

from tests.simulation import sweep
from tests.simulation.mutants import MUTANTS, Mutant

WITHIN_SEEDS = 10
"""Most show themselves in the first seed of their faults."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mistake_put_in_on_purpose_is_found(mutant: Mutant) -> None:
    for seed in range(mutant.seed, mutant.seed + WITHIN_SEEDS):
        with mutant.make():
            result = sweep.focused(seed, mutant.families, mutant.knobs, mutant.changes)
        if result.problems:
            broken = {problem[1:].partition("]")[0] for problem in result.problems}
            assert broken & mutant.promises, result.problems
            return
    pytest.fail(f"{mutant.name} was not found within {WITHIN_SEEDS} seeds")


@pytest.mark.parametrize("family", ["power", "copy", "between"])
def test_without_a_mistake_such_runs_are_clean(family: str) -> None:
    assert sweep.focused(1, (family,)).problems == []
