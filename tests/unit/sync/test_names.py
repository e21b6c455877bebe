"""Names and paths, at their limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sync.names import (
    MAX_KEY_BYTES,
    MAX_NAME_CHARS,
    InvalidName,
    Path,
    check_collection,
    check_key,
    check_keys,
    check_space,
    parse_path,
)


@pytest.mark.parametrize("name", ["a", "Site-1.north_2", "x" * MAX_NAME_CHARS])
def test_spaces_and_collections_are_plain_words(name: str) -> None:
    assert check_space(name) == name == check_collection(name)


@pytest.mark.parametrize(
    "name", ["", "1a", ".a", "-a", "a/b", "a b", "é", "a\n", "x" * (MAX_NAME_CHARS + 1), "@space"]
)
def test_what_is_no_word_is_refused(name: str) -> None:
    for check in (check_space, check_collection):
        with pytest.raises(InvalidName) as caught:
            check(name)
        assert caught.value.reason == "INVALID_NAME"


def test_only_collections_may_be_reserved() -> None:
    assert check_collection("_policies") == "_policies"
    with pytest.raises(InvalidName):
        check_space("_policies")


@pytest.mark.parametrize(
    "key", ["r1", "a/b/c", " ", "ключ", "x" * MAX_KEY_BYTES, "é" * (MAX_KEY_BYTES // 2)]
)
def test_keys_are_the_users_own(key: str) -> None:
    assert check_key(key) == key
    check_keys(["r1", key])


@pytest.mark.parametrize(
    "key",
    ["", "a\x00", "\x1f", "a\nb", "\x7f", "\ud800", "x" * (MAX_KEY_BYTES + 1),
     "é" * (MAX_KEY_BYTES // 2) + "x", "\U0001f916" * (MAX_KEY_BYTES // 4 + 1)],
)  # fmt: skip
def test_keys_that_are_none_are_named(key: str) -> None:
    for check in (lambda: check_key(key), lambda: check_keys(iter(["r1", key]))):
        with pytest.raises(InvalidName):
            check()


def test_no_keys_are_no_fault() -> None:
    check_keys(())


def test_a_path_has_three_parts_and_the_key_may_have_slashes() -> None:
    assert parse_path("site/robots/a/b") == Path("site", "robots", "a/b")


@pytest.mark.parametrize("text", ["", "site", "site/robots", "site/robots/", "/robots/r1", "s//k"])
def test_a_path_that_is_none_is_refused(text: str) -> None:
    parse: Callable[[str], Path] = parse_path
    with pytest.raises(InvalidName):
        parse(text)
