"""What is written and read of state, by the same commands at an edge and at a hub."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from holdfast.errors import NotFound
from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output, Verbatim
from holdfast.shell import printing
from holdfast.shell.arguments import (
    ACTOR,
    ACTOR_VARIABLE,
    DURATION,
    additions,
    default_actor,
    element,
    json_object,
    runs_of,
)
from holdfast.shell.doors import HUB, Door

if TYPE_CHECKING:
    from holdfast.client import Client

Function = Callable[..., Any]

RECORD_COLUMNS = ("path", "revision", "by", "written_at", "value")

FILTER = "A CEL expression over `value` and `key`, such as \"value.state == 'idle'\"."


def commands(door: Door) -> list[click.Command]:
    """All of them, for one kind of daemon."""
    makers = (
        _get, _put, _patch, _delete, _add, _set_add, _set_remove, _splice, _list, _watch, _history,
    )  # fmt: skip
    return [make(door) for make in makers]


# -- reading -----------------------------------------------------------------------------------


def _get(door: Door) -> click.Command:
    @click.command("get", epilog=epilog(f"{door.program} get default/robots/r1"))
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @_as_of(door)
    @_read_level
    @door.takes_client
    @output_option
    def get(path: str, as_of: int, level: dict[str, Any], client: Client, output: Output) -> None:
        """Print a record: its value, and on a terminal who wrote it."""
        from holdfast.errors import NotFound

        record = client.get(path, as_of=as_of, **level)
        if record is None:
            raise NotFound("RECORD_NOT_FOUND", f"there is no {path} here")
        if output.as_json:
            output.facts(printing.record_document(record))
        elif output.is_terminal:
            by = printing.actor_words(record.actor)
            facts = {"value": Verbatim(record.json), "revision": printing.version_words(record)}
            facts |= {"by": by, "written_at": printing.moment(record.stamp)}
            output.facts(facts | {"served": printing.answer_words(record.answer)})
        else:
            output.say(record.json)

    return get


def _as_of(door: Door) -> Callable[[Function], Function]:
    """`--as-of` where it can be answered; elsewhere zero."""
    if door is HUB:
        text = "The record as it was at this revision of its space."
        return click.option("--as-of", type=click.IntRange(min=0), default=0, help=text)
    return lambda function: functools.wraps(function)(functools.partial(function, as_of=0))


def _read_level(function: Function) -> Function:
    """What a read is to promise: options of its own, collected as `level`."""
    options = (
        click.option(
            "--level", type=click.Choice(["eventual", "bounded", "strong"]),
            help="What the answer must promise. Default: that of the collection.",
        ),
        click.option(
            "--max-staleness", type=DURATION, metavar="TIME",
            help="Level bounded: nothing that the hub acknowledged earlier than this is missing.",
        ),
        click.option(
            "--max-behind", type=click.IntRange(min=0), metavar="REVISIONS",
            help="Level bounded: at most so many known revisions are missing.",
        ),
        click.option(
            "--local-only", is_flag=True,
            help="Level bounded: never ask the hub; prove it here, or fail.",
        ),
    )  # fmt: skip
    names = ("level", "max_staleness", "max_behind", "local_only")

    @functools.wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        level = {name: value for name in names if (value := given.pop(name)) not in (None, False)}
        return function(*args, level=level, **given)

    return functools.reduce(lambda inner, option: option(inner), reversed(options), command)


def _list(door: Door) -> click.Command:
    example = f'{door.program} list default/robots --filter "value.battery < 20"'

    @click.command("list", epilog=epilog(example))
    @click.argument("path", metavar="SPACE/COLLECTION[/PREFIX]")
    @click.option("--filter", "filter_", default="", help=FILTER)
    @click.option("--limit", type=click.IntRange(min=1), help="At most so many. Default: all.")
    @_read_level
    @door.takes_client
    @output_option
    def list_(
        path: str, filter_: str, limit: int | None, level: dict[str, Any], client: Client,
        output: Output,
    ) -> None:  # fmt: skip
        """List records in the order of their keys. JSON: one object a line."""
        from itertools import islice

        found = islice(client.list(path, filter=filter_, **level), limit)
        rows = (
            (
                printing.record_document(record),
                (
                    *(record.path, printing.version_words(record)),
                    *(printing.actor_words(record.actor), printing.moment(record.stamp)),
                    Verbatim(record.json),
                ),
            )
            for record in found
        )
        printing.show(output, RECORD_COLUMNS, rows)

    return list_


def _history(door: Door) -> click.Command:
    @click.command("history", epilog=epilog(f"{door.program} history default/robots/r1"))
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
    @door.takes_client
    @output_option
    def history(path: str, limit: int, client: Client, output: Output) -> None:
        """List the commits that made a record what it is, newest first. JSON: one object a line."""
        found = client.history(path, limit=limit)
        if not found.entries and client.get(path) is None:
            raise NotFound("RECORD_NOT_FOUND", f"{path} has never been written")
        rows = printing.history_rows(found.entries)
        shown = printing.show(output, printing.HISTORY_COLUMNS, rows)
        if not found.complete:
            more = "--limit" if shown == limit else "the hub"
            click.echo(f"there are older commits: ask {more}", err=True)

    return history


def _watch(door: Door) -> click.Command:
    @click.command("watch", epilog=epilog(f"{door.program} watch default/robots"))
    @click.argument("path", metavar="SPACE[/COLLECTION[/PREFIX]]")
    @click.option("--filter", "filter_", default="", help=FILTER)
    @click.option("--pending", is_flag=True, help="Also this edge's writes not decided yet.")
    @click.option("--bookmarks", is_flag=True, help="Also tell of progress when nothing happens.")
    @click.option("--resume", default="", help="Go on after the event with this `resume` token.")
    @click.option("--limit", type=click.IntRange(min=1), help="End after so many commits.")
    @door.takes_client
    @output_option
    def watch(path: str, limit: int | None, client: Client, output: Output, **options: Any) -> None:
        """Print commits as they happen, each whole, until Ctrl-C. JSON: one object a line."""
        wanted = {
            "filter": options["filter_"],
            "include_pending": options["pending"],
            "bookmarks": options["bookmarks"],
            "resume": _token(options["resume"]),
        }
        with client.watch(path, **wanted) as events:
            for number, event in enumerate(events, start=1):
                output.event(printing.event_document(event), printing.event_words(event))
                if number == limit:
                    return

    return watch


def _token(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise click.UsageError(
            f"--resume: {text[:40]!r} is not a token of `watch --json`"
        ) from None


# -- writing -----------------------------------------------------------------------------------


def _writes(door: Door) -> Callable[[Function], click.Command | Function]:
    """What every write takes: who writes, on which condition, and whether to wait."""
    options = (
        click.option(
            "--actor", type=ACTOR, envvar=ACTOR_VARIABLE, default=default_actor,
            metavar="ID[:KIND]", show_default="HOLDFAST_ACTOR, or the user's name",
            help="Who writes; the kind is human, robot, ai or system.",
        ),
        click.option(
            "--level", type=click.Choice(["eventual", "bounded", "strong"]),
            help="What OK is to promise. Default: that of the collection.",
        ),
        click.option(
            "--max-pending", type=click.IntRange(min=1), metavar="COMMITS",
            help="Level bounded: only if fewer commits of the space are pending at this edge.",
        ),
        click.option(
            "--max-age", type=DURATION, metavar="TIME",
            help="Level bounded: only if the oldest of them is younger.",
        ),
        click.option("--if-absent", is_flag=True, help="Only if the record does not exist."),
        click.option("--if-exists", is_flag=True, help="Only if the record exists."),
        click.option("--correlation", default="", metavar="ID", help="Ties commits together."),
        click.option("--wait", is_flag=True, help="Wait until the hub has decided."),
        click.option(
            "--timeout", type=DURATION, default="30s", show_default=True,
            help="How long to wait at most, for the answer and with --wait for the decision.",
        ),
        door.takes_client,
        output_option,
    )  # fmt: skip

    def decorate(function: Function) -> Function:
        return functools.reduce(lambda inner, option: option(inner), reversed(options), function)

    return decorate


def _conditions(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "actor": options["actor"],
        "if_absent": options["if_absent"],
        "if_exists": options["if_exists"],
        "correlation_id": options["correlation"],
        "timeout_s": options["timeout"],
        **{name: options[name] for name in _LEVEL if options[name] is not None},
    }


_LEVEL = ("level", "max_pending", "max_age")


def _put(door: Door) -> click.Command:
    examples = (
        f'{door.program} put default/robots/r1 \'{{"x": 1, "name": "anna"}}\'',
        f"{door.program} put default/robots/r1 x=1 name=anna --actor planner:ai",
    )

    @click.command("put", epilog=epilog(*examples))
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @click.argument("value", nargs=-1, required=True)
    @_writes(door)
    def put(
        path: str, value: tuple[str, ...], client: Client, output: Output, **options: Any
    ) -> int:
        """Write a whole record. VALUE is a JSON object, "-" for one on standard input, or
        NAME=VALUE pairs, where a value that is not JSON is a text."""
        return printing.receipt(
            client.put(path, json_object(value), **_conditions(options)), output, options
        )

    return put


def _patch(door: Door) -> click.Command:
    examples = (
        f"{door.program} patch default/robots/r1 x=1 'name=\"a\"'",
        f"{door.program} patch default/robots/r1 --remove name",
    )

    @click.command("patch", epilog=epilog(*examples))
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @click.argument("value", nargs=-1)
    @click.option("--remove", multiple=True, metavar="FIELD", help="Remove a field; repeatable.")
    @_writes(door)
    def patch(
        path: str, value: tuple[str, ...], remove: tuple[str, ...], client: Client, output: Output,
        **options: Any,
    ) -> int:  # fmt: skip
        """Write some fields of a record and leave the others. VALUE as for put."""
        if not value and not remove:
            raise click.UsageError("name something to set (NAME=VALUE) or to --remove")
        receipt = client.patch(path, json_object(value), remove, **_conditions(options))
        return printing.receipt(receipt, output, options)

    return patch


def _delete(door: Door) -> click.Command:
    @click.command("delete", epilog=epilog(f"{door.program} delete default/robots/r1"))
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @_writes(door)
    def delete(path: str, client: Client, output: Output, **options: Any) -> int:
        """Delete a record; its history keeps the last value."""
        return printing.receipt(client.delete(path, **_conditions(options)), output, options)

    return delete


def _add(door: Door) -> click.Command:
    @click.command("add", epilog=epilog(f"{door.program} add default/tasks/7 attempts=1"))
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @click.argument("deltas", nargs=-1, required=True, metavar="FIELD=INTEGER...")
    @_writes(door)
    def add(
        path: str, deltas: tuple[str, ...], client: Client, output: Output, **options: Any
    ) -> int:
        """Add to counters: fields that the policy of the collection declares as such."""
        return printing.receipt(
            client.add(path, additions(deltas), **_conditions(options)), output, options
        )

    return add


def _set_add(door: Door) -> click.Command:
    @click.command("set-add", epilog=epilog(f"{door.program} set-add default/tasks/7 tags urgent"))
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @click.argument("field")
    @click.argument("elements", nargs=-1, required=True)
    @_writes(door)
    def set_add(
        path: str, field: str, elements: tuple[str, ...], client: Client, output: Output,
        **options: Any,
    ) -> int:  # fmt: skip
        """Add elements to a set: a field that the policy of the collection declares as such. An
        element that is not JSON is a text."""
        added = map(element, elements)
        return printing.receipt(
            client.set_add(path, field, added, **_conditions(options)), output, options
        )

    return set_add


def _set_remove(door: Door) -> click.Command:
    @click.command(
        "set-remove", epilog=epilog(f"{door.program} set-remove default/tasks/7 tags urgent")
    )
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @click.argument("field")
    @click.argument("elements", nargs=-1, required=True)
    @_writes(door)
    def set_remove(
        path: str, field: str, elements: tuple[str, ...], client: Client, output: Output,
        **options: Any,
    ) -> int:  # fmt: skip
        """Remove elements from a set, as far as they were seen here."""
        gone = map(element, elements)
        return printing.receipt(
            client.set_remove(path, field, gone, **_conditions(options)), output, options
        )

    return set_remove


def _splice(door: Door) -> click.Command:
    examples = (
        f"{door.program} splice default/pages/7 body --at 5 --insert ', again'",
        f"{door.program} splice default/pages/7 body --runs '[5, \"new\", -3]'",
    )

    @click.command("splice", epilog=epilog(*examples))
    @click.argument("path", metavar="SPACE/COLLECTION/KEY")
    @click.argument("field")
    @click.option("--at", type=click.IntRange(min=0), default=0, help="Where, counted from 0.")
    @click.option("--delete", type=click.IntRange(min=0), default=0, help="Delete so many there.")
    @click.option("--insert", default="", metavar="TEXT", help="Insert this text there.")
    @click.option("--elements", default="", metavar="ARRAY", help="Insert these JSON elements.")
    @click.option("--runs", default="", help="All of the edit: numbers retain or, below 0, delete.")
    @_writes(door)
    def splice(path: str, field: str, client: Client, output: Output, **options: Any) -> int:
        """Edit a text or list: a field that the policy of the collection declares as one. Places
        are counted in code points or elements, of the document as it is."""
        runs = runs_of(options["runs"]) if options["runs"] else None
        insert = runs_of(options["elements"]) if options["elements"] else options["insert"]
        receipt = client.splice(
            path, field, runs, at=options["at"], delete=options["delete"], insert=insert,
            **_conditions(options),
        )  # fmt: skip
        return printing.receipt(receipt, output, options)

    return splice
