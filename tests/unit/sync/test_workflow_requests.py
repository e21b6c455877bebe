"""Requests to who may advance a child are read as they were written, or refused."""

from __future__ import annotations

import pytest

from sync.commit import Actor, ActorKind
from sync.workflow_definitions import InvalidWorkflow
from sync.workflow_requests import ParentTold, request_from


def test_a_request_is_read_as_it_was_written() -> None:
    told = ParentTold("cancel", "line@1", Actor("ann", ActorKind.HUMAN), 7, "it is late")
    assert request_from(told.encode()) == told


@pytest.mark.parametrize(
    "value",
    [b"{}", b"[]", b"nothing", b'{"event":"cancel","parent":"p@1","at_ms":1,"note":""}',
     b'{"actor":{"id":"a","kind":"cat"},"at_ms":1,"event":"e","note":"","parent":"p@1"}'],
)  # fmt: skip
def test_what_is_none_is_told_so(value: bytes) -> None:
    with pytest.raises(InvalidWorkflow):
        request_from(value)
