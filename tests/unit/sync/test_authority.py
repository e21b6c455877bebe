"""Who may advance what: what records say, and what a commit has to show."""

from __future__ import annotations

import pytest

from sync.authority import (
    CHECKPOINTS,
    DEFINITIONS,
    EXECUTIONS,
    HUB,
    NOBODY,
    REQUESTS,
    THREADS,
    WORKFLOWS,
    Authority,
    authority_of,
    holds,
    may_write,
)
from sync.commit import Kind, Precondition, Version

ME, OTHER = "a1" * 16, "b2" * 16


def saying(member: str) -> bytes:
    return b'{"authority":%b,"step":1}' % member.encode()


@pytest.mark.parametrize("holder", [ME, HUB, NOBODY])
def test_what_is_written_is_read(holder: str) -> None:
    made = Authority(holder, 7)
    assert authority_of(saying(made.encode().decode())) == made
    assert holds(saying(made.encode().decode()), 7, holder)


@pytest.mark.parametrize(
    "member",
    [
        '{"holder":"hub","token":0}', '{"holder":"hub","token":-1}', '{"holder":"hub","token":1.0}',
        '{"holder":"hub","token":true}', '{"holder":"hub","token":9007199254740992}',
        '{"holder":"HUB","token":1}', '{"holder":"a1","token":1}', '{"holder":1,"token":1}',
        '{"holder":"hub"}', '{"holder":"hub","more":1,"token":1}', '"hub"', "null", "[]",
        '{"holder":"' + "A1" * 16 + '","token":1}',
    ],
)  # fmt: skip
def test_what_cannot_be_understood_gives_authority_to_nobody(member: str) -> None:
    assert authority_of(saying(member)) is None
    assert not any(holds(saying(member), 1, node) for node in (HUB, NOBODY, ME))


def test_an_absent_record_gives_authority_to_nobody() -> None:
    assert authority_of(None) is None
    assert authority_of(b'{"step":1}') is None


def held(collection: str, key: str) -> Precondition:
    return Precondition(collection, key, authority=3)


def absent(collection: str, key: str) -> Precondition:
    return Precondition(collection, key, exists=False)


def seen(collection: str, key: str) -> Precondition:
    return Precondition(collection, key, version=Version(1, 9))


PATCH = b'{"status":"active"}'


@pytest.mark.parametrize(
    ("collection", "key", "shown"),
    [
        (WORKFLOWS, "w@1", [held(WORKFLOWS, "w@1")]),
        (WORKFLOWS, "w@1", [absent(WORKFLOWS, "w@1")]),
        (EXECUTIONS, "w@1/weld/1", [held(WORKFLOWS, "w@1")]),
        (EXECUTIONS, "w@1/weld/1", [absent(WORKFLOWS, "w@1")]),
        (REQUESTS, "w@1/0", [absent(REQUESTS, "w@1/0")]),
        (REQUESTS, "w@1/0", [held(WORKFLOWS, "w@1")]),
        (DEFINITIONS, "weld@1", [absent(DEFINITIONS, "weld@1")]),
        (CHECKPOINTS, "t//1", [held(THREADS, "t")]),
        (CHECKPOINTS, "w@1//1", [held(WORKFLOWS, "w@1")]),
        (THREADS, "w@1", [held(WORKFLOWS, "w@1")]),
    ],
)
def test_work_is_written_by_who_shows_an_authority_or_begins_it(
    collection: str, key: str, shown: list[Precondition]
) -> None:
    assert may_write(collection, key, Kind.PATCH, PATCH, ME, shown, strong=False)


@pytest.mark.parametrize(
    ("collection", "key", "shown"),
    [
        (WORKFLOWS, "w@1", []),
        (WORKFLOWS, "w@1", [held(WORKFLOWS, "other@1")]),
        (WORKFLOWS, "w@1", [held(THREADS, "w@1")]),
        (WORKFLOWS, "w@1", [seen(WORKFLOWS, "w@1")]),
        (EXECUTIONS, "w@1/weld/1", [absent(EXECUTIONS, "w@1/weld/1")]),
        (EXECUTIONS, "w@10/weld/1", [held(WORKFLOWS, "w@1")]),
        (DEFINITIONS, "weld@1", [held(DEFINITIONS, "weld@1")]),
        (REQUESTS, "w@1/0", [seen(REQUESTS, "w@1/0")]),
        (CHECKPOINTS, "t//1", [held(CHECKPOINTS, "t//1")]),
        (THREADS, "t", [held(CHECKPOINTS, "t")]),
    ],
)
def test_work_is_not_written_by_who_shows_nothing(
    collection: str, key: str, shown: list[Precondition]
) -> None:
    assert not may_write(collection, key, Kind.PATCH, PATCH, ME, shown, strong=False)


def test_authority_is_taken_by_a_strong_commit_only() -> None:
    shown = [seen(WORKFLOWS, "w@1")]
    take = saying(Authority(ME, 4).encode().decode())
    assert may_write(WORKFLOWS, "w@1", Kind.PATCH, take, ME, shown, strong=True)
    assert not may_write(WORKFLOWS, "w@1", Kind.PATCH, take, ME, shown, strong=False)


def test_authority_is_given_to_oneself_or_to_nobody() -> None:
    shown = [held(WORKFLOWS, "w@1")]
    given = {
        holder: may_write(
            WORKFLOWS, "w@1", Kind.PATCH, saying(Authority(holder, 4).encode().decode()), ME, shown,
            strong=False,
        )
        for holder in (ME, NOBODY, OTHER, HUB)
    }  # fmt: skip
    assert given == {ME: True, NOBODY: True, OTHER: False, HUB: False}
    assert not may_write(WORKFLOWS, "w@1", Kind.PATCH, saying('"mine"'), ME, shown, strong=False)
    for kind, names in ((Kind.REMOVE, b'["authority"]'), (Kind.REMOVE, b'["step"]')):
        keeps = names == b'["step"]'
        assert may_write(WORKFLOWS, "w@1", kind, names, ME, shown, strong=False) == keeps
