"""What a refused commit wanted of one record, as one value."""

from __future__ import annotations

import pytest

from sync.commit import Kind
from sync.refused import operations, several
from sync.values import InvalidValue


def test_what_is_kept_together_comes_back_in_its_order_with_its_digits() -> None:
    ops = [
        (Kind.REMOVE, b'["b","a"]'), (Kind.PATCH, b'{"x":9007199254740993,"y":1.0}'),
        (Kind.PATCH, b'{"x":1}'), (Kind.ADD_CREATE, b'{"n":1}'), (Kind.DELETE, b""),
        (Kind.PATCH, b'{"x":1}'),
    ]  # fmt: skip
    assert operations(several(ops)) == ops


@pytest.mark.parametrize(
    "value", [b"{}", b'{"operations":[{"payload":1}]}', b'{"operations":[{"kind":"jump"}]}']
)
def test_what_nobody_has_kept_is_refused(value: bytes) -> None:
    with pytest.raises((InvalidValue, KeyError)):
        operations(value)
