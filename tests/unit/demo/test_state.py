"""When a run of the demo counts as converged, and what it then says."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.demo.state import Look
from holdfast.demo.view import Rates

DIGESTS = {"tasks": {"digest": "00ff", "records": 4}}


def _edge(**changed: Any) -> dict[str, Any]:
    space = {"space": "default", "revision": 7, "pending": 0, "digests": DIGESTS} | changed
    return {"connected": True, "alarms": [], "spaces": [space]}


def _look(**changed: Any) -> Look:
    hub = {"revision": 7, "conflicts": 2, "digests": DIGESTS}
    return Look(hub, {"edge-a": _edge(), "edge-b": _edge(**changed)}, ())


def test_equal_digests_at_the_hubs_revision_with_nothing_pending() -> None:
    assert _look().converged
    assert _look().verdict(5) == {
        "converged": True,
        "edges": {
            name: {"connected": True, "revision": 7, "pending": 0, "alarms": []}
            for name in ("edge-a", "edge-b")
        },
        "revision": 7,
        "changes": 5,
        "pending": 0,
        "conflicts": 2,
        "digests": {name: {"tasks": "00ff"} for name in ("hub", "edge-a", "edge-b")},
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"pending": 1},
        {"revision": 6},
        {"digests": {}},
        {"digests": {"tasks": {"digest": "00fe", "records": 4}}},
        {"space": "other"},
    ],
)
def test_anything_else_is_not(changed: dict[str, Any]) -> None:
    look = _look(**changed)
    assert not look.converged
    assert look.verdict(0)["converged"] is False


def test_rates_are_over_the_last_seconds() -> None:
    rates = Rates()
    assert rates.of("hub", 100, 0.0) == 0
    assert rates.of("hub", 110, 1.0) == 10
    assert [rates.of("hub", 110, float(second)) for second in range(2, 10)][-1] == 0
