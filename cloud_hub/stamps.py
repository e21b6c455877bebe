"""Stamps of fields as the database keeps them: JSON, one member per field.

A field with one writer is `[revision, origin, seq, stamp]`. Where several are in its value, or a
rule has to know more, it is an object, `{"several": [rest, pieces]}` or `{"tracked": [part, kind,
earlier, also]}`; a piece is `[part, value, kind]`, with the value as text.

Invariant: decoding undoes encoding.
"""

from __future__ import annotations

from typing import Any

import orjson

from sync.context import Part, Piece, Several, Stamped, Tracked

_PLAIN = {Part}


def encoded(stamps: dict[str, Stamped]) -> bytes | None:
    """The stamps of a record; nothing if there are none."""
    if not stamps:
        return None
    # Nearly all records have plain stamps only, and what makes tuples of those is no Python.
    plain = set(map(type, stamps.values())) == _PLAIN
    return orjson.dumps(stamps, tuple if plain else _named)


def decoded(text: bytes | None) -> dict[str, Stamped]:
    """The stamps of a record."""
    if not text:
        return {}
    return {
        name: Part(*found) if type(found) is list else _several(found)
        for name, found in orjson.loads(text).items()
    }


def _named(stamped: Any) -> Any:
    """What orjson writes of a named tuple, which it does not know."""
    match stamped:
        case Part():
            return tuple(stamped)
        case Piece(part, value, kind):
            return (part, None if value is None else value.decode(), kind)
        case Several():
            return {"several": tuple(stamped)}
        case Tracked():
            return {"tracked": tuple(stamped)}
        case _:
            raise TypeError(type(stamped))


def _several(found: dict[str, Any]) -> Stamped:
    if "several" in found:
        rest, pieces = found["several"]
        return Several(Part(*rest), _pieces(pieces))
    part, kind, earlier, also = found["tracked"]
    return Tracked(Part(*part), kind, _pieces(earlier), tuple(Part(*one) for one in also))


def _pieces(found: list[Any]) -> tuple[Piece, ...]:
    return tuple(
        Piece(Part(*part), None if value is None else value.encode(), kind)
        for part, value, kind in found
    )
