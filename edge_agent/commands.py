"""The commands of `edge-agent`: `run` starts the daemon; all others talk to a running one through
its socket.

The daemon's own modules are loaded by `run` alone: a command that asks a question is over in the
time that loading SQLite would take.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

import holdfast
from edge_agent import settings as reading
from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output
from holdfast.shell import conflicts, doctor, edge, state
from holdfast.shell.arguments import SIZE
from holdfast.shell.doors import EDGE

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


@cli.command(epilog=epilog("edge-agent run --hub 127.0.0.1:7443 --data DIR --scope plant-7/orders"))
@click.option(
    "--hub", "hubs", multiple=True, metavar="HOST:PORT",
    help="Address of the hub, on this machine; repeatable, for several processes of one hub.",
)  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), help="Directory of this edge's files.")
@click.option(
    "--socket", "sockets", multiple=True, metavar="PATH[=ID:KIND]",
    help="A Unix socket to listen on; with an actor, only that one writes there. Repeatable."
    " Default: agent.sock in the directory.",
)  # fmt: skip
@click.option("--scope", "scopes", multiple=True, metavar="SPACE[/COLLECTION]", help=SCOPES)
@click.option("--name", help="Name of this edge. Default: that of the machine.")
@click.option("--outbox-limit", type=SIZE, help="Most that the outbox may hold, such as 256MiB.")
@click.option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")
@click.option(
    "--config", "files", multiple=True, type=click.Path(path_type=Path),
    help="A TOML file; repeatable, the later one wins. EDGE_AGENT__SECTION__KEY in the environment"
    " wins over files, flags win over both.",
)  # fmt: skip
@output_option
def run(
    hubs: tuple[str, ...], data: Path | None, sockets: tuple[str, ...], scopes: tuple[str, ...],
    name: str | None, outbox_limit: int | None, log_level: str | None, files: tuple[Path, ...],
    output: Output,
) -> None:  # fmt: skip
    """Run the agent in the foreground until SIGTERM or Ctrl-C; a second signal ends it at once.

    Prints one line when it answers at its sockets; its log is on the standard error. A directory
    belongs to one agent, and an edge to one hub.
    """
    flags = {
        "hub.address": ",".join(hubs) or None,
        "data": data,
        "sockets": sockets or None,
        "scopes": scopes or None,
        "name": name,
        "outbox.limit_bytes": outbox_limit,
        "log.level": log_level and log_level.upper(),
    }
    _serve(reading.read(files, os.environ, flags), output)


def _serve(settings: reading.Settings, output: Output) -> None:
    from edge_agent.daemon import EdgeSettings, started
    from edge_agent.uplink import insecure
    from holdfast.host import logs
    from holdfast.host.serving import Pulse, serve

    logs.configure(settings.log.level)
    doors = settings.doors
    paths = tuple(doors)
    first, *others = (insecure(str(endpoint)) for endpoint in settings.hub_endpoints)
    wanted = EdgeSettings(
        data=settings.data,
        hub=first,
        other_hubs=others,
        sockets=paths,
        name=settings.edge_name,
        scopes=reading.scopes(settings.scopes),
        actors={path: actor for path, actor in doors.items() if actor is not None},
        outbox_limit_bytes=settings.outbox.limit_bytes,
    )
    answers = f"edge-agent answers at {', '.join(map(str, paths))}"
    ready = {"event": "ready", "sockets": list(map(str, paths)), "pid": os.getpid()}
    pulse: Pulse[EdgeAgent] = Pulse(lambda _: output.event(ready, answers), _describe, _probe)
    serve(started(wanted), pulse)


def _describe(agent: EdgeAgent) -> str:
    reason = f" ({agent.uplink.reason})" if agent.uplink.reason else ""
    return f"{agent.uplink.state}{reason}, hub {agent.uplink.address.text}"


async def _probe(agent: EdgeAgent) -> None:
    await agent.files.in_outbox(lambda connection: connection.execute("SELECT 1").fetchone())


for command in (
    *state.commands(EDGE),
    *conflicts.commands(EDGE),
    *edge.commands(EDGE),
    doctor.command(EDGE),
):
    cli.add_command(command)
