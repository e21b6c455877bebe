"""The commands of `cloud-hub`: `run` starts the daemon; all others talk to a running one at its
address.

The daemon's own modules are loaded by `run` alone: a command that asks a question is over in the
time that loading a database driver would take.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

import holdfast
from cloud_hub import settings as reading
from cloud_hub.doctor import HUB_FILES, database
from holdfast.host.commands import epilog, output_option
from holdfast.host.config import Loaded
from holdfast.host.output import Output
from holdfast.shell import conflicts, doctor, hub, settings, state
from holdfast.shell.doors import HUB
from holdfast.shell.settings import Flags, Given, log_level

if TYPE_CHECKING:
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
    from cloud_hub.hub import HubSettings, started
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
        name=found.name,
        reflection=found.reflection,
        metrics=found.metrics_endpoint,
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

    async def reload(_running: Hub) -> None:
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

cli.add_command(settings.command(SETTINGS))
for command in (
    *state.commands(HUB),
    *conflicts.commands(HUB),
    *hub.commands(HUB),
    doctor.command(PATIENT),
):
    cli.add_command(command)
