"""Where nothing is concurrent, values are carried and not looked into."""

from __future__ import annotations

import pytest

from sync import canonical_json, values
from tests.unit.sync.rules import Table, create, delete, patch, replace


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks into a value fails the test."""

    def looked(*_: object) -> object:
        raise AssertionError("a value was parsed")

    for name in ("fields", "diff", "merge", "join", "exact", "plain_object"):
        monkeypatch.setattr(values, name, looked)
    monkeypatch.setattr(canonical_json, "exact", looked)


@pytest.mark.usefixtures("unparsed")
@pytest.mark.promise("concurrent.fast-path")
def test_whole_values_are_not_parsed_and_nothing_is_logged() -> None:
    table = Table()
    steps = [create('{"x":1}'), replace('{"x":2}'), delete(), create('{"x":3}')]
    for letter, op in zip("ABCA", steps, strict=True):
        made = table.decide(letter, op)
        assert (made.kind, made.conflicts) == ("applied", ())
        assert (made.kinds, made.payloads) == ((op.kind,), (op.payload,))
    assert table.live() == '{"x":3}'
    made = table.decide("B", replace('{"x":4}'), replace('{"x":5}', key="r1"))
    assert (made.kind, made.conflicts, table.live()) == ("applied", (), '{"x":5}')


@pytest.mark.promise("concurrent.fast-path")
def test_a_patch_of_what_was_seen_is_compared_with_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = Table()
    table.decide("A", create('{"x":1,"y":1}'))

    def compared(*_: object) -> object:
        raise AssertionError("fields were compared")

    monkeypatch.setattr("sync.merge.Merge._merge", compared)
    for n in range(5):
        made = table.decide("AB"[n % 2], patch(f'{{"x":{n}}}'))
        assert (made.kind, made.conflicts, made.payloads) == ("applied", (), (b'{"x":%d}' % n,))
    assert table.live() == '{"x":4,"y":1}'
