"""status, edges, spaces, policies: what only a hub is asked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output, Verbatim
from holdfast.shell import printing
from holdfast.shell.arguments import ACTOR, ACTOR_VARIABLE, default_actor, json_object
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
    return [make(door) for make in (_status, _edges, _spaces, _policies)]


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


# -- policies ----------------------------------------------------------------------------------


def _policies(door: Door) -> click.Group:
    @click.group(
        "policies",
        epilog=epilog(
            "cloud-hub policies list default",
            "cloud-hub policies get default/tasks",
            'cloud-hub policies set default/tasks \'{"fields": {"done": "counter"}}\'',
        ),
    )
    def policies() -> None:
        """How concurrent writes are merged, by collection, and how a space is treated."""

    for make in (_policies_list, _policies_get, _policies_set):
        policies.add_command(make(door))
    return policies


def _policies_list(door: Door) -> click.Command:
    @click.command("list", epilog=epilog("cloud-hub policies list default"))
    @click.argument("space", default="default")
    @door.takes_client
    @output_option
    def list_(space: str, client: Client, output: Output) -> None:
        """List the policies that were set in a space. JSON: one object a line."""
        from holdfast.shell import asking
        from holdfast.v1 import admin_service_pb2 as pb

        request = pb.ListPoliciesRequest(space=space)
        found = asking.pages(client, "AdminService.ListPolicies", request, "policies")
        printing.show(output, ("of", "revision", "policy"), _policy_rows(space, found))

    return list_


def _policy_rows(
    space: str, found: Iterable[Any]
) -> Iterable[tuple[printing.Document, Sequence[Any]]]:
    for one in found:
        document = _policy(space, one)
        yield document, (document["of"], document["revision"], document["policy"])


def _policy(space: str, policy: Any) -> printing.Document:
    of = f"{space}/{policy.collection}" if policy.collection else space
    return {"of": of, "revision": policy.revision, "policy": Verbatim(policy.json)}


def _policies_get(door: Door) -> click.Command:
    @click.command("get", epilog=epilog("cloud-hub policies get default/tasks"))
    @click.argument("place", metavar="SPACE[/COLLECTION]")
    @door.takes_client
    @output_option
    def get(place: str, client: Client, output: Output) -> None:
        """Show the policy in force of a collection, or of a space; revision 0: the default."""
        from holdfast.shell import asking
        from holdfast.v1 import admin_service_pb2 as pb

        space, _, collection = place.partition("/")
        request = pb.GetPolicyRequest(space=space, collection=collection)
        answer = asking.ask(client, "AdminService.GetPolicy", request)
        output.facts(_policy(space, answer.policy))

    return get


def _policies_set(door: Door) -> click.Command:
    examples = (
        'cloud-hub policies set default/tasks \'{"fields": {"done": "counter"}}\'',
        "cloud-hub policies set plant-7 priority=control",
    )

    @click.command("set", epilog=epilog(*examples))
    @click.argument("place", metavar="SPACE[/COLLECTION]")
    @click.argument("policy", nargs=-1, required=True)
    @click.option(
        "--if-revision", type=click.IntRange(min=0), default=0,
        help="Only if the policy in force is of this revision.",
    )  # fmt: skip
    @click.option(
        "--actor", type=ACTOR, envvar=ACTOR_VARIABLE, default=default_actor,
        metavar="ID[:KIND]", show_default="HOLDFAST_ACTOR, or the user's name",
        help="Who sets it; the kind is human, robot, ai or system.",
    )  # fmt: skip
    @door.takes_client
    @output_option
    def set_(
        place: str, policy: tuple[str, ...], if_revision: int, actor: tuple[str, str],
        client: Client, output: Output,
    ) -> None:  # fmt: skip
        """Set the whole policy of a collection, or of a space: members not named are the default.

        It is a commit of the space and concerns what is decided after it. POLICY is a JSON object,
        "-" for one on standard input, or NAME=VALUE pairs.
        """
        from holdfast.shell import asking

        space, _, collection = place.partition("/")
        text = json_object(policy)
        request = asking.policy_request(space, collection, text, if_revision, actor)
        answer = asking.ask(client, "AdminService.SetPolicy", request)
        output.facts(_policy(space, answer.policy))

    return set_
