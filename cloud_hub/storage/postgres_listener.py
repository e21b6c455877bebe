"""Hears and tells, over PostgreSQL's NOTIFY, what hub processes say to each other.

One connection for each process, straight to the server: a pooler that hands out connections by
transaction would lose what is listened for. What is to be told is sent beside the transactions,
never in them, several at once: NOTIFY takes a lock of the whole server while its transaction
commits. Nothing depends on it, so this connection does not wait for the disk.

A server that restarts forgets who listened. So after every connect the listener says that anything
may have happened meanwhile.

Invariant: nothing waits for this connection, and what is told while it is away is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

import asyncpg

CHANNEL = "cloud_hub"

TELL_AFTER_S = 0.005
"""Gathered so long: under load 200 notifications a second, whatever is decided meanwhile."""

MOST_TOLD = 1_000
"""News of one statement; what is more than that is found by polling."""

CHECK_S = 5.0
"""How often it is asked whether the connection lives: a server that vanished says nothing."""

TIMEOUT_S = 10.0
FIRST_WAIT_S, LAST_WAIT_S = 0.1, 2.0
"""Before connecting again; spread by chance, since all processes lose a server at once."""

_TELL = f"SELECT pg_notify('{CHANNEL}', news) FROM unnest($1::text[]) AS news"  # noqa: S608 - our own name

_log = logging.getLogger(__name__)


class Listener:
    """One process's ear and voice. `heard` is called with what others told; `anew` when something
    may have been missed."""

    def __init__(self, dsn: str, heard: Callable[[str], None], anew: Callable[[], None]) -> None:
        self._dsn, self._heard, self._anew = dsn, heard, anew
        self._untold: dict[str, str] = {}
        self._wake = asyncio.Event()
        self.listening = False
        """Whether it hears at this moment, as far as is known."""

    def tell(self, about: str, news: str) -> None:
        """Has the other processes told, soon; newer news about the same replace older ones."""
        if self.listening and len(self._untold) < MOST_TOLD:
            self._untold[about] = news
            self._wake.set()

    async def run(self) -> None:
        """Listens until cancelled."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn,
                    timeout=TIMEOUT_S,
                    command_timeout=TIMEOUT_S,
                    statement_cache_size=0,
                    server_settings={
                        "application_name": "cloud-hub-listener",
                        "synchronous_commit": "off",
                    },
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, polling goes on without
                _log.warning("no connection to listen on: %s", error)
            else:
                try:
                    wait_s = FIRST_WAIT_S
                    await self._listen(connection)
                except Exception as error:  # noqa: BLE001 - the same
                    _log.warning("the connection to listen on was lost: %s", error)
                finally:
                    self.listening = False
                    self._untold.clear()
                    connection.terminate()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
            wait_s = min(wait_s * 2, LAST_WAIT_S)

    async def _listen(self, connection: asyncpg.Connection) -> None:
        own = connection.get_server_pid()

        def hear(_connection: object, pid: int, _channel: str, payload: str) -> None:
            if pid != own:
                self._heard(payload)

        connection.add_termination_listener(lambda _connection: self._wake.set())
        await connection.add_listener(CHANNEL, hear)
        self.listening = True
        self._anew()
        while True:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self._wake.wait()
            await asyncio.sleep(TELL_AFTER_S)
            told, self._untold = list(self._untold.values()), {}
            await connection.execute(_TELL, told)
