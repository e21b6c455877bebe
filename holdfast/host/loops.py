"""Starting a program's one event loop: uvloop where there is one, asyncio's own elsewhere.

uvloop serves about twice as many calls a second, and has no build for 32-bit ARM, where small edges
live. It is chosen by `loop_factory`: setting a policy is deprecated. Invariant: one loop per
process; gRPC fails with several.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

YOUNG_OBJECTS = 50_000
"""Objects made before the collector looks at them. A batch makes tens of thousands at once, all
free of cycles; at the default of 700 a seventh of a busy daemon's time goes into looking."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs the program's coroutine to its end and returns what it does. Ctrl-C cancels it first, as
    in `asyncio.run`."""
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop; None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
