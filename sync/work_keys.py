"""Keys of the records that are the state of work: workflows and their executions.

Ids are the users' own text; in a key, `/`, `%` and `@` in them are written as in a URL, so that a
key can be taken apart again and the first part names the record that governs the rest (see
sync.authority).

Invariant: `id_and_incarnation(workflow_key(id, n)) == (id, n)`, and different ids have different
keys.
"""

from __future__ import annotations

from sync.names import InvalidName, check_key

MAX_ID_BYTES = 160
"""Of an id as it stands in a key: three of them, and the numbers between, fit into one."""

MAX_INCARNATIONS = 100_000
"""Of one id: one begins when the one before has ended, so this is one every minute for months."""

_ESCAPES = (("%", "%25"), ("/", "%2F"), ("@", "%40"))


class InvalidKey(InvalidName):
    """An id or key of work that is none."""


def quoted(text: str) -> str:
    """An id as a part of a key. Raises InvalidName."""
    check_key(text)
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    if len(text.encode()) > MAX_ID_BYTES:
        raise InvalidKey(f"an id has at most {MAX_ID_BYTES} bytes: {text[:80]!r}...")
    return text


def unquoted(part: str) -> str:
    """The id that a part of a key stands for."""
    for plain, escaped in reversed(_ESCAPES):
        part = part.replace(escaped, plain)
    return part


def workflow_key(workflow_id: str, incarnation: int) -> str:
    """The key of a workflow's record: `ID@INCARNATION`."""
    return f"{quoted(workflow_id)}@{incarnation}"


def id_and_incarnation(key: str) -> tuple[str, int]:
    """What a workflow's key says. Raises InvalidKey."""
    part, at, number = key.rpartition("@")
    known = at and part and number.isascii() and number.isdecimal() and len(number) <= 6
    if not known or not 1 <= int(number) <= MAX_INCARNATIONS:
        raise InvalidKey(f"a workflow's key is ID@INCARNATION, not {key[:80]!r}")
    return unquoted(part), int(number)


def execution_key(workflow: str, step: str, attempt: int) -> str:
    """The key of the record of one attempt at a step."""
    return f"{workflow}/{quoted(step)}/{attempt}"


def definition_key(name: str, version: str) -> str:
    """The key of a definition: `NAME@VERSION`."""
    return f"{quoted(name)}@{quoted(version)}"


def child_key(parent: str, child: str) -> str:
    """The key of the record by which a workflow knows of a child, both by their keys."""
    return f"{parent}/{child}"


def asked_key(child: str, parent: str, at_ms: int) -> str:
    """The key of what is asked of a workflow because its parent was told something then."""
    return f"{child}/{parent}/{at_ms}"
