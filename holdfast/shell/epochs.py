"""epochs: the hub's histories, what showed that one had ended, and declaring the next."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import click

from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output
from holdfast.shell import printing
from holdfast.shell.arguments import ACTOR, ACTOR_VARIABLE, default_actor
from holdfast.shell.doors import Door

if TYPE_CHECKING:
    from holdfast.client import Client

EPOCH_COLUMNS = ("epoch", "after", "declared", "by", "timeline", "reason", "forks")
SIGN_COLUMNS = ("space", "witness", "epoch", "revision", "shared", "seen", "held")
EXAMPLES = (
    "cloud-hub epochs list",
    "cloud-hub epochs signs",
    'cloud-hub epochs declare --reason "restored the backup of Tuesday"',
)


def command(door: Door) -> click.Group:
    """The group."""

    @click.group("epochs", epilog=epilog(*EXAMPLES))
    def epochs() -> None:
        """The hub's histories. A new one begins where the newest commits of the one before may have
        been lost: after a failover or a restore."""

    for make in (_list, _signs, _declare):
        epochs.add_command(make(door))
    return epochs


def _list(door: Door) -> click.Command:
    @click.command("list", epilog=epilog("cloud-hub epochs list"))
    @door.takes_client
    @output_option
    def list_(client: Client, output: Output) -> None:
        """List the histories, oldest first; the last is the present. JSON: one object a line."""
        from holdfast.shell import asking
        from holdfast.v1 import admin_service_pb2 as pb

        found = asking.pages(client, "AdminService.ListEpochs", pb.ListEpochsRequest(), "epochs")
        now_ms = time.time_ns() // 1_000_000
        rows = []
        for info in found:
            one = asking.epoch_info(info)
            forks = ", ".join(f"{space} at {at}" for space, at in one["forks"].items())
            shown = (one["epoch"], one["after"] or "", printing.ago(one["declared_ms"], now_ms),
                     one["by"], one["timeline"] or "", one["reason"], forks)  # fmt: skip
            rows.append((one, shown))
        printing.show(output, EPOCH_COLUMNS, rows)

    return list_


def _signs(door: Door) -> click.Command:
    @click.command("signs", epilog=epilog("cloud-hub epochs signs"))
    @door.takes_client
    @output_option
    def signs(client: Client, output: Output) -> None:
        """List who had seen a history that this database does not have, and what replicas held of
        it. JSON: one object a line."""
        from holdfast.shell import asking
        from holdfast.v1 import admin_service_pb2 as pb

        request = pb.ListForkSignsRequest()
        found = asking.pages(client, "AdminService.ListForkSigns", request, "signs")
        now_ms = time.time_ns() // 1_000_000
        rows = []
        for info in found:
            one = asking.fork_sign(info)
            shown = (one["space"], one["witness"], one["epoch"], one["revision"], one["shared"],
                     printing.ago(one["seen_ms"], now_ms), one["held"])  # fmt: skip
            rows.append((one, shown))
        printing.show(output, SIGN_COLUMNS, rows)

    return signs


def _declare(door: Door) -> click.Command:
    @click.command("declare", epilog=epilog(EXAMPLES[-1]))
    @click.option("--reason", required=True, help="Why; it is kept with the epoch.")
    @click.option(
        "--actor", type=ACTOR, envvar=ACTOR_VARIABLE, default=default_actor,
        metavar="ID[:KIND]", show_default="HOLDFAST_ACTOR, or the user's name",
        help="Who declares it; the kind is human, robot, ai or system.",
    )  # fmt: skip
    @door.takes_client
    @output_option
    def declare(reason: str, actor: tuple[str, str], client: Client, output: Output) -> None:
        """Declare that a new history begins at the state of the database as it is.

        Spaces that are stopped go on. What the database lost is not brought back by it: replicas
        that had more are kept aside on their devices, and built anew. If the newer database still
        exists, bring that back instead.
        """
        from holdfast.shell import asking

        request = asking.epoch_request(secrets.token_bytes(16), reason, actor)
        answer = asking.ask(client, "AdminService.DeclareEpoch", request)
        facts = {
            "epoch": answer.epoch.ordinal,
            "id": answer.epoch.id.hex(),
            "forks": {fork.space: fork.revision for fork in answer.epoch.forks},
        }
        if not output.as_json:
            facts["forks"] = ", ".join(f"{s} at {r}" for s, r in facts["forks"].items()) or "none"
        output.facts(facts)

    return declare
