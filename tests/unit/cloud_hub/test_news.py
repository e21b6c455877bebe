"""What hub processes tell each other is a hint: whatever comes, it is understood or dropped."""

from __future__ import annotations

import pytest

from cloud_hub.news import HeadMoved, StreamTaken, decode


@pytest.mark.parametrize(
    "told", [HeadMoved("plant-7", 2, 1_000), StreamTaken(b"o" * 16), HeadMoved("default", 1, 0)]
)
def test_what_is_told_is_heard(told: HeadMoved | StreamTaken) -> None:
    assert decode(told.encode()) == told


@pytest.mark.parametrize(
    "text",
    ["", "head", "head 1", "head x 1 default", "head 1 -1 default", "head 1 1 ", "head 1 1 a/b",
     "stream", "stream zz", "stream 0011", "sing 1 2 3"],
)  # fmt: skip
def test_what_is_not_understood_is_dropped(text: str) -> None:
    assert decode(text) is None
