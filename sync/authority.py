"""Who may advance a thing that only one node at a time may advance, and how a late one is noticed.

Workflows and threads of checkpoints are advanced by one node: the hub, or one edge, which may be
without a network for days. Their records say which, with a token that grows whenever another takes
over (a fencing token: Kleppmann, "How to do distributed locking", 2016). A commit names the token
that it was written under, and both the door and the hub look whether it still is the one: what an
edge did after another had taken over is refused whole, and waits in the inbox with its payload.

An edge is named by the origin of its database, not by its certificate: two copies of one card have
one name, and only one of them goes on under the old origin. All processes of a hub are one node.

Invariant: of two commits under different tokens, at most one is decided on the same state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from sync import values
from sync.apply import names_of
from sync.commit import Kind, Precondition
from sync.position import ID_BYTES

MEMBER = "authority"
"""The member of a record that says who may advance it."""

HUB = "hub"
"""The name of the hub, whichever of its processes commits."""

NOBODY = ""
"""The holder of what has been released."""

MAX_TOKEN = (1 << 53) - 1
"""What every JSON reader keeps exactly."""

DEFINITIONS, WORKFLOWS, EXECUTIONS, CHILDREN, REQUESTS = (
    "_definitions", "_workflows", "_executions", "_children", "_requests",
)  # fmt: skip
THREADS, CHECKPOINTS, WRITES = "_threads", "_checkpoints", "_writes"

GOVERNING = frozenset({WORKFLOWS, THREADS})
"""Collections whose records say who may advance them, and what belongs to them."""

ANYBODYS = frozenset({DEFINITIONS, CHILDREN, REQUESTS})
"""Collections to which every node may add, but not change what is there."""

WORK = GOVERNING | ANYBODYS | {EXECUTIONS, CHECKPOINTS, WRITES}
"""The state of work: written through its services alone."""

_GOVERNED = {
    EXECUTIONS: (WORKFLOWS,),
    CHILDREN: (WORKFLOWS,),
    REQUESTS: (WORKFLOWS,),
    CHECKPOINTS: (THREADS, WORKFLOWS),
    WRITES: (THREADS, WORKFLOWS),
    THREADS: (THREADS, WORKFLOWS),
    WORKFLOWS: (WORKFLOWS,),
}
"""By whose record each collection is governed. The thread of a workflow has the workflow's key."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Who may advance a thing, and under which token."""

    holder: str
    token: int

    def encode(self) -> bytes:
        """The member's value, canonical."""
        return b'{"holder":"%b","token":%d}' % (self.holder.encode(), self.token)


def node_of(origin: bytes) -> str:
    """The name of an edge, by the origin of its database."""
    return origin.hex()


def is_holder(name: str) -> bool:
    """Whether somebody can be called so."""
    if name in (HUB, NOBODY):
        return True
    edge = len(name) == 2 * ID_BYTES and name == name.lower()
    return edge and all(c in "0123456789abcdef" for c in name)


def authority_of(value: bytes | None) -> Authority | None:
    """What a record says of who may advance it; None if it says nothing that can be understood."""
    if value is None:
        return None
    said = orjson.loads(values.fields(value).get(MEMBER, b"null"))
    if not isinstance(said, dict) or said.keys() != {"holder", "token"}:
        return None
    holder, token = said["holder"], said["token"]
    known = isinstance(holder, str) and is_holder(holder)
    if not known or type(token) is not int or not 0 < token <= MAX_TOKEN:
        return None
    return Authority(holder, token)


def holds(value: bytes | None, token: int, node: str) -> bool:
    """Whether a node may advance a thing, whose live record this is, under a token."""
    return authority_of(value) == Authority(node, token)


def stale(wanted: Precondition, node: str, value: bytes | None) -> tuple[str, dict[str, str]]:
    """What is told, with metadata, to a node whose precondition is not true of a live record."""
    name = f"{wanted.collection}/{wanted.key}"
    found = authority_of(value)
    metadata = {"collection": wanted.collection, "key": wanted.key, "node": node}
    if found is None:
        return f"{name} does not exist, or has no authority", metadata
    metadata |= {"holder": found.holder, "token": str(found.token)}
    if found.holder == node:
        return f"{name} has the token {found.token}, not {wanted.authority}", metadata
    who = f"held by {found.holder}" if found.holder else "held by nobody"
    return f"{name} is {who}, and not by {node}", metadata


def key_of(key: str) -> str:
    """The first part of a key: that of the governing record."""
    return key.partition("/")[0]


def may_write(
    collection: str, key: str, kind: Kind, payload: bytes, node: str,
    preconditions: Iterable[Precondition], *, strong: bool,
) -> bool:  # fmt: skip
    """Whether a commit of `node` may do this to a record of the state of work.

    It has to show why: by the authority that it has over what the record belongs to, by beginning
    that, or, strong, by taking it from another. Whether what it shows is true is looked at when it
    is decided. An authority can be given to oneself or to nobody.
    """
    if collection in GOVERNING and not _gives_lawfully(kind, payload, node):
        return False
    if collection in ANYBODYS and any(_absent(p, collection, key) for p in preconditions):
        return True
    governors = {(name, key_of(key)) for name in _GOVERNED.get(collection, ())}
    for wanted in preconditions:
        if (wanted.collection, wanted.key) not in governors:
            continue
        if wanted.authority is not None or wanted.exists is False:
            return True
        if strong and wanted.version is not None:
            return True
    return False


def _absent(wanted: Precondition, collection: str, key: str) -> bool:
    return (wanted.collection, wanted.key, wanted.exists) == (collection, key, False)


def _gives_lawfully(kind: Kind, payload: bytes, node: str) -> bool:
    if kind == Kind.REMOVE:
        return MEMBER not in names_of(payload)
    if not payload or MEMBER not in values.fields(payload):
        return True
    given = authority_of(payload)
    return given is not None and given.holder in (node, NOBODY)
