"""When to dial again."""

from __future__ import annotations

import pytest

from sync.backoff import FIRST_MS, LIMIT_MS, delay_ms

ALMOST_ONE = 1 - 2**-53


def test_the_wait_is_spread_from_half_the_first_to_the_limit() -> None:
    assert delay_ms(1, 0.0) == FIRST_MS // 2 == delay_ms(1_000_000, 0.0)
    assert delay_ms(1, ALMOST_ONE) < FIRST_MS * 3 // 2
    assert LIMIT_MS <= delay_ms(1_000_000, ALMOST_ONE) <= LIMIT_MS + FIRST_MS


def test_the_ceiling_doubles_until_the_limit() -> None:
    ceilings = [delay_ms(n, ALMOST_ONE) for n in range(1, 12)]
    assert ceilings == sorted(ceilings)
    assert delay_ms(3, 0.5) == FIRST_MS * 2 + FIRST_MS // 2


@pytest.mark.parametrize(("attempt", "luck"), [(0, 0.5), (1, 1.0), (1, -0.1)])
def test_what_cannot_be_is_refused(attempt: int, luck: float) -> None:
    with pytest.raises(AssertionError):
        delay_ms(attempt, luck)
