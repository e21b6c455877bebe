"""status, outbox, scopes, wait, pause, resume: what only an edge is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output
from holdfast.shell import printing
from holdfast.shell.arguments import DURATION
from holdfast.shell.doors import Door

if TYPE_CHECKING:
    from holdfast.client import Client

SPACE_COLUMNS = ("space", "revision", "head", "age", "pending", "verified", "records")
OUTBOX_COLUMNS = ("space", "seq", "actor", "claimed_at", "offered", "ops")


def commands(door: Door) -> list[click.Command]:
    """All of them."""
    return [make(door) for make in (_status, _outbox, _scopes, _wait, _pause, _resume)]


def _status(door: Door) -> click.Command:
    @click.command("status", epilog=epilog("edge-agent status", "edge-agent status --json"))
    @door.takes_client
    @output_option
    def status(client: Client, output: Output) -> None:
        """Show whether this edge is connected, how far it is, what is pending, which alarms."""
        found = _status_of(client)
        if output.as_json:
            output.facts(found)
            return
        output.facts(_facts(found))
        output.say("")
        output.table(SPACE_COLUMNS, map(_space_cells, found["spaces"]))

    return status


def _facts(found: printing.Document) -> printing.Document:
    reason = f" ({found['link_reason']})" if found["link_reason"] else ""
    used, limit = (printing.size(found[f"outbox_{name}"]) for name in ("bytes", "limit_bytes"))
    return {
        "edge": found["edge"],
        "link": found["link"] + reason,
        "hub": found["hub"],
        "pending": found["pending"],
        "alarms": ", ".join(found["alarms"]) or "none",
        "outbox": f"{used} of {limit}",
        "memory": printing.size(found["memory_bytes"]),
        "up": f"{found['uptime_ms'] / 1000:.0f} s",
        "version": found["version"],
    }


def _space_cells(space: printing.Document) -> Sequence[Any]:
    records = sum(one["records"] for one in space["digests"].values())
    age = printing.age_words(space["staleness_ms"])
    named = (age if column == "age" else space[column] for column in SPACE_COLUMNS[:-1])
    return (*named, records)


def _outbox(door: Door) -> click.Command:
    @click.command("outbox", epilog=epilog("edge-agent outbox", "edge-agent outbox default"))
    @click.argument("space", required=False, default="")
    @click.option("--limit", type=click.IntRange(min=1), help="At most so many. Default: all.")
    @door.takes_client
    @output_option
    def outbox(space: str, limit: int | None, client: Client, output: Output) -> None:
        """List the commits that wait for the hub, oldest first. JSON: one object a line."""
        from itertools import islice

        from holdfast.shell import asking
        from holdfast.v1 import edge_service_pb2 as pb

        request = pb.ListOutboxRequest(space=space)
        entries = asking.pages(client, "EdgeService.ListOutbox", request, "entries")
        printing.show(output, OUTBOX_COLUMNS, _outbox_rows(islice(entries, limit)))

    return outbox


def _outbox_rows(entries: Iterator[Any]) -> Iterator[tuple[printing.Document, Sequence[Any]]]:
    from holdfast.shell import asking

    for entry in entries:
        document, ops = asking.outbox_entry(entry)
        document["ops"] = [printing.op_document(op) for op in ops]
        actor = f"{document['actor']['id']} ({document['actor']['kind']})"
        did = "; ".join(f"{op.path} {printing.op_words(op)}" for op in ops)
        claimed = printing.at_ms(document["claimed_ms"])
        cells = (document["space"], document["seq"], actor, claimed, document["offered"], did)
        yield document, cells


def _scopes(door: Door) -> click.Command:
    @click.command("scopes", epilog=epilog("edge-agent scopes"))
    @door.takes_client
    @output_option
    def scopes(client: Client, output: Output) -> None:
        """List what this edge replicates. JSON: one object a line."""
        from holdfast.shell import asking
        from holdfast.v1 import edge_service_pb2 as pb

        answer = asking.ask(client, "EdgeService.ListScopes", pb.ListScopesRequest())
        rows = (
            (
                {"space": one.space, "collection": one.collection or None},
                (one.space, one.collection or "(all)"),
            )
            for one in answer.scopes
        )
        printing.show(output, ("space", "collection"), rows)

    return scopes


def _wait(door: Door) -> click.Command:
    @click.command("wait", epilog=epilog("edge-agent wait --synced --timeout 30s"))
    @click.argument("spaces", nargs=-1, metavar="[SPACE...]")
    @click.option("--synced", is_flag=True, required=True, help="Wait until that is so.")
    @click.option("--timeout", type=DURATION, default="30s", show_default=True)
    @door.takes_client
    @output_option
    def wait(
        spaces: tuple[str, ...], synced: bool, timeout: float, client: Client, output: Output
    ) -> None:
        """Wait until nothing of this edge is pending and it is at the hub's head, in these spaces
        or in all; then print where it is and what it has. Ends with code 1 if that is not so in
        time."""
        assert synced, "click has seen to it"
        if not spaces:
            spaces = tuple(found["space"] for found in _status_of(client)["spaces"])
        client.synced(*spaces, timeout_s=timeout)
        found = [one for one in _status_of(client)["spaces"] if one["space"] in spaces]
        words = "; ".join(map(_evidence, found)) or "nothing is replicated"
        output.event({"synced": True, "spaces": found}, f"synced: {words}")

    return wait


def _status_of(client: Client) -> printing.Document:
    from holdfast.shell import asking
    from holdfast.v1 import edge_service_pb2 as pb

    request = pb.GetEdgeStatusRequest()
    return asking.edge_status(asking.ask(client, "EdgeService.GetEdgeStatus", request))


def _evidence(space: printing.Document) -> str:
    """Where a space is and what it holds, in one line; the digest is that of all collections."""
    found = space["digests"].values()
    records = sum(one["records"] for one in found)
    digest = sum(int(one["digest"], 16) for one in found) % 2**64
    return f"{space['space']} at {space['revision']}, {records} records, digest {digest:016x}"


def _pause(door: Door) -> click.Command:
    @click.command("pause", epilog=epilog("edge-agent pause"))
    @door.takes_client
    @output_option
    def pause(client: Client, output: Output) -> None:
        """Stop talking to the hub until `resume`, also across restarts. Writes and reads go on."""
        from holdfast.shell import asking
        from holdfast.v1 import edge_service_pb2 as pb

        asking.ask(client, "EdgeService.Pause", pb.PauseRequest())
        output.event({"paused": True}, "paused; `edge-agent resume` goes back to the hub")

    return pause


def _resume(door: Door) -> click.Command:
    @click.command("resume", epilog=epilog("edge-agent resume"))
    @door.takes_client
    @output_option
    def resume(client: Client, output: Output) -> None:
        """Talk to the hub again."""
        from holdfast.shell import asking
        from holdfast.v1 import edge_service_pb2 as pb

        asking.ask(client, "EdgeService.Resume", pb.ResumeRequest())
        output.event({"paused": False}, "resumed")

    return resume
