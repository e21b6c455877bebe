"""Pages of workflows and of attempts at steps, in the order of their keys.

A page looks at a bounded number of records, whatever is asked for, and ends where its room does; so
one that is narrow may be short, or empty, and still have a next one. What is written meanwhile does
not move what is after it.

Invariant: whoever goes through all pages sees everything that was there all the time, once.
"""

from __future__ import annotations

from holdfast.v1 import state_service_pb2 as state
from holdfast.v1 import workflow_service_pb2 as pb
from sync import values
from sync.authority import EXECUTIONS, WORKFLOWS
from sync.codec import requests as convert
from sync.codec import workflows as codec
from sync.codec.requests import BadRequest
from sync.codec.workflows import Wanted
from sync.doors.door import Call, Door, Found
from sync.doors.workflow_reads import Look, Standing, Workflows
from sync.names import check_key, check_space
from sync.room import Room
from sync.work_keys import quoted
from sync.workflow_executions import execution_from
from sync.workflow_instances import Damaged, decode

MAX_PAGE = 1_000
DEFAULT_PAGE = 100

MAX_SCAN = 1_000
"""Workflows looked at for one page: a tenth of a second."""

SCAN_PAGE = 100
"""Fetched at once."""


class Lists:
    """Makes pages at one door."""

    def __init__(self, door: Door, workflows: Workflows) -> None:
        self._door, self._workflows = door, workflows

    async def workflows(
        self, request: pb.ListWorkflowsRequest, call: Call
    ) -> pb.ListWorkflowsResponse:
        """A page of workflows. Raises BadRequest, and what reading does."""
        wanted, size = codec.wanted_from(request), _size(request.page_size)
        query = state.ListRequest(
            space=check_space(request.space),
            collection=WORKFLOWS,
            key_prefix=quoted(request.id_prefix) if request.id_prefix else "",
            level=int(convert.level_from(request.level) or 0),  # type: ignore[arg-type]
            page_size=SCAN_PAGE,
            page_token=request.page_token,
            session_token=request.session_token,
        )
        response, room = pb.ListWorkflowsResponse(), Room()
        for _ in range(MAX_SCAN // SCAN_PAGE):
            page = await self._door.page(query, call)
            response.answer.CopyFrom(page.answer)
            for found in page.records:
                if not _take(response, wanted, found, room):
                    return response
                response.next_page_token = query.page_token = self._door.state.page_token(found.key)
                if len(response.workflows) == size:
                    return response
            response.next_page_token = query.page_token = page.next_token
            query.session_token = page.answer.session_token
            if not page.next_token:
                break
        return response

    async def executions(
        self, request: pb.ListExecutionsRequest, at: Standing, look: Look
    ) -> pb.ListExecutionsResponse:
        """A page of attempts at steps of a workflow. Raises BadRequest, and what reading does."""
        step = f"{quoted(check_key(request.step))}/" if request.step else ""
        query = state.ListRequest(
            space=request.read.space,
            collection=EXECUTIONS,
            key_prefix=f"{at.instance.key}/{step}",
            level=int(look.level or 0),  # type: ignore[arg-type]
            page_size=_size(request.page_size),
            page_token=request.page_token,
            session_token=at.token,
        )
        page = await self._door.page(query, look.call)
        return pb.ListExecutionsResponse(
            executions=[codec.execution_to(execution_from(each.value)) for each in page.records],
            next_page_token=page.next_token,
            answer=page.answer,
        )


def _take(response: pb.ListWorkflowsResponse, wanted: Wanted, found: Found, room: Room) -> bool:
    """Puts a record into the page if it is wanted; False if it does not fit."""
    try:
        instance = decode(found.value)
    except Damaged:
        response.damaged.append(found.key)
        return True
    if not wanted.matches(instance, values.fields(instance.metadata) if wanted.metadata else {}):
        return True
    if not room.takes(len(found.value)):
        return False
    hash_ = codec.hash_of(found.value)
    response.workflows.append(codec.workflow_to(instance, hash_, found.version))
    return True


def _size(asked: int) -> int:
    if asked > MAX_PAGE:
        raise BadRequest("PAGE_SIZE_INVALID", f"page_size: 1 to {MAX_PAGE}")
    return asked or DEFAULT_PAGE
