"""Messages that no well-meaning program sends: for any message type, every field left out, at its
limits, beyond them, or of the wrong kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

MAX_DEPTH = 4
MAX_REPEATED = 3

TEXTS = [
    "", "site", "parts", "_policies", "@space", "7", "a/b", "\x00", "é", "x" * 64, "x" * 65,
    "k" * 600, "\u200b", "..", "{}", "1", "0", "-1", "²", "9" * 19, "9" * 30, "1_0", " 1", "a/1/²",
    "site/1/" + "9" * 30, "1.1", "1.²", f"1.{'9' * 25}", "value.x == 1", "value.", "zstd",
]  # fmt: skip
"""Names, numbers and tokens: right ones, too long ones, and what only looks like one."""

DOCUMENTS = [
    "{}", '{"n":1}', '{"n":1,"n":2}', '{"n":NaN}', '{"n":1e999}', "[]", "1", "", "{", "nul",
    '{"a":"\\ud800"}', '{"n":' + "[" * 70 + "]" * 70 + "}", '{"n":' + "9" * 400 + "}",
    '{"n":-0}', '{"n":01}', '{"n":9007199254740993}', '{"n":"\\u0000"}',
    '{"priority":"control"}', '{"fields":{"n":"counter"}}',
]  # fmt: skip

BLOBS = [
    b"", b"\0" * 16, b"o" * 16, b"c" * 15, b"c" * 17, b"\xff" * 16, b"h1:1:0", b"h1:1:-1",
    b"h1:1:" + b"9" * 30, b"h1:1_0:1", b"e1:1:0::0", b"e1:0:0:" + b"00" * 16 + b":1",
    b"e1:1:" + b"9" * 30 + b"::0", b"e1:", b"\x01\0\0\0\0{}",
]  # fmt: skip

NUMBERS = [0, 1, 2, 3, 99, 100, 1_000, 1_001, 10_001, 2**31 - 1, 2**31, 2**32 - 1]
LARGE = [2**53, 2**63 - 1, 2**63, 2**64 - 1]

SIGNED = [0, 1, -1, 1_000, 1_001, 2**31 - 1, -(2**31)]

_SCALARS: Mapping[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.sampled_from(TEXTS) | st.text(max_size=20),
    FieldDescriptor.TYPE_BYTES: st.sampled_from(BLOBS) | st.binary(max_size=24),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_UINT32: st.sampled_from(NUMBERS),
    FieldDescriptor.TYPE_UINT64: st.sampled_from(NUMBERS + LARGE),
    FieldDescriptor.TYPE_FIXED64: st.sampled_from(NUMBERS + LARGE),
    FieldDescriptor.TYPE_INT64: st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]),
    FieldDescriptor.TYPE_INT32: st.sampled_from(SIGNED),
    FieldDescriptor.TYPE_SINT32: st.sampled_from(SIGNED),
    FieldDescriptor.TYPE_DOUBLE: st.sampled_from([0.0, 0.5, -1.0, 1e300]) | st.floats(),
    FieldDescriptor.TYPE_SINT64: st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]),
    FieldDescriptor.TYPE_ENUM: st.sampled_from([0, 1, 2, 3, 99, -1, 2**31 - 1]),
}

_DOCUMENT_FIELDS = {"json", "metadata_json", "input_json", "output_json"}
_LIKELY: Mapping[str, list[str]] = {
    "space": ["site"], "collection": ["parts"], "id": ["ann"],
    "workflow_id": ["job"], "event": ["run", "pause", "cancel"], "status": ["RUNNING", "active"],
    "step": ["plan"], "name": ["fold"], "version": ["1"],
}  # fmt: skip
"""Right values, offered so often that what stands beside them is looked at as well."""


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Message:
    """A message of the type, of any content."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if draw(st.integers(0, 9)) < 2 or (depth > MAX_DEPTH and field.message_type):
            continue  # left out; of a oneof, the last one that was drawn stands
        _fill(draw, message, field, depth)
    return message


def _fill(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    if field.message_type and field.message_type.GetOptions().map_entry:
        for name in draw(st.lists(st.sampled_from(["n", "", "x" * 600]), max_size=2)):
            getattr(message, field.name)[name] = draw(_value(field.message_type.fields[1]))
    elif field.is_repeated:
        for _ in range(draw(st.integers(0, MAX_REPEATED))):
            target = getattr(message, field.name)
            if field.message_type:
                target.append(draw(messages(field.message_type, depth + 1)))
            else:
                target.append(draw(_value(field)))
    elif field.message_type:
        inner = draw(messages(field.message_type, depth + 1))
        getattr(message, field.name).SetInParent()
        getattr(message, field.name).CopyFrom(inner)
    else:
        setattr(message, field.name, draw(_value(field)))


def _value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.name in _DOCUMENT_FIELDS:
        return st.sampled_from(DOCUMENTS) | st.just('{"n":1}')
    if field.name in _LIKELY and field.type == FieldDescriptor.TYPE_STRING:
        right = st.sampled_from(_LIKELY[field.name])
        return right | right | right | _SCALARS[field.type]
    return _SCALARS[field.type]
