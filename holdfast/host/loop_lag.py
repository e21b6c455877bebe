"""How late the event loop is: the time that everything in this process waits for, whatever it asks.

A timer that is set again and again goes off late by as much as others have held the loop.

Invariant: it costs one wake-up in EVERY_S.
"""

import asyncio
from collections.abc import Callable

EVERY_S = 0.5
"""Often enough to meet what lasts for a second; what is shorter shows in the number of times."""


async def watch_loop(late: Callable[[float], None]) -> None:
    """Tells by how many seconds each timer was late, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        late(max(0.0, loop.time() - due_s))
