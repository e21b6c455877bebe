"""Watchers at several doors, each told of everything that happens, for as long as the run lasts."""

from __future__ import annotations

import asyncio

from holdfast import AsyncClient, Bookmark, CommitEvent
from holdfast.errors import HoldfastError
from tests.blackbox.history import NOWHERE, Place, Told
from tests.cluster.plan import SPACE
from tests.cluster.recorder import Recorder, now_s, path_of


class Witness:
    """One watcher, which the client brings back to its place after every interruption."""

    def __init__(
        self, door: str, client: AsyncClient, recorder: Recorder, *, pending: bool = False
    ) -> None:
        self._door, self._client, self._recorder = door, client, recorder
        self._pending = pending
        self._lives = 0
        self.reached: Place = NOWHERE

    async def live(self) -> None:
        """Until it is cancelled. Where a watch cannot go on it begins anew, as another one."""
        while True:
            self._lives += 1
            try:
                await self._watch()
            except HoldfastError as error:
                self._recorder.mark(f"watch ended: {error.reason}", self._door)
                await asyncio.sleep(0.5)

    async def _watch(self) -> None:
        began = False
        watch = self._client.watch(SPACE, bookmarks=True, include_pending=self._pending)
        async for event in watch:
            if isinstance(event, Bookmark):
                place = (event.position.epoch, event.position.revision)
                self._tell("bookmark" if began else "began", place)
                began, self.reached = True, max(self.reached, place)
            else:
                self._take(event)

    def _take(self, event: CommitEvent) -> None:
        position = event.outcome.position
        if position is None:
            self._tell("pending", NOWHERE, event)
            return
        place = (position.epoch, position.revision)
        self._tell("commit", place, event)
        self.reached = max(self.reached, place)

    def _tell(self, what: str, place: Place, event: CommitEvent | None = None) -> None:
        op_id = None if event is None else event.outcome.op_id
        changes = () if event is None else event.changes
        self._recorder.history.add(
            Told(
                watch=f"{self._door}{'+' if self._pending else ''}.{self._lives}", door=self._door,
                space=SPACE, at_s=now_s(), what=what, place=place,
                origin="" if op_id is None else op_id.origin.hex(),
                seq=0 if op_id is None else op_id.seq,
                changes={
                    path_of(change.record.path): None
                    if change.record.deleted
                    else change.record.value
                    for change in changes
                },
                replaced={
                    path_of(change.record.path): change.previous_revision for change in changes
                },
            )
        )  # fmt: skip
