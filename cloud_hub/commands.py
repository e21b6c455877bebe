"""The commands of `cloud-hub`: `run` starts the daemon; all others talk to a running one at its
address.

The daemon's own modules are loaded by `run` alone: a command that asks a question is over in the
time that loading a database driver would take.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

import holdfast
from cloud_hub import settings as reading
from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output
from holdfast.shell import conflicts, hub, state
from holdfast.shell.doors import HUB

if TYPE_CHECKING:
    from cloud_hub.hub import Hub
    from cloud_hub.storage.driver import Transaction


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


@cli.command(epilog=epilog("cloud-hub run --listen 127.0.0.1:7443 --data DIR --insecure"))
@click.option("--listen", metavar="HOST:PORT", help="Default 127.0.0.1:7443; port 0: a free one.")
@click.option("--data", type=click.Path(path_type=Path), help="Directory of the SQLite database.")
@click.option("--database", metavar="URL", help="A PostgreSQL database instead.")
@click.option(
    "--pooled",
    is_flag=True,
    default=None,
    help="The URL is that of a pooler (PgBouncer) that hands out connections by transaction.",
)
@click.option(
    "--listen-database", metavar="URL",
    help="With --pooled: the same database without the pooler, to be notified by.",
)  # fmt: skip
@click.option("--insecure", is_flag=True, default=None, help="Plain TCP; on loopback only.")
@click.option("--reflection", is_flag=True, default=None, help="Let clients ask for the interface.")
@click.option("--name", help="Name of this process, for people.")
@click.option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")
@click.option(
    "--config", "files", multiple=True, type=click.Path(path_type=Path),
    help="A TOML file; repeatable, the later one wins. CLOUD_HUB__SECTION__KEY in the environment"
    " wins over files, flags win over both.",
)  # fmt: skip
@output_option
def run(
    listen: str | None, data: Path | None, database: str | None, pooled: bool | None,
    listen_database: str | None, insecure: bool | None,
    reflection: bool | None, name: str | None, log_level: str | None, files: tuple[Path, ...],
    output: Output,
) -> None:  # fmt: skip
    """Run the hub in the foreground until SIGTERM or Ctrl-C; a second signal ends it at once.

    Prints one line with its address when it listens; its log is on the standard error.
    """
    flags = {
        "listen": listen,
        "data": data,
        "database": database,
        "pooled": pooled,
        "listen_database": listen_database,
        "insecure": insecure,
        "reflection": reflection,
        "name": name,
        "log.level": log_level and log_level.upper(),
    }
    _serve(reading.read(files, os.environ, flags), output)


def _serve(settings: reading.Settings, output: Output) -> None:
    from cloud_hub.hub import HubSettings, started
    from holdfast.host import logs
    from holdfast.host.serving import Pulse, serve

    logs.configure(settings.log.level)
    endpoint = settings.checked()
    wanted = HubSettings(
        listen=str(endpoint),
        data=settings.data,
        database=settings.database,
        pooled=settings.pooled,
        listen_database=settings.listen_database,
        name=settings.name,
        reflection=settings.reflection,
    )

    def announce(running: Hub) -> None:
        address = f"{endpoint.host}:{running.port}"
        ready = {"event": "ready", "address": address, "pid": os.getpid()}
        output.event(ready, f"cloud-hub listens on {address}")

    serve(started(wanted), Pulse(announce, _describe, _probe))


def _describe(running: Hub) -> str:
    return f"{running.streams.count} edges connected, {running.ingest.commits} commits decided"


async def _probe(running: Hub) -> None:
    from cloud_hub import heads

    async def work(tx: Transaction) -> None:
        await heads.page(tx, "", 1)

    await running.driver.read(work)


for command in (*state.commands(HUB), *conflicts.commands(HUB), *hub.commands(HUB)):
    cli.add_command(command)
