"""The commands of `edge-agent`: `run` starts the daemon; all others talk to a running one through
its socket.

The daemon's own modules are loaded by `run` alone: a command that asks a question is over in the
time that loading SQLite would take.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

import holdfast
from edge_agent import settings as reading
from holdfast.host import channels
from holdfast.host.commands import epilog, output_option
from holdfast.host.config import Loaded
from holdfast.host.output import Output
from holdfast.host.tls_options import tls_flags
from holdfast.shell import checkpoints, conflicts, doctor, edge, settings, state, workflows
from holdfast.shell.arguments import SIZE
from holdfast.shell.doors import EDGE
from holdfast.shell.settings import Flags, Given, log_level

if TYPE_CHECKING:
    from edge_agent.daemon import EdgeAgent

SCOPES = "SPACE or SPACE/COLLECTION to replicate; repeatable. Default: the space `default`."


@click.group(
    epilog=epilog(
        "edge-agent run --hub 127.0.0.1:7443 --data DIR --socket DIR/agent.sock",
        "edge-agent status",
        "edge-agent put default/robots/r1 x=1 name=anna",
    )
)
@click.version_option(holdfast.__version__, prog_name="edge-agent")
def cli() -> None:
    """State that agents share, durable on this device. The socket of a running agent is --socket,
    HOLDFAST_SOCKET, or the first of .run/*/agent.sock here."""


SETTINGS = Flags(
    "edge-agent",
    reading.PREFIX,
    {
        "hub.address": click.option(
            "--hub", "hub__address", multiple=True, metavar="HOST:PORT",
            callback=lambda _context, _option, all_: ",".join(all_) or None,
            help="Address of the hub, without TLS on this machine; repeatable, for several"
            " processes of one hub.",
        ),
        "hub.name": click.option(
            "--hub-name", "hub__name", metavar="NAME",
            help="Name in the hub's certificate, if it is not that of --hub.",
        ),
        **tls_flags(),
        "data": click.option(
            "--data", type=click.Path(path_type=Path), help="Directory of this edge's files."
        ),
        "sockets": click.option(
            "--socket", "sockets", multiple=True, metavar="PATH[=ID:KIND]",
            help="A Unix socket to listen on; with an actor, only that one writes there."
            " Repeatable. Default: agent.sock in the directory.",
        ),
        "scopes": click.option(
            "--scope", "scopes", multiple=True, metavar="SPACE[/COLLECTION]", help=SCOPES
        ),
        "name": click.option("--name", help="Name of this edge. Default: that of the machine."),
        "outbox.limit_bytes": click.option(
            "--outbox-limit", "outbox__limit_bytes", type=SIZE,
            help="Most that the outbox may hold, such as 256MiB.",
        ),
        "log.level": log_level(),
    },
    reading.loaded,
)  # fmt: skip


@cli.command(epilog=epilog("edge-agent run --hub 127.0.0.1:7443 --data DIR --scope plant-7/orders"))
@SETTINGS.taken
@output_option
def run(given: Given, output: Output) -> None:
    """Run the agent in the foreground until SIGTERM or Ctrl-C; a second signal ends it at once.
    SIGHUP reads the settings anew.

    Prints one line when it answers at its sockets; its log is on the standard error. A directory
    belongs to one agent, and an edge to one hub.
    """
    _serve(given, output)


def _serve(given: Given, output: Output) -> None:
    loaded: Loaded[reading.Settings] = SETTINGS.loaded(given)
    channels.allow_only_tls_1_3()  # before gRPC is loaded
    from edge_agent.credentials import EdgeCredentials
    from edge_agent.daemon import EdgeSettings, started
    from edge_agent.uplink import insecure, secure
    from holdfast.host import logs
    from holdfast.host.serving import Pulse, serve

    found = loaded.value
    logs.configure(found.log.level)
    doors, files = found.doors, found.tls_files
    paths = tuple(doors)
    credentials = EdgeCredentials(files) if files else None
    first, *others = (
        secure(str(each), credentials) if credentials else insecure(str(each))
        for each in found.hub_endpoints
    )
    wanted = EdgeSettings(
        data=found.data,
        hub=first,
        other_hubs=others,
        sockets=paths,
        name=found.edge_name,
        scopes=reading.scopes(found.scopes),
        actors={path: actor for path, actor in doors.items() if actor is not None},
        outbox_limit_bytes=found.outbox.limit_bytes,
    )
    answers = f"edge-agent answers at {', '.join(map(str, paths))}"
    ready = {"event": "ready", "sockets": list(map(str, paths)), "pid": os.getpid()}
    pulse: Pulse[EdgeAgent] = Pulse(
        announce=lambda _: output.event(ready, answers),
        describe=lambda agent: agent.status_line,
        probe=lambda agent: agent.files.answer(),
        reload=_reloading(given, loaded),
    )
    serve(started(wanted), pulse)


def _reloading(
    given: Given, loaded: Loaded[reading.Settings]
) -> Callable[[EdgeAgent], Awaitable[None]]:
    """What a running agent takes of settings that have changed."""
    from holdfast.host import logs
    from holdfast.host.reloading import Reloading

    running: list[EdgeAgent] = []
    reloading = Reloading(
        lambda: SETTINGS.loaded(given),
        loaded,
        {
            "log.level": lambda settings: logs.set_level(settings.log.level),
            "outbox.limit_bytes": lambda settings: running[0].limit_outbox(
                settings.outbox.limit_bytes
            ),
        },
    )

    async def reload(agent: EdgeAgent) -> None:
        running[:] = [agent]
        await agent.reload()
        reloading.reload()

    return reload


PATIENT = doctor.Patient(
    EDGE,
    SETTINGS,
    lambda found: doctor.Place(found.data, str(next(iter(found.doors)))),
    doctor.EDGE_FILES,
    doctor.edge,
)

cli.add_command(settings.command(SETTINGS))
for command in (
    *state.commands(EDGE),
    *conflicts.commands(EDGE),
    *workflows.commands(EDGE),
    *checkpoints.commands(EDGE),
    *edge.commands(EDGE),
    doctor.command(PATIENT),
):
    cli.add_command(command)
