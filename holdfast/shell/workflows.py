"""workflows list, show, history, as-of, transition and more: the same at an edge and at a hub."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from holdfast.host.commands import ExitCode, epilog, output_option
from holdfast.host.output import Output
from holdfast.shell import printing
from holdfast.shell import workflow_printing as words
from holdfast.shell.arguments import (
    ACTOR,
    ACTOR_VARIABLE,
    DURATION,
    default_actor,
    json_object,
)
from holdfast.shell.doors import Door

if TYPE_CHECKING:
    from holdfast.client import Client, Workflow

Function = Callable[..., Any]

EXAMPLE = "fold-7"
EXECUTION_COLUMNS = ("step", "attempt", "status", "agent", "kind", "cost", "output", "error")
EVERYTHING = 1_000_000
"""Entries of a history that `--limit 0` asks for."""


def commands(door: Door) -> list[click.Command]:
    """The group of them, for one kind of daemon."""

    @click.group(
        "workflows",
        epilog=epilog(
            f"{door.program} workflows list",
            f"{door.program} workflows history {EXAMPLE}",
            f"{door.program} workflows pause {EXAMPLE} --note 'the line is cleaned'",
        ),
    )
    def workflows() -> None:
        """Work that goes through states and that one node at a time advances."""

    for make in (_list, _show, _history, _as_of, _transition, _take, _release):
        workflows.add_command(make(door))
    for event, what in _EVENTS.items():
        workflows.add_command(_event(door, event, what))
    return [workflows]


# -- looking -----------------------------------------------------------------------------------


def _list(door: Door) -> click.Command:
    examples = ("workflows list", "workflows list factory --status paused --metadata line=4")

    @click.command("list", epilog=epilog(*(f"{door.program} {each}" for each in examples)))
    @click.argument("space", default="default")
    @click.option(
        "--status", "statuses", multiple=True, default=("unfinished",), show_default=True,
        help="Only those in this state, or inside it; repeatable. `unfinished`: not at an end.",
    )  # fmt: skip
    @click.option("--all", "all_", is_flag=True, help="Also those that are at an end.")
    @click.option("--agent", default="", help="Only those that this agent works on.")
    @click.option("--min-priority", type=int, help="Only those at least as urgent.")
    @click.option("--prefix", default="", help="Only those whose id begins so.")
    @click.option(
        "--metadata", multiple=True, metavar="NAME=VALUE",
        help="Only those whose metadata has this member; a VALUE that is JSON is that. Repeatable.",
    )  # fmt: skip
    @click.option("--parent", default="", help="Only children of this one, ID@INCARNATION.")
    @click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
    @door.takes_client
    @output_option
    def list_(
        space: str, statuses: tuple[str, ...], all_: bool, agent: str, min_priority: int | None,
        prefix: str, metadata: tuple[str, ...], parent: str, limit: int, client: Client,
        output: Output,
    ) -> None:  # fmt: skip
        """List workflows in the order of their ids. JSON: one object a line."""
        wanted: dict[str, Any] = {
            "space": space,
            "statuses": () if all_ else statuses,
            "agent": agent,
            "id_prefix": prefix,
            "parent": parent,
            "metadata": json.loads(json_object(metadata)) if metadata else {},
        }
        if min_priority is not None:
            wanted["min_priority"] = min_priority
        found = client.workflows.list(**wanted)
        printing.show(output, words.COLUMNS, map(words.workflow_row, islice(found, limit)))

    return list_


def _show(door: Door) -> click.Command:
    @click.command("show", epilog=epilog(f"{door.program} workflows show {EXAMPLE}"))
    @_names_one
    @door.takes_client
    @output_option
    def show(workflow: str, where: dict[str, Any], client: Client, output: Output) -> None:
        """Show one workflow, with all attempts at its steps."""
        found = client.workflows.load_workflow_state(workflow, with_executions=True, **where)
        _print(found, output)

    return show


def _as_of(door: Door) -> click.Command:
    @click.command("as-of", epilog=epilog(f"{door.program} workflows as-of {EXAMPLE} 41"))
    @_names_one
    @click.argument("revision", type=click.IntRange(min=1))
    @door.takes_client
    @output_option
    def as_of(
        workflow: str, where: dict[str, Any], revision: int, client: Client, output: Output
    ) -> None:
        """Show one workflow as it was at a revision of its space."""
        found = client.workflows.load_workflow_state(workflow, as_of=revision, **where)
        _print(found, output)

    return as_of


def _print(found: Workflow, output: Output) -> None:
    attempts = found.executions
    if output.as_json:
        document = words.workflow_document(found)
        output.facts(document | {"executions": [*map(words.execution_document, attempts)]})
        return
    output.facts(words.workflow_facts(found))
    if attempts:
        output.say("")
        documents = map(words.execution_document, attempts)
        rows = ([each[column] for column in EXECUTION_COLUMNS] for each in documents)
        output.table(EXECUTION_COLUMNS, rows)


def _history(door: Door) -> click.Command:
    @click.command("history", epilog=epilog(f"{door.program} workflows history {EXAMPLE}"))
    @_names_one
    @click.option(
        "--limit", type=click.IntRange(min=0), default=100, show_default=True,
        help="So many entries; 0: all.",
    )  # fmt: skip
    @door.takes_client
    @output_option
    def history(
        workflow: str, where: dict[str, Any], limit: int, client: Client, output: Output
    ) -> None:
        """Tell what was done with a workflow, newest first: every event, who, why, what became of
        it, and what was refused. JSON: one object a line."""
        found = client.workflows.history(workflow, limit=limit or EVERYTHING, **where)
        rows = words.history_rows(found.entries)
        printing.show(output, words.HISTORY_COLUMNS, rows)
        if not found.complete:
            output.say("There is more: use --limit, or ask the hub.")

    return history


# -- doing -------------------------------------------------------------------------------------


_EVENTS = {
    "pause": "Interrupt a workflow; `resume` makes it prepare its step anew.",
    "resume": "Go on with a workflow that was paused.",
    "cancel": "End a workflow before it is complete.",
}


def _event(door: Door, event: str, what: str) -> click.Command:
    @click.command(event, help=what, epilog=epilog(f"{door.program} workflows {event} {EXAMPLE}"))
    @_names_one
    @_acts(door)
    def fire(
        workflow: str, where: dict[str, Any], said: dict[str, Any], client: Client, output: Output
    ) -> int:
        found = client.workflows.transition(workflow, event, **where, **_who(said))
        return _done(found, client, output, said)

    return fire


def _transition(door: Door) -> click.Command:
    examples = (f"{EXAMPLE} start", f"{EXAMPLE} prepared --step grip")

    @click.command(
        "transition",
        epilog=epilog(*(f"{door.program} workflows transition {each}" for each in examples)),
    )
    @_names_one
    @click.argument("event")
    @click.option("--step", default="", help="With the event `prepared`: which step.")
    @_acts(door)
    def transition(
        workflow: str, where: dict[str, Any], event: str, step: str, said: dict[str, Any],
        client: Client, output: Output,
    ) -> int:  # fmt: skip
        """Fire an event. `show` says which are allowed; what is not is refused, and nothing is
        written."""
        found = client.workflows.transition(workflow, event, step=step, **where, **_who(said))
        return _done(found, client, output, said)

    return transition


def _take(door: Door) -> click.Command:
    @click.command(
        "take-authority", epilog=epilog(f"{door.program} workflows take-authority {EXAMPLE}")
    )
    @_names_one
    @click.option(
        "--force", is_flag=True,
        help="Take it from a node that has it. What that has not sent yet will be refused.",
    )  # fmt: skip
    @_acts(door)
    def take(
        workflow: str, where: dict[str, Any], force: bool, said: dict[str, Any], client: Client,
        output: Output,
    ) -> int:  # fmt: skip
        """Make the node of this door the one that advances a workflow. The hub decides it."""
        found = client.workflows.take_authority(workflow, force=force, **where, **_who(said))
        return _done(found, client, output, said)

    return take


def _release(door: Door) -> click.Command:
    @click.command(
        "release-authority", epilog=epilog(f"{door.program} workflows release-authority {EXAMPLE}")
    )
    @_names_one
    @_acts(door)
    def release(
        workflow: str, where: dict[str, Any], said: dict[str, Any], client: Client, output: Output
    ) -> int:
        """Give the authority back, so that another node may take it."""
        found = client.workflows.release_authority(workflow, **where, **_who(said))
        return _done(found, client, output, said)

    return release


def _done(found: Workflow, client: Client, output: Output, said: dict[str, Any]) -> int:
    """Prints what was done and what became of it; the exit code is REFUSED if it had no effect."""
    assert found.receipt is not None, "it was written"
    outcome = found.receipt.known
    if said["wait"] and not outcome.decided:
        (outcome,) = client.wait([found.receipt.op_id], timeout_s=said["timeout"])
    if output.as_json:
        document = words.workflow_document(found)
        output.facts(document | {"commit": printing.outcome_document(outcome)})
    else:
        held = f", held by {words.holder_words(found.authority)}, token {found.authority.token}"
        output.say(f"{found.key} is {found.state}{held}: {printing.outcome_words(outcome)}")
    return ExitCode.REFUSED if outcome.kind in printing.NO_EFFECT else ExitCode.OK


def _who(said: dict[str, Any]) -> dict[str, Any]:
    return {"actor": said["actor"], "note": said["note"]}


def _acts(door: Door) -> Callable[[Function], Function]:
    """What everything that is done takes: who, why, and whether to wait; given as `said`."""
    options = (
        click.option(
            "--actor", type=ACTOR, envvar=ACTOR_VARIABLE, default=default_actor,
            metavar="ID[:KIND]", show_default="HOLDFAST_ACTOR, or the user's name",
            help="Who does it; the kind is human, robot, ai or system.",
        ),
        click.option("--note", default="", help="Why, for people."),
        click.option("--wait", is_flag=True, help="Wait until the hub has decided."),
        click.option(
            "--timeout", type=DURATION, default="30s", show_default=True,
            help="How long to wait at most.",
        ),
        door.takes_client,
        output_option,
    )  # fmt: skip

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def command(*args: Any, **given: Any) -> Any:
            said = {name: given.pop(name) for name in ("actor", "note", "wait", "timeout")}
            return function(*args, said=said, **given)

        return functools.reduce(lambda inner, option: option(inner), reversed(options), command)

    return decorate


def _names_one(function: Function) -> Function:
    """The argument that names a workflow, and where it is; given as `workflow` and `where`."""

    @functools.wraps(function)
    def command(*args: Any, space: str, incarnation: int, **given: Any) -> Any:
        return function(*args, where={"space": space, "incarnation": incarnation}, **given)

    named = click.argument("workflow", metavar="ID")
    space_option = click.option(
        "--space", default="default", show_default=True, help="Where it is."
    )
    number = click.option(
        "--incarnation", type=click.IntRange(min=0), default=0, show_default="the newest",
        help="Which workflow of this id.",
    )  # fmt: skip
    return named(space_option(number(command)))
