"""The command behind `make run`: takes the directory, starts the daemons, lets the agents work,
and in the end says whether all is equal everywhere.

Ending goes from the outside in: agents leave (and say so), what they wrote arrives everywhere, then
the edges stop, then the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import click
from rich.console import Console

from holdfast.client import AsyncClient
from holdfast.demo.agents import POLICIES, Agent, cast, prepare
from holdfast.demo.children import EDGES, House, house, kill
from holdfast.demo.state import Doors, Look
from holdfast.demo.view import Lines, Quiet, Screen, View, commands_to_try
from holdfast.host import loops
from holdfast.host.commands import ExitCode, epilog, output_option
from holdfast.host.datadir import DataDirectory, DirectoryInUse
from holdfast.host.output import Output
from holdfast.host.serving import on_signals

LOOK_SECONDS = 0.5
SETTLE_SECONDS = 30.0
"""Until everything that was written is everywhere: a second, unless something is wrong."""

WATCHER = ("demo", "system")


@click.command(
    epilog=epilog(
        "make run",
        'make run ARGS="--seconds 20 --json"',
        'make run ARGS="--data .run2"',
    )
)
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End by itself after so long.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=".run", show_default=True,
    help="Where the data is kept, for the next time too.",
)  # fmt: skip
@output_option
def cli(seconds: float | None, data: Path, output: Output) -> int:
    """Run a hub and two edges on this machine, with a robot, a person and an AI agent that work on
    the same things. Ends with Ctrl-C, or after --seconds, and then says whether all replicas are
    equal; the exit code is 0 only if they are and nothing is pending.

    With --json the last line on standard output is one JSON object: converged, edges, revision,
    changes, pending, conflicts, digests.
    """
    data = data.absolute()
    with _taken(data):
        # From here on paths are relative to where the data lies: a socket's may have 107 bytes.
        os.chdir(data.parent)
        return loops.run(_run(Path(data.name), seconds, output))


@contextlib.contextmanager
def _taken(data: Path) -> Iterator[None]:
    try:
        directory = DataDirectory.acquire(data)
    except DirectoryInUse as error:
        raise DirectoryInUse(
            f"another `make run` works here: {error.message}",
            f'{error.remedy}: make run ARGS="--data .run2"',
        ) from None
    with directory:
        yield


async def _run(data: Path, seconds: float | None, output: Output) -> int:
    stop = asyncio.Event()
    async with house(data) as found:
        on_signals(lambda _: stop.set(), lambda: _at_once(found))
        last, changes = await found.watched(_story(found, stop, seconds, output))
    return _tell(last, changes, output)


async def _story(
    found: House, stop: asyncio.Event, seconds: float | None, output: Output
) -> tuple[Look, int]:
    """All that happens while the daemons run: the last look at them, and the changes made."""
    async with _doors(found) as doors:
        first = (await doors.look()).hub["revision"]
        await doors.set_policies(POLICIES)
        await prepare(doors.hub)
        await doors.settled(SETTLE_SECONDS)
        if not output.as_json:
            _welcome(found, output)
        await _work(doors, stop, seconds, _view(output))
        last = await doors.settled(SETTLE_SECONDS)
    return last, last.hub["revision"] - first


def _at_once(found: House) -> None:
    kill(found.children)
    os._exit(ExitCode.INTERRUPTED)


@contextlib.asynccontextmanager
async def _doors(found: House) -> AsyncIterator[Doors]:
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(AsyncClient(found.hub, WATCHER))
        edges = {
            name: await stack.enter_async_context(
                AsyncClient(f"unix:{found.socket(name)}", WATCHER)
            )
            for name in EDGES
        }
        yield Doors(hub, edges)


async def _work(doors: Doors, stop: asyncio.Event, seconds: float | None, view: View) -> None:
    """Lets the agents work until it is time to end."""
    agents = [asyncio.create_task(_live(agent, doors, stop)) for agent in cast()]
    looks = asyncio.create_task(_show(doors, view, stop))
    clock = asyncio.create_task(_wait(stop, seconds))
    tasks = (clock, looks, *agents)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(*agents, looks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _live(agent: Agent, doors: Doors, stop: asyncio.Event) -> None:
    """An agent has a session of its own at its edge."""
    async with AsyncClient(doors.edges[agent.edge].address, (agent.id, agent.kind)) as client:
        await agent.live(client, stop)


async def _wait(stop: asyncio.Event, seconds: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _show(doors: Doors, view: View, stop: asyncio.Event) -> None:
    now_s = asyncio.get_running_loop().time
    with view:
        while not stop.is_set():
            view.show(await doors.look(), now_s())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
        view.show(await doors.look(), now_s())


def _view(output: Output) -> View:
    if output.as_json:
        return Quiet()
    return Screen(Console(file=sys.stdout)) if output.is_terminal else Lines()


def _welcome(found: House, output: Output) -> None:
    output.say(f"A hub and two edges run in {Path.cwd()}; their data is in {found.directory}/.")
    output.say("In another terminal, in that folder, try:")
    for command in commands_to_try(found):
        output.say(f"  {command}")
    output.say("")


def _tell(last: Look, changes: int, output: Output) -> int:
    verdict = last.verdict(changes)
    edges = ", ".join(f"{name} at {one['revision']}" for name, one in verdict["edges"].items())
    state = "converged" if verdict["converged"] else "NOT converged"
    output.event(
        verdict,
        f"{state}: hub at {verdict['revision']}, {edges}; {changes} changes,"
        f" {verdict['pending']} pending, {verdict['conflicts']} conflicts",
    )
    return ExitCode.OK if verdict["converged"] else ExitCode.REFUSED
