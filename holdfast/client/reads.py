"""Reading and waiting: from what the caller says to requests, and from answers to records.

Every method returns steps (see `call`), so that both clients share all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.message import Message

from holdfast.client import values, wire
from holdfast.client.call import Call, Steps, method
from holdfast.client.commits import History, HistoryEntry, OpId, Outcome
from holdfast.client.limits import READ_TIMEOUT_S
from holdfast.client.options import LevelOptions, ReadOptions
from holdfast.client.paths import listing_path, one_space, record_path
from holdfast.client.records import Context, Level, Position, Record
from holdfast.client.session import Session
from holdfast.errors import InvalidArgument, NotFound
from holdfast.v1 import record_pb2 as pb
from holdfast.v1 import state_service_pb2 as state

_LEVEL_NAMES = frozenset(LevelOptions.__annotations__)

HISTORY_PAGE = 1_000
"""Entries asked for at once; the most that a page may have."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of a listing, and the token of the next page (empty: this was the last)."""

    records: tuple[Record, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What is listed, the same for every page."""

    path: str
    filter: str
    page_size: int
    options: ReadOptions
    descending: bool = False


class Reads:
    """Reads and waits within `session`."""

    def __init__(self, session: Session, defaults: LevelOptions | None = None) -> None:
        self._session = session
        self._defaults: LevelOptions = defaults or {}

    def get(self, path: str, as_of: int, options: ReadOptions) -> Steps[Record | None]:
        """See `AsyncClient.get`."""
        space, collection, key = record_path(values.encodable(path))
        level, bound = _level_to(self._level(options))
        request = state.GetRequest(
            space=space,
            collection=collection,
            key=key,
            level=level,
            bound=bound,
            session_token=self._session.token(space),
            as_of_revision=as_of,
        )
        try:
            response: state.GetResponse = yield _read("Get", request, options)
        except NotFound as error:
            if error.reason != "RECORD_NOT_FOUND":
                raise
            self._learn_absence(space, error)
            return None
        self._learn(space, response.answer)
        return wire.records_from(space, [response.record], response.answer)[0]

    def batch_get(self, paths: Iterable[str], options: ReadOptions) -> Steps[dict[str, Record]]:
        """See `AsyncClient.batch_get`."""
        wanted = [values.encodable(path) for path in paths]
        space = one_space(wanted)
        names = [record_path(path) for path in wanted]
        level, bound = _level_to(self._level(options))
        request = state.BatchGetRequest(
            space=space,
            names=[state.RecordName(collection=name.collection, key=name.key) for name in names],
            level=level,
            bound=bound,
            session_token=self._session.token(space),
        )
        response: state.BatchGetResponse = yield _read("BatchGet", request, options)
        self._learn(space, response.answer)
        found = wire.records_from(space, response.records, response.answer)
        return {record.path: record for record in found}

    def page(self, listing: Listing, token: str) -> Steps[Page]:
        """One page of a listing. It may be empty and still have a next one."""
        space, collection, prefix = listing_path(values.encodable(listing.path))
        level, bound = _level_to(self._level(listing.options))
        request = state.ListRequest(
            space=space,
            collection=collection,
            key_prefix=prefix,
            filter=values.encodable(listing.filter),
            page_size=listing.page_size,
            page_token=token,
            level=level,
            bound=bound,
            session_token=self._session.token(space),
            descending=listing.descending,
        )
        response: state.ListResponse = yield _read("List", request, listing.options)
        self._learn(space, response.answer)
        found = wire.records_from(space, response.records, response.answer)
        return Page(found, response.next_page_token)

    def history(self, path: str, limit: int, timeout_s: float) -> Steps[History]:
        """See `AsyncClient.history`."""
        space, collection, key = record_path(values.encodable(path))
        entries: list[HistoryEntry] = []
        token, complete = "", True
        while len(entries) < limit:
            size = min(limit - len(entries), HISTORY_PAGE)
            request = state.HistoryRequest(
                space=space, collection=collection, key=key, page_size=size, page_token=token
            )
            page: state.HistoryResponse = yield _read("History", request, {"timeout_s": timeout_s})
            entries += (wire.history_from(space, entry) for entry in page.entries)
            token, complete = page.next_page_token, page.complete
            if not token:
                break
        return History(tuple(entries), complete and not token)

    def outcomes(self, op_ids: Iterable[OpId], timeout_s: float) -> Steps[tuple[Outcome, ...]]:
        """See `AsyncClient.outcomes`."""
        asked = list(op_ids)
        request = state.GetOutcomeRequest(space=_space_of(asked), op_ids=map(wire.op_id_to, asked))
        response: state.GetOutcomeResponse = yield _read(
            "GetOutcome", request, {"timeout_s": timeout_s}
        )
        return tuple(map(wire.outcome_from, response.outcomes))

    def wait(
        self, until: Position | Iterable[OpId], timeout_s: float
    ) -> Steps[tuple[Outcome, ...]]:
        """See `AsyncClient.wait`."""
        if isinstance(until, Position):
            request = state.WaitRequest(space=until.space, position=wire.position_to(until))
        else:
            asked = list(until)
            ops = state.WaitOps(op_ids=map(wire.op_id_to, asked))
            request = state.WaitRequest(space=_space_of(asked), ops=ops)
        return (yield from self._wait(request, timeout_s))

    def synced(self, spaces: Iterable[str], timeout_s: float) -> Steps[None]:
        """See `AsyncClient.synced`."""
        for space in tuple(spaces) or self._session.spaces or ("default",):
            yield from self._wait(state.WaitRequest(space=space, synced=True), timeout_s)

    def _wait(self, request: state.WaitRequest, timeout_s: float) -> Steps[tuple[Outcome, ...]]:
        response: state.WaitResponse = yield _read("Wait", request, {"timeout_s": timeout_s})
        self._learn(request.space, response.answer, carried=False)
        return tuple(map(wire.outcome_from, response.outcomes))

    def _level(self, options: ReadOptions) -> ReadOptions:
        """What a read says of its level, or else what the session says."""
        return options if _LEVEL_NAMES & options.keys() else {**options, **self._defaults}

    def _learn_absence(self, space: str, error: NotFound) -> None:
        """That a record is absent is an answer, too: what was seen with it is carried on."""
        said = error.metadata
        if "session_token" in said:
            token = bytes.fromhex(said["session_token"])
            self._session.learn(space, token, Context(int(said["epoch"]), int(said["revision"])))

    def _learn(self, space: str, answer: state.Answer, *, carried: bool = True) -> None:
        context: pb.Context | None = answer.context if answer.HasField("context") else None
        seen = wire.context_from(context) if context is not None else None
        self._session.learn(space, answer.session_token, seen, carried=carried)


def _read(name: str, request: Message, options: ReadOptions) -> Call:
    timeout_s = options.get("timeout_s", READ_TIMEOUT_S)
    return Call(method(f"StateService.{name}"), request, timeout_s)


def _space_of(op_ids: list[OpId]) -> str:
    spaces = {op_id.space for op_id in op_ids}
    if len(spaces) != 1:
        raise InvalidArgument("MALFORMED_REQUEST", "name commits of exactly one space")
    return spaces.pop()


def _level_to(options: ReadOptions) -> tuple[pb.Level.ValueType, state.ReadBound | None]:
    """The level of a read, and its bound. Raises InvalidArgument."""
    staleness, behind = options.get("max_staleness"), options.get("max_behind")
    local_only = options.get("local_only", False)
    level = options.get("level")
    if staleness is None and behind is None and not local_only:
        return wire.level_to(level), None
    bound = state.ReadBound(local_only=local_only)
    if staleness is not None:
        seconds = staleness.total_seconds() if isinstance(staleness, timedelta) else staleness
        bound.max_staleness_ms = _whole("max_staleness", seconds * 1_000)
    if behind is not None:
        bound.max_behind = _whole("max_behind", behind)
    return wire.level_to(Level.BOUNDED if level is None else level), bound


def _whole(name: str, value: float) -> int:
    if not 0 <= value < 2**63:
        raise InvalidArgument("MALFORMED_REQUEST", f"{name}: a bound is not {value}")
    return int(value)
