"""Splices as operations of commits: their payloads, and what they do to the fields of a record.

A payload is a JSON object from field to runs: a positive number retains so many, a negative one
deletes so many, a string inserts text, an array inserts elements. So it is canonical, and checked,
like every other payload. A field that is absent is an empty document.

Invariant: a payload that `decode` takes is the one that `encode` makes of what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from sync import values
from sync.canonical_json import SORTED, InvalidValue
from sync.transform import Content, Run, Splice, SpliceMismatch, apply, splice

Edits = dict[str, Splice]

_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)


def encode(edits: Mapping[str, Splice]) -> bytes:
    """The payload of edits of these fields."""
    return values.join({name: runs_text(edit) for name, edit in edits.items()})


def runs_text(edit: Splice) -> bytes:
    """The runs of one edit, as they stand in a payload."""
    return b"[%s]" % b",".join(map(_run_text, edit.runs))


def decode(payload: bytes) -> Edits:
    """The edits that a payload says. Raises InvalidValue MALFORMED_EDIT."""
    edits: Edits = {}
    for name, text in values.fields(payload).items():
        if text[:1] != b"[":
            raise _malformed()
        try:
            edits[name] = splice(map(_run, elements(text)))
        except SpliceMismatch as error:
            raise _malformed() from error
    if encode(edits) != payload:
        raise _malformed()
    return edits


def elements(array: bytes) -> tuple[bytes, ...]:
    """The elements of a canonical array, each with its exact text."""
    found: list[Any] = orjson.loads(array)
    if orjson.dumps(found, None, SORTED) == array:
        return tuple(orjson.dumps(one, None, SORTED) for one in found)
    return tuple(_scanned(array.decode()))


def content_of(text: bytes | None, edit: Splice) -> Content:
    """The document in a member's text; None is an empty one of the kind that the edit is of.

    Raises InvalidValue SPLICE_MISMATCH for what is neither text nor list.
    """
    if text is None:
        return () if any(isinstance(run, tuple) for run in edit.runs) else ""
    if text[:1] == b'"':
        said = orjson.loads(text)
        assert isinstance(said, str)
        return said
    if text[:1] == b"[":
        return elements(text)
    raise InvalidValue("SPLICE_MISMATCH", "the field holds neither a text nor a list")


def text_of(content: Content) -> bytes:
    """The member's text that holds a document."""
    if isinstance(content, str):
        return orjson.dumps(content)
    return b"[%s]" % b",".join(content)


def spliced_by(value: bytes, payload: bytes) -> bytes:
    """A record's value after a splice. Raises InvalidValue."""
    return spliced(value, decode(payload))


def spliced(value: bytes, edits: Mapping[str, Splice]) -> bytes:
    """A record's value after edits of its fields. Raises InvalidValue."""
    texts = values.fields(value)
    for name, edit in edits.items():
        try:
            texts[name] = text_of(apply(edit, content_of(texts.get(name), edit)))
        except SpliceMismatch as error:
            raise InvalidValue("SPLICE_MISMATCH", f"field {name[:60]!r}: {error}") from error
    return values.join(texts)


def assembled(members: Mapping[str, bytes]) -> bytes:
    """The object of these members, however long their texts are."""
    texts = {name: orjson.Fragment(text) for name, text in members.items()}
    return orjson.dumps(texts, None, SORTED)


def _run(text: bytes) -> Run:
    if text[:1] == b'"':
        said = orjson.loads(text)
        assert isinstance(said, str)
        return said
    if text[:1] == b"[":
        return elements(text)
    try:
        return int(text)
    except ValueError:
        raise _malformed() from None


def _run_text(run: Run) -> bytes:
    return b"%d" % run if isinstance(run, int) else text_of(run)


def _scanned(text: str) -> Iterator[bytes]:
    """`text` is canonical, so only `,` stands between elements."""
    at = 1
    while text[at] != "]":
        _, end = _SCANNER.raw_decode(text, at)
        yield text[at:end].encode()
        at = end + 1 if text[end] == "," else end


def _malformed() -> InvalidValue:
    return InvalidValue("MALFORMED_EDIT", "a splice is an object of fields with their runs")
