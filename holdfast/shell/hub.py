"""status, edges, spaces, policies: what only a hub is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output
from holdfast.shell import policies, printing
from holdfast.shell.doors import Door

if TYPE_CHECKING:
    from holdfast.client import Client

EDGE_COLUMNS = (
    "edge",
    "connected",
    "last_seen",
    "pending",
    "lag",
    "clock_ms",
    "alarms",
    "software",
)
SPACE_COLUMNS = ("space", "revision", "records", "conflicts", "open", "collections")


def commands(door: Door) -> list[click.Command]:
    """All of them."""
    return [make(door) for make in (_status, _edges, _spaces, policies.commands)]


def _status(door: Door) -> click.Command:
    @click.command("status", epilog=epilog("cloud-hub status", "cloud-hub status --json"))
    @door.takes_client
    @output_option
    def status(client: Client, output: Output) -> None:
        """Show the hub in numbers."""
        from holdfast.shell import asking
        from holdfast.v1 import admin_service_pb2 as pb

        request = pb.GetHubStatusRequest()
        found = asking.hub_status(asking.ask(client, "AdminService.GetHubStatus", request))
        if not output.as_json:
            found["up"] = f"{found.pop('uptime_ms') / 1000:.0f} s"
            found["memory"] = printing.size(found.pop("memory_bytes"))
            found["alarms"] = ", ".join(found["alarms"]) or "none"
        output.facts(found)

    return status


def _edges(door: Door) -> click.Command:
    @click.command("edges", epilog=epilog("cloud-hub edges", "cloud-hub edges --lagging 10"))
    @click.option(
        "--lagging", type=click.IntRange(1, 1_000), metavar="N",
        help="Only the N that are furthest behind, the worst first.",
    )  # fmt: skip
    @door.takes_client
    @output_option
    def edges(lagging: int | None, client: Client, output: Output) -> None:
        """List all edges: connected or last seen, pending, lag, clock, alarms. JSON: one object a
        line, with what each has counted."""
        from holdfast.shell import asking
        from holdfast.v1 import admin_service_pb2 as pb

        request = pb.ListEdgesRequest()
        if lagging:
            request = pb.ListEdgesRequest(page_size=lagging, lagging=True)
            found = iter(asking.ask(client, "AdminService.ListEdges", request).edges)
        else:
            found = asking.pages(client, "AdminService.ListEdges", request, "edges")
        now_ms = time.time_ns() // 1_000_000
        rows = (_edge_row(asking.edge_info(info), now_ms) for info in found)
        printing.show(output, EDGE_COLUMNS, rows)

    return edges


def _edge_row(info: printing.Document, now_ms: int) -> tuple[printing.Document, Sequence[Any]]:
    return info, (
        info["edge"],
        info["connected"],
        printing.ago(info["last_seen_ms"], now_ms),
        info["pending"],
        sum(space["lag"] for space in info["spaces"]),
        info["clock_skew_ms"],
        ", ".join(info["alarms"]),
        info["software"],
    )


def _spaces(door: Door) -> click.Command:
    @click.command("spaces", epilog=epilog("cloud-hub spaces", "cloud-hub spaces --json"))
    @door.takes_client
    @output_option
    def spaces(client: Client, output: Output) -> None:
        """List all spaces: head, records, conflicts; with --json their digests too, one object a
        line."""
        from holdfast.shell import asking
        from holdfast.v1 import admin_service_pb2 as pb

        request = pb.ListSpacesRequest()
        found = asking.pages(client, "AdminService.ListSpaces", request, "spaces")
        rows = (_space_row(asking.space_info(info)) for info in found)
        printing.show(output, SPACE_COLUMNS, rows)

    return spaces


def _space_row(info: printing.Document) -> tuple[printing.Document, Sequence[Any]]:
    digests = info["digests"]
    return info, (
        info["space"],
        info["revision"],
        sum(one["records"] for one in digests.values()),
        info["conflicts"],
        info["open_conflicts"],
        ", ".join(digests),
    )
