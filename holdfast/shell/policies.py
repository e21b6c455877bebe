"""policies: how concurrent writes are merged, listed, set, read back, and applied from a file.

A file says what the policies of its places shall be; places that it does not name stay as they are.
All of it is checked by the hub before any of it is set.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.errors import InvalidArgument, Unimplemented
from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output, Verbatim
from holdfast.shell import printing
from holdfast.shell.arguments import ACTOR, ACTOR_VARIABLE, default_actor, json_object
from holdfast.shell.doors import Door

if TYPE_CHECKING:
    from holdfast.client import Client

MAX_FILE_BYTES = 1 << 20
"""Of a file of policies: more than all that one space may have."""

_ACTOR = click.option(
    "--actor", type=ACTOR, envvar=ACTOR_VARIABLE, default=default_actor,
    metavar="ID[:KIND]", show_default="HOLDFAST_ACTOR, or the user's name",
    help="Who sets it; the kind is human, robot, ai or system.",
)  # fmt: skip


def commands(door: Door) -> click.Group:
    """The group `policies`."""

    @click.group(
        "policies",
        epilog=epilog(
            "cloud-hub policies list default",
            "cloud-hub policies show default/tasks",
            'cloud-hub policies set default/tasks \'{"fields": {"done": "counter"}}\'',
            "cloud-hub policies history default/tasks",
            "cloud-hub policies apply policies.toml --dry-run",
        ),
    )
    def policies() -> None:
        """How concurrent writes are merged, by collection, and how a space is treated."""

    for make in (_list, _show, _set, _history, _apply):
        policies.add_command(make(door))
    return policies


def _list(door: Door) -> click.Command:
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


def _show(door: Door) -> click.Command:
    @click.command("show", epilog=epilog("cloud-hub policies show default/tasks"))
    @click.argument("place", metavar="SPACE[/COLLECTION]")
    @door.takes_client
    @output_option
    def show(place: str, client: Client, output: Output) -> None:
        """Show the policy in force of a collection, or of a space; revision 0: the default."""
        from holdfast.shell import asking
        from holdfast.v1 import admin_service_pb2 as pb

        space, _, collection = place.partition("/")
        request = pb.GetPolicyRequest(space=space, collection=collection)
        answer = asking.ask(client, "AdminService.GetPolicy", request)
        output.facts(_policy(space, answer.policy))

    return show


def _set(door: Door) -> click.Command:
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
    @_ACTOR
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


def _history(door: Door) -> click.Command:
    @click.command("history", epilog=epilog("cloud-hub policies history default/tasks"))
    @click.argument("place", metavar="SPACE[/COLLECTION]")
    @click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
    @door.takes_client
    @output_option
    def history(place: str, limit: int, client: Client, output: Output) -> None:
        """List the commits that set a policy, newest first: revision, who, and what it said. What
        was decided under a revision stays as it was."""
        space, _, collection = place.partition("/")
        path = f"{space}/_policies/{collection or '@space'}"
        found = client.history(path, limit=limit)
        printing.show(output, printing.HISTORY_COLUMNS, printing.history_rows(found.entries))

    return history


def _apply(door: Door) -> click.Command:
    @click.command(
        "apply",
        epilog=epilog(
            "cloud-hub policies apply policies.toml --dry-run",
            "cloud-hub policies apply policies.toml",
        ),
    )
    @click.argument("file", type=click.Path(path_type=Path))
    @click.option("--dry-run", is_flag=True, help="Check all, and say what would be set.")
    @_ACTOR
    @door.takes_client
    @output_option
    def apply(
        file: Path, dry_run: bool, actor: tuple[str, str], client: Client, output: Output
    ) -> None:
        """Set the policies that a TOML file names, where they differ from those in force.

        Tables are named by place: [default] is a space, [default.collections.tasks] a collection.
        The hub checks all of them first; if one is wrong, none is set.
        """
        from holdfast.shell import asking

        places = list(read(file))
        for space, collection, text in places:
            request = asking.policy_request(space, collection, text, 0, actor)
            request.validate_only = True
            try:
                asking.ask(client, "AdminService.SetPolicy", request)
            except (InvalidArgument, Unimplemented) as error:
                place = f"{space}/{collection}" if collection else space
                raise type(error)(error.reason, f"{place}: {error.message}") from error
        rows = (_applied(client, place, actor, dry_run=dry_run) for place in places)
        printing.show(output, ("of", "revision", "policy", "change"), rows)

    return apply


def _applied(
    client: Client, place: tuple[str, str, str], actor: tuple[str, str], *, dry_run: bool
) -> tuple[printing.Document, Sequence[Any]]:
    from holdfast.shell import asking
    from holdfast.v1 import admin_service_pb2 as pb

    space, collection, text = place
    request = pb.GetPolicyRequest(space=space, collection=collection)
    present = asking.ask(client, "AdminService.GetPolicy", request).policy
    change = "none"
    if not present.revision or json.loads(present.json) != json.loads(text):
        change = "would be set" if dry_run else "set"
        if not dry_run:
            wanted = asking.policy_request(space, collection, text, present.revision, actor)
            present = asking.ask(client, "AdminService.SetPolicy", wanted).policy
    document = _policy(space, present) | {"change": change}
    return document, (document["of"], document["revision"], document["policy"], change)


def read(file: Path) -> Iterator[tuple[str, str, str]]:
    """Space, collection (empty: the space itself) and policy as JSON, for each place in a file.

    Raises InvalidArgument.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise InvalidArgument("MALFORMED_REQUEST", f"{file}: more than {MAX_FILE_BYTES} bytes")
        spaces = tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument("MALFORMED_REQUEST", f"{file}: {error}") from error
    for space, members in spaces.items():
        if not isinstance(members, dict):
            raise InvalidArgument("MALFORMED_REQUEST", f"{file}: {space}: a table, as [{space}]")
        collections = members.pop("collections", {})
        if members:
            yield space, "", _text(file, space, members)
        if not isinstance(collections, dict):
            raise InvalidArgument("MALFORMED_REQUEST", f"{file}: {space}.collections: a table")
        for name, policy in collections.items():
            yield space, name, _text(file, f"{space}.collections.{name}", policy)


def _text(file: Path, place: str, policy: object) -> str:
    if not isinstance(policy, dict):
        raise InvalidArgument("MALFORMED_REQUEST", f"{file}: {place}: a table")
    try:
        return json.dumps(policy, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgument("MALFORMED_REQUEST", f"{file}: {place}: {error}") from error
