"""Daemons as processes of their own, product and bare alike, told what to do on their stdin.

Each reads a word per line and answers with a line of JSON; so the clock stands where the work is
done, and nothing is measured through a poll. Times are nanoseconds of CLOCK_MONOTONIC, which all
processes of a machine share.

Invariant: no process outlives its block.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 110.0
"""For one word, the longest of which is a whole drain: a bench that hangs says so."""

END_SECONDS = 15.0

Answers = Mapping[str, Callable[[], Awaitable[Any]]]


class Process:
    """A daemon at the other end of a pipe."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self._process, self.ready = process, ready

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, word: str) -> Any:
        """What it answers. Raises RuntimeError if it has died."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(word.encode() + b"\n")
        await stdin.drain()
        return await _answer(self._process)


@contextlib.asynccontextmanager
async def started(module: str, *arguments: object) -> AsyncIterator[Process]:
    """`python -m tests.benchmarks.MODULE ARGUMENTS`, until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments),
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=1 << 28,
    )  # fmt: skip
    try:
        yield Process(process, await _answer(process))
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _answer(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), ANSWER_SECONDS)
    if not line:
        raise RuntimeError(f"a daemon ended with {await process.wait()}; see its errors above")
    return json.loads(line)


async def obey(answers: Answers, ready: dict[str, Any]) -> None:
    """In the daemon: answers words until stdin ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say(ready)
    while line := await reader.readline():
        word = line.decode().strip()
        _say(usage() if word == "usage" else await answers[word]())


def usage() -> dict[str, float]:
    """What this process has used so far: seconds of CPU, bytes of memory resident."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "cpu_s": used.ru_utime + used.ru_stime,
        "resident_bytes": pages * resource.getpagesize(),
    }


def now_ns() -> int:
    return time.monotonic_ns()


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
