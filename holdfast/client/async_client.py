"""The client for asyncio. `Client` is the same for blocking code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, Unpack

from google.protobuf.message import Message

from holdfast.client import address as addresses
from holdfast.client import security, values
from holdfast.client.async_checkpoints import AsyncCheckpoints
from holdfast.client.async_transport import AsyncTransport, AsyncWatch
from holdfast.client.async_workflows import AsyncWorkflows
from holdfast.client.call import Call, method
from holdfast.client.checkpoints import Checkpoints
from holdfast.client.commits import History, Op, OpId, Outcome, Receipt, Run
from holdfast.client.conflicts import (
    AnswerOptions,
    Conflict,
    ConflictListing,
    Conflicts,
    ConflictState,
)
from holdfast.client.limits import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, WAIT_TIMEOUT_S
from holdfast.client.options import CommitOptions, LevelOptions, ReadOptions, WriteOptions
from holdfast.client.policies import Policies, Policy
from holdfast.client.reads import Listing, Reads
from holdfast.client.records import Actor, JsonObject, Position, Record
from holdfast.client.session import Session
from holdfast.client.watching import Watched, WatchState
from holdfast.client.workflows import Workflows
from holdfast.client.writes import Edit, Writes, actor_of
from holdfast.tls.credentials import TlsFiles


@dataclass(frozen=True, slots=True)
class AsyncReceipt(Receipt):
    """A commit that is durable at the door that answered."""

    _client: AsyncClient = field(repr=False, compare=False)

    async def outcome(self, timeout_s: float = WAIT_TIMEOUT_S) -> Outcome:
        """What the hub decided; waits for it. Raises DeadlineExceeded, Unavailable."""
        if self.known.decided:
            return self.known
        return (await self._client.wait([self.op_id], timeout_s=timeout_s))[0]


class AsyncClient:
    """State that agents share, behind one door: an edge's socket, or a hub.

        async with AsyncClient(actor=("arm-3", "robot")) as client:
            await client.put("default/parts/7", {"state": "gripped"})
            part = await client.get("default/parts/7")

    `address` is `unix:PATH` or `host:port`; without one it is HOLDFAST_SOCKET, HOLDFAST_ADDRESS, or
    the first of .run/*/agent.sock here. `actor` is who writes: (id, kind), the kind one of
    robot, human, ai, system. Paths are space/collection/key. `tls` are the files for a hub that is
    spoken to by TLS; without it, those that HOLDFAST_TLS_CERT, _KEY and _CA name, if they do.

    A client is a session: every answer is at least as new as what it has seen before, per space,
    also at another door if its `token` is handed on. Nothing is promised across sessions; see
    `session`.

    Every method raises a subclass of `holdfast.errors.HoldfastError`. Requests are sent again by
    themselves a few times while a door restarts; commits too, safely, since each has an id.
    """

    def __init__(
        self,
        address: str | None = None,
        actor: Actor | tuple[str, str] | None = None,
        *,
        tokens: Mapping[str, bytes] | str | None = None,
        tls: TlsFiles | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        transport: AsyncTransport | None = None,
        **levels: Unpack[LevelOptions],
    ) -> None:
        if transport is None:
            tls = security.find(tls, address)
            target = addresses.find(address, secure=tls is not None)
            secured = security.of_target(target, tls)
            transport = AsyncTransport(target, connect_timeout_s, secured)
        self._transport = transport
        self._actor = None if actor is None else actor_of(actor)
        self._session = Session(tokens)
        self._writes = Writes(self._actor, self._session)
        self._reads = Reads(self._session, levels)
        self._conflicts = Conflicts(self._writes)
        self._policies = Policies(self._actor)
        self.workflows = AsyncWorkflows(transport, Workflows(self._writes, self._session))
        self.checkpoints = AsyncCheckpoints(transport, Checkpoints(self._writes, self._session))

    def session(
        self,
        actor: Actor | tuple[str, str] | None = None,
        tokens: Mapping[str, bytes] | str | None = None,
        **levels: Unpack[LevelOptions],
    ) -> Self:
        """Another session over the same connection; closing either closes that.

        `tokens`, or `token` of another session, make it go on from what that one has seen. The
        rest is what its reads promise where they do not say otherwise: `level`, or `max_staleness`
        (seconds) and `max_behind` for level bounded.
        """
        actor = self._actor if actor is None else actor
        return type(self)(actor=actor, tokens=tokens, transport=self._transport, **levels)

    @property
    def tokens(self) -> dict[str, bytes]:
        """What this session has seen, per space: hand it to a session at another door."""
        return self._session.tokens

    @property
    def token(self) -> str:
        """The same as one text, to be stored or sent; a session begun with it goes on from here."""
        return self._session.token_text

    @property
    def address(self) -> str:
        """The door: `unix:PATH` or `host:port`."""
        return self._transport.target

    async def close(self) -> None:
        """Ends all calls and the connection."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- writing -------------------------------------------------------------------------------

    async def put(
        self, path: str, value: JsonObject | str, **options: Unpack[WriteOptions]
    ) -> AsyncReceipt:
        """Writes the whole record.

        With `based_on=record` only what differs from that record is written, so that it does not
        undo what others wrote since; if the door no longer knows that state, the client makes a
        patch of the difference and sends that. (On counters use `add`: a difference that a patch
        carries is a value, not an addition.) Raises RevisionMismatch if a condition is false.
        """
        return self._receipt(await self._transport.run(self._writes.put(path, value, options)))

    async def patch(
        self,
        path: str,
        set: JsonObject | str | None = None,  # noqa: A002 - the word of the interface
        remove: Iterable[str] = (),
        **options: Unpack[WriteOptions],
    ) -> AsyncReceipt:
        """Writes some fields, removes others, leaves the rest. Creates the record if absent."""
        steps = self._writes.patch(path, set or {}, remove, options)
        return self._receipt(await self._transport.run(steps))

    async def delete(self, path: str, **options: Unpack[WriteOptions]) -> AsyncReceipt:
        """Deletes the record; its history keeps the last value."""
        return self._receipt(await self._transport.run(self._writes.delete(path, options)))

    async def add(
        self, path: str, deltas: Mapping[str, int], **options: Unpack[WriteOptions]
    ) -> AsyncReceipt:
        """Adds integers to counters: fields that the policy declares as such."""
        return self._receipt(await self._transport.run(self._writes.add(path, deltas, options)))

    async def set_add(
        self, path: str, field: str, elements: Iterable[Any], **options: Unpack[WriteOptions]
    ) -> AsyncReceipt:
        """Adds elements, each any JSON value, to a set: a field that the policy declares as such.

        An addition wins over a removal that had not seen it.
        """
        return self._receipt(
            await self._transport.run(self._writes.set_add(path, field, elements, options))
        )

    async def set_remove(
        self, path: str, field: str, elements: Iterable[Any], **options: Unpack[WriteOptions]
    ) -> AsyncReceipt:
        """Removes elements from a set, as far as they were seen here."""
        return self._receipt(
            await self._transport.run(self._writes.set_remove(path, field, elements, options))
        )

    async def splice(
        self,
        path: str,
        field: str,
        runs: Iterable[Run] | None = None,
        *,
        at: int = 0,
        delete: int = 0,
        insert: str | Sequence[Any] = "",
        **options: Unpack[WriteOptions],
    ) -> AsyncReceipt:
        """Edits a text or list, a field with the rule `text` or `list`: at one place, deleting so
        many code points (or elements) and inserting a str (or other elements), or by `runs`, as
        in `Splice`. Without a context, places are those of the present state. Concurrent edits
        are all kept. Raises RevisionMismatch if the record has changed since it was read.
        """
        edit = Edit(at, delete, insert)
        steps = self._writes.splice(path, field, runs, edit, options)
        return self._receipt(await self._transport.run(steps))

    async def commit(self, ops: Iterable[Op], **options: Unpack[CommitOptions]) -> AsyncReceipt:
        """Several operations on records of one space, all or none."""
        return self._receipt(await self._transport.run(self._writes.commit(ops, options)))

    # -- reading -------------------------------------------------------------------------------

    async def get(
        self, path: str, *, as_of: int = 0, **options: Unpack[ReadOptions]
    ) -> Record | None:
        """The record, or None if there is none. `as_of` is a revision, at the hub only."""
        return await self._transport.run(self._reads.get(path, as_of, options))

    async def batch_get(
        self, paths: Iterable[str], **options: Unpack[ReadOptions]
    ) -> dict[str, Record]:
        """Up to 1,000 records of one space at one position, by path; absent ones are left out."""
        return await self._transport.run(self._reads.batch_get(paths, options))

    async def list(
        self,
        path: str,
        *,
        filter: str = "",  # noqa: A002 - the word of the interface
        page_size: int = 0,
        descending: bool = False,
        **options: Unpack[ReadOptions],
    ) -> AsyncIterator[Record]:
        """The records under space/collection[/prefix] in the order of their keys, page by page;
        `descending`: from the greatest down.

        `filter` is a CEL expression over `value` and `key`. Each page is of one position; the next
        page may be of a later one.
        """
        listing, token = Listing(path, filter, page_size, options, descending), ""
        while True:
            page = await self._transport.run(self._reads.page(listing, token))
            for record in page.records:
                yield record
            token = page.next_token
            if not token:
                return

    async def history(
        self, path: str, *, limit: int = 100, timeout_s: float = READ_TIMEOUT_S
    ) -> History:
        """The newest `limit` commits that made the record what it is: who, when, why, what."""
        return await self._transport.run(self._reads.history(path, limit, timeout_s))

    def watch(
        self,
        path: str,
        *,
        filter: str = "",  # noqa: A002 - the word of the interface
        include_pending: bool = False,
        bookmarks: bool = False,
        resume: bytes = b"",
    ) -> AsyncWatch:
        """Commits under space[/collection[/prefix]] as they happen, each whole, in order.

        `resume` is a token of an earlier event; without it the watch begins now. `include_pending`
        tells also of this edge's writes that the hub has not decided yet, later followed by their
        outcome. `bookmarks` tells of progress when nothing happens.
        """
        state = WatchState(Watched(path, filter, include_pending), resume)
        return AsyncWatch(self._transport, state, bookmarks=bookmarks)

    # -- conflicts -----------------------------------------------------------------------------

    async def conflicts(
        self,
        space: str = "default",
        *,
        states: Iterable[ConflictState | str] = (ConflictState.OPEN,),
        collection: str = "",
        key_prefix: str = "",
        kinds: Iterable[str] = (),
        page_size: int = 0,
    ) -> AsyncIterator[Conflict]:
        """Conflicts of a space, newest first: those that wait for a person, or those in other
        states (none: all). An edge knows of those that wait and of their answers, the hub of all.
        """
        asked = ConflictListing(
            space, tuple(states), collection, key_prefix, tuple(kinds), page_size
        )
        token = ""
        while True:
            page = await self._transport.run(self._conflicts.page(asked, token))
            for found in page.conflicts:
                yield found
            token = page.next_token
            if not token:
                return

    async def conflict(self, space: str, id: bytes) -> Conflict:  # noqa: A002 - the interface's word
        """One conflict, with the record as it is now. Raises NotFound."""
        return await self._transport.run(self._conflicts.get(space, id))

    async def resolve(
        self,
        conflict: Conflict,
        choice: Literal["ours", "theirs", "merged", "value"],
        value: Any = None,
        *,
        json: str = "",
        **options: Unpack[AnswerOptions],
    ) -> AsyncReceipt:
        """Says what shall stand of a conflict: what the hub had, what came, or another `value` (of
        the field, or an object for the record; None removes it). `json` is that value as text.

        It is a commit, on the condition that the record is as the conflict left it, or as it was
        `seen`; else it raises RevisionMismatch. At an edge it is durable when this returns, without
        a network too, and the hub checks the condition again.
        """
        if choice == "value" and value is not None:
            json = values.encode_field(value)
        steps = self._conflicts.resolve(conflict, choice, json, options)
        return self._receipt(await self._transport.run(steps))

    async def undo(self, conflict: Conflict, **options: Unpack[AnswerOptions]) -> AsyncReceipt:
        """Puts back what lost; or, of what a person did, what stood before. An undo can be undone.
        Conditions and errors as of `resolve`."""
        steps = self._conflicts.undo(conflict, options)
        return self._receipt(await self._transport.run(steps))

    # -- policies, at the hub ------------------------------------------------------------------

    async def policy(self, place: str) -> Policy:
        """The policy in force of `space/collection`, or of `space` itself."""
        return await self._transport.run(self._policies.get(place))

    async def set_policy(
        self,
        place: str,
        policy: JsonObject | str,
        *,
        if_revision: int = 0,
        check_only: bool = False,
    ) -> Policy:
        """Sets the whole policy of a place, by a commit; or only checks it. With `if_revision` only
        if the one in force is of that revision. Raises InvalidArgument, which names what is wrong
        and where, and RevisionMismatch. Older ones are in `history("space/_policies/collection")`.
        """
        steps = self._policies.set(place, policy, if_revision, check_only)
        return await self._transport.run(steps)

    # -- outcomes and waiting ------------------------------------------------------------------

    async def outcomes(
        self, op_ids: Iterable[OpId], *, timeout_s: float = READ_TIMEOUT_S
    ) -> tuple[Outcome, ...]:
        """What is known of these commits of one space at this moment, in the order asked for."""
        return await self._transport.run(self._reads.outcomes(op_ids, timeout_s))

    async def wait(
        self, until: Position | Iterable[OpId], *, timeout_s: float = WAIT_TIMEOUT_S
    ) -> tuple[Outcome, ...]:
        """Waits until this door has reached a position, or until these commits are decided and in
        its state; then their outcomes. Raises DeadlineExceeded."""
        return await self._transport.run(self._reads.wait(until, timeout_s))

    async def synced(self, *spaces: str, timeout_s: float = WAIT_TIMEOUT_S) -> None:
        """Waits until nothing of this door is pending and it is where the hub is, in these spaces
        (without any: in those of this session). Raises DeadlineExceeded."""
        await self._transport.run(self._reads.synced(spaces, timeout_s))

    async def request(
        self, name: str, message: Message, *, timeout_s: float = READ_TIMEOUT_S
    ) -> Message:
        """The answer of any unary method of the interface, by its name: "EdgeService.Pause".

        For what has no method of its own here; errors, deadline and attempts as everywhere. It is
        sent again only if nothing of it can have arrived.
        """
        call = Call(method(name), message, timeout_s, repeatable=False)
        answer: Message = await self._transport.call(call)
        return answer

    def _receipt(self, plain: Receipt) -> AsyncReceipt:
        return AsyncReceipt(plain.op_id, plain.known, plain.answer, plain.applied_locally, self)
