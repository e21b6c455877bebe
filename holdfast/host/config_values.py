"""Turning what a file, a variable or a flag says into the value that a setting's type asks for.

Variables are text and are read by the type; files and flags have types already and are only
checked, so that `"8"` in a file where a number belongs is an error and not a guess. Invariant: what
comes out has exactly the type asked for.
"""

from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


class NotOfType(ValueError):
    """The value is not what the type asks for."""


def describe(hint: Any) -> str:
    """What the type allows, in the words of an error: "a whole number", "one of FULL, NORMAL"."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list, each {describe(get_args(hint)[0])}"
    if get_origin(hint) in (Union, UnionType):
        return describe(_without_none(hint))
    return _SIMPLE[hint][0]


def from_text(hint: Any, text: str) -> Any:
    """Reads text by the type; lists are separated by commas, nothing is an empty list. Raises
    `NotOfType`."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return None if text == "" else from_text(_without_none(hint), text)
    if origin is tuple:
        return tuple(
            from_text(get_args(hint)[0], part.strip()) for part in text.split(",") if part.strip()
        )
    if origin is Literal:
        by_text = {str(choice): choice for choice in get_args(hint)}
        return _found(by_text.get(text))
    return _SIMPLE[hint][1](text)


def from_value(hint: Any, value: Any) -> Any:
    """Checks a value that has a type already. Raises `NotOfType`."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return None if value is None else from_value(_without_none(hint), value)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise NotOfType
        return tuple(from_value(get_args(hint)[0], part) for part in value)
    if origin is Literal:
        same = [
            choice for choice in get_args(hint) if choice == value and type(choice) is type(value)
        ]
        return _found(same[0] if same else None)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise NotOfType
    return value


def _without_none(hint: Any) -> Any:
    (rest,) = (part for part in get_args(hint) if part is not NoneType)
    return rest


def _found(value: Any) -> Any:
    if value is None:
        raise NotOfType
    return value


def _bool(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise NotOfType
    return text.lower() in _TRUE


def _number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise NotOfType from None

    return read


_SIMPLE: dict[Any, tuple[str, Callable[[str], Any]]] = {
    str: ("text", str),
    bool: ("true or false", _bool),
    int: ("a whole number", _number(int)),
    float: ("a number", _number(float)),
    Path: ("a path", Path),
}
"""By type: its name in an error, and how it is read from text. A setting of another type is a
mistake in the program, found by the first test that loads it."""
