"""The commands of `cloud-hub`: `run` starts the daemon; all others talk to a running one at its
address.

The daemon's own modules are loaded by `run` alone: a command that asks a question is over in the
time that loading a database driver would take.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

import holdfast
from cloud_hub import settings as reading
from cloud_hub.doctor import HUB_FILES, database
from holdfast.host import channels
from holdfast.host.commands import epilog, output_option
from holdfast.host.config import Loaded
from holdfast.host.output import Output
from holdfast.host.tls_options import tls_flags
from holdfast.shell import (
    checkpoints,
    conflicts,
    doctor,
    epochs,
    hub,
    settings,
    state,
    workflows,
)
from holdfast.shell.doors import HUB
from holdfast.shell.settings import Flags, Given, log_level

if TYPE_CHECKING:
    from cloud_hub.dev_certs import Made
    from cloud_hub.hub import Hub


@click.group(
    epilog=epilog(
        "cloud-hub run --listen 127.0.0.1:7443 --data DIR --insecure",
        "cloud-hub edges",
        'cloud-hub policies set default/tasks \'{"fields": {"done": "counter"}}\'',
    )
)
@click.version_option(holdfast.__version__, prog_name="cloud-hub")
def cli() -> None:
    """One order for the writes of all edges. The address of a running hub is --hub, HOLDFAST_HUB,
    or what stands in .run/hub.address here."""


SETTINGS = Flags(
    "cloud-hub",
    reading.PREFIX,
    {
        "listen": click.option(
            "--listen", metavar="HOST:PORT", help="Default 127.0.0.1:7443; port 0: a free one."
        ),
        "data": click.option(
            "--data", type=click.Path(path_type=Path), help="Directory of the SQLite database."
        ),
        "database": click.option(
            "--database", metavar="URL", help="A PostgreSQL database instead."
        ),
        "pooled": click.option(
            "--pooled", is_flag=True, default=None,
            help="The URL is that of a pooler (PgBouncer) that hands out connections by"
            " transaction.",
        ),
        "listen_database": click.option(
            "--listen-database", metavar="URL",
            help="With --pooled: the same database without the pooler, to be notified by.",
        ),
        **tls_flags(),
        "on_fork": click.option(
            "--on-fork", type=click.Choice(["stop", "declare"]),
            help="When the database turns out to have gone back: stop until an operator declares"
            " an epoch (the default), or declare one.",
        ),
        "insecure": click.option(
            "--insecure", is_flag=True, default=None, help="Plain TCP; on loopback only."
        ),
        "reflection": click.option(
            "--reflection", is_flag=True, default=None, help="Let clients ask for the interface."
        ),
        "metrics": click.option(
            "--metrics", metavar="HOST:PORT",
            help="Serve metrics for Prometheus there, on loopback. Default: nowhere.",
        ),
        "name": click.option("--name", help="Name of this process, for people."),
        "log.level": log_level(),
    },
    reading.loaded,
)  # fmt: skip


@cli.command(epilog=epilog("cloud-hub run --listen 127.0.0.1:7443 --data DIR --insecure"))
@SETTINGS.taken
@output_option
def run(given: Given, output: Output) -> None:
    """Run the hub in the foreground until SIGTERM or Ctrl-C; a second signal ends it at once.
    SIGHUP reads the settings anew.

    Prints one line with its address when it listens; its log is on the standard error.
    """
    _serve(given, output)


def _serve(given: Given, output: Output) -> None:
    loaded: Loaded[reading.Settings] = SETTINGS.loaded(given)
    channels.allow_only_tls_1_3()  # before gRPC is loaded
    from cloud_hub.hub import HubSettings, started
    from cloud_hub.succession import OnFork
    from holdfast.host import logs
    from holdfast.host.serving import Pulse, serve

    found = loaded.value
    logs.configure(found.log.level)
    endpoint = found.checked()
    wanted = HubSettings(
        listen=str(endpoint),
        data=found.data,
        database=found.database,
        pooled=found.pooled,
        listen_database=found.listen_database,
        on_fork=OnFork(found.on_fork),
        name=found.name,
        reflection=found.reflection,
        metrics=found.metrics_endpoint,
        tls=found.tls_files,
    )

    def announce(running: Hub) -> None:
        address = f"{endpoint.host}:{running.port}"
        ready: dict[str, object] = {"event": "ready", "address": address, "pid": os.getpid()}
        if found.metrics_endpoint is not None:
            ready["metrics"] = f"{found.metrics_endpoint.host}:{running.metrics_port}"
        output.event(ready, f"cloud-hub listens on {address}")

    pulse: Pulse[Hub] = Pulse(
        announce=announce,
        describe=lambda running: running.status_line,
        probe=lambda running: running.driver.answer(),
        reload=_reloading(given, loaded),
    )
    serve(started(wanted), pulse)


def _reloading(given: Given, loaded: Loaded[reading.Settings]) -> Callable[[Hub], Awaitable[None]]:
    """What a running hub takes of settings that have changed."""
    from holdfast.host import logs
    from holdfast.host.reloading import Reloading

    reloading = Reloading(
        lambda: SETTINGS.loaded(given),
        loaded,
        {"log.level": lambda settings: logs.set_level(settings.log.level)},
    )

    async def reload(running: Hub) -> None:
        running.reload()
        reloading.reload()

    return reload


PATIENT = doctor.Patient(
    HUB,
    SETTINGS,
    lambda found: doctor.Place(found.data, None if found.listen.endswith(":0") else found.listen),
    HUB_FILES,
    doctor.hub,
    database,
)


@cli.command(
    "dev-certs",
    epilog=epilog(
        "cloud-hub dev-certs certs --name hub.local --edge arm-3 --edge arm-4",
        "cloud-hub dev-certs certs --name 192.168.1.5 --edge arm-3 --days 7",
    ),
)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--name", "names", multiple=True, metavar="HOST",
    help="A name or IP address by which edges reach the hub; repeatable. Default: this machine's"
    " name, localhost and 127.0.0.1.",
)  # fmt: skip
@click.option("--edge", "edges", multiple=True, help="An edge; repeatable. Default: edge-1.")
@click.option("--trust", default="holdfast.test", help="Domain of the identities.")
@click.option("--port", type=click.IntRange(1, 65_535), default=7443, help="For the commands.")
@click.option("--days", type=click.IntRange(1, 3_650), default=30, help="How long they are valid.")
@output_option
def dev_certs(
    directory: Path, names: tuple[str, ...], edges: tuple[str, ...], trust: str, port: int,
    days: int, output: Output,
) -> None:  # fmt: skip
    """Make a throw-away CA and certificates for a hub, edges and an operator, to try them on
    several machines today.

    Prints the commands to use them. Nothing is overwritten. The key of the CA lies beside the rest:
    this is for trying, not for production.
    """
    import socket

    from cloud_hub.dev_certs import make

    hosts = names or (socket.gethostname(), "localhost", "127.0.0.1")
    made = make(directory, hosts, edges or ("edge-1",), trust, port, days)
    if not output.as_json:
        for line in _in_words(made, days):
            output.say(line)
        return
    document = {
        "directory": str(made.directory),
        "files": [str(path) for path in made.files],
        "hub": made.hub_command,
        "edges": list(made.edge_commands),
        "operator": made.operator_command,
        "copy": list(made.copied),
    }
    output.facts(document)


def _in_words(made: Made, days: int) -> Iterator[str]:
    yield f"{len(made.files)} files in {made.directory}, valid for {days} days."
    yield from ("", "On the hub's machine:", f"  {made.hub_command}")
    for copied, command in zip(made.copied, made.edge_commands, strict=True):
        yield from ("", f"On an edge's machine, with {copied} copied there:", f"  {command}")
    yield from ("", "To look at it:", f"  {made.operator_command}")


cli.add_command(settings.command(SETTINGS))
for command in (
    *state.commands(HUB),
    *conflicts.commands(HUB),
    *workflows.commands(HUB),
    *checkpoints.commands(HUB),
    *hub.commands(HUB),
    epochs.command(HUB),
    doctor.command(PATIENT),
):
    cli.add_command(command)
